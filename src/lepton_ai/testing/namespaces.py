"""Several machines on this one: network namespaces of Linux with an address each, joined by a switch.

For tests and demos of clusters. Only the network is their own: processes, files and devices are this machine's.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lepton_ai.errors import Unavailable

IP_SECONDS_MAX = 20.0
END_SECONDS_MAX = 10.0
# Set aside for tests between networks (RFC 2544), so that it is no net that a real machine is in.
PREFIX = "198.18.0"
CARD = "lep0"


@dataclass(frozen=True, slots=True)
class Machine:
    """One namespace, with its one address beside loopback."""

    namespace: str
    address: str

    def words(self, command: Sequence[str]) -> list[str]:
        """Return the command line that runs `command` on this machine."""
        return ["ip", "netns", "exec", self.namespace, *command]

    def run(
        self, command: Sequence[str], env: Mapping[str, str] | None = None, *, seconds_max: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` here to its end; `env` is its whole environment. Raises TimeoutExpired."""
        return subprocess.run(
            self.words(command),
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds_max,
            check=False,
        )

    def pids(self) -> Sequence[int]:
        """Return the processes of this machine."""
        return [int(line) for line in _ip("netns", "pids", self.namespace).split()]

    def unplug(self) -> None:
        """Cut the machine off: what the others send is answered by nobody."""
        _ip("-n", self.namespace, "link", "set", CARD, "down")

    def plug_in(self) -> None:
        """Give the machine its network back."""
        _ip("-n", self.namespace, "link", "set", CARD, "up")

    def end_all(self) -> None:
        """Kill everything that runs here, and wait until it is gone."""
        deadline = time.monotonic() + END_SECONDS_MAX
        while (pids := self.pids()) and time.monotonic() < deadline:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)


def why_not() -> str:
    """Return why namespaces cannot be made here; empty if they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need the program `ip` (Debian: apt install iproute2)"
    name = f"lep-{secrets.token_hex(3)}"
    try:
        _ip("netns", "add", name)
        _ip("netns", "delete", name)
    except Unavailable as error:
        return error.message
    return ""


@contextlib.contextmanager
def machines(count: int) -> Iterator[Sequence[Machine]]:
    """Give `count` machines that reach one another and nobody else; whatever runs on them is ended at the end.

    Raises Unavailable where this is not allowed; `why_not` tells beforehand.
    """
    stem = f"lep-{secrets.token_hex(3)}"
    switch = f"{stem}-switch"
    made = [Machine(f"{stem}-{place}", f"{PREFIX}.{place}") for place in range(1, count + 1)]
    try:
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", switch, "link", "set", "br0", "up")
        for place, machine in enumerate(made, 1):
            _ip("netns", "add", machine.namespace)
            _plug(machine, switch, f"port{place}")
        yield made
    finally:
        for machine in made:
            with contextlib.suppress(Unavailable):
                machine.end_all()
        for name in (*(machine.namespace for machine in made), switch):
            with contextlib.suppress(Unavailable):
                _ip("netns", "delete", name)


def _plug(machine: Machine, switch: str, port: str) -> None:
    name = machine.namespace
    _ip("link", "add", CARD, "netns", name, "type", "veth", "peer", "name", port, "netns", switch)
    _ip("-n", switch, "link", "set", port, "master", "br0", "up")
    _ip("-n", name, "link", "set", "lo", "up")
    _ip("-n", name, "address", "add", f"{machine.address}/24", "dev", CARD)
    _ip("-n", name, "link", "set", CARD, "up")


def _ip(*words: str) -> str:
    try:
        done = subprocess.run(
            [str(Path(shutil.which("ip") or "/sbin/ip")), *words],
            capture_output=True,
            text=True,
            timeout=IP_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"ip {' '.join(words)}: {error}") from error
    if done.returncode != 0:
        raise Unavailable(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
