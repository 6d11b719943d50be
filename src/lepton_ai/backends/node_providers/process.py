"""The `process` provider: further nodes on this very machine, in network namespaces, for tests and demos."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lepton_ai.backends.node_providers.joining import TOKEN_VARIABLE, join_words, tail, without_own
from lepton_ai.errors import InvalidInput, TimedOut, Unavailable
from lepton_ai.kernel.node_providers import Group, NodeOrder, Provider

CARD = "lep0"
JOIN_SECONDS_MAX = 150.0  # Ray has 90 s to start
TOOL_SECONDS_MAX = 20.0
END_SECONDS_MAX = 15.0
POLL_SECONDS = 0.05
HOSTS = range(100, 200)  # of addresses: those below are for the machines that joined by hand


def check(settings: Mapping[str, str]) -> None:
    """Raise InvalidInput unless it is said to which switch the namespaces are plugged in, and in which network."""
    unknown = sorted(settings.keys() - {"switch", "network", "config"})
    if unknown:
        raise InvalidInput(
            f"The process provider has no setting {unknown[0]!r}.", hint="Known: switch, network, config."
        )
    parts = settings.get("network", "").split(".")
    if not settings.get("switch") or len(parts) != 3 or not all(part.isdigit() and int(part) < 256 for part in parts):
        raise InvalidInput(
            "The process provider needs the settings switch and network: a network namespace with the bridge br0, "
            "and the first three numbers of the addresses there, such as 198.18.0.",
            hint="It is for tests and demos on one machine; machines elsewhere are made by the command provider.",
        )


@dataclass(frozen=True, slots=True)
class Station:
    """One node: the process that holds its namespace, the namespace's number, its address and its state folder."""

    group: str
    name: str
    holder: int
    namespace: str
    address: str
    home: str


class ProcessProvider:
    """Writes down each node before anything of it exists, so that whatever dies in between can be cleaned up."""

    def __init__(self, home: Path) -> None:
        self._records = home / "process-nodes"

    def create(self, order: NodeOrder) -> None:
        check(order.group.settings)
        self.delete(order.group, order.name)
        # A short path of its own, so that Ray's sockets lie in it.
        home = tempfile.mkdtemp(prefix="lep", dir="/tmp")
        if order.group.settings.get("config"):
            (Path(home) / "config.toml").write_text(order.group.settings["config"])
        station = Station(order.group.name, order.name, 0, "", self._free(order.group), home)
        self._write(station)
        holder = subprocess.Popen(
            ["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL, start_new_session=True
        )
        station = Station(*(asdict(station) | {"holder": holder.pid, "namespace": _namespace_of(holder.pid)}).values())
        self._write(station)
        _plug(station, order.group.settings["switch"])
        _join(station, order)

    def delete(self, group: Group, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            station = self._read(self._records / f"{name}.json")
            _end_all(station)
            shutil.rmtree(station.home, ignore_errors=True)
            (self._records / f"{name}.json").unlink()

    def list(self, group: Group) -> Collection[str]:
        stations = [self._read(path) for path in sorted(self._records.glob("*.json"))]
        return [station.name for station in stations if station.group == group.name]

    def _free(self, group: Group) -> str:
        taken = {self._read(path).address for path in self._records.glob("*.json")}
        network = group.settings["network"]
        return next(address for host in HOSTS if (address := f"{network}.{host}") not in taken)

    def _write(self, station: Station) -> None:
        self._records.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self._records / f"{station.name}.new"
        partial.write_text(json.dumps(asdict(station)))
        partial.replace(self._records / f"{station.name}.json")

    def _read(self, path: Path) -> Station:
        return Station(**json.loads(path.read_text()))


def _namespace_of(pid: int) -> str:
    """Return the number of the namespace that the process holds, once it has one of its own."""
    deadline = time.monotonic() + TOOL_SECONDS_MAX
    own = os.readlink("/proc/self/ns/net")
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            found = os.readlink(f"/proc/{pid}/ns/net")
            if found != own:
                return found
        time.sleep(POLL_SECONDS)
    raise Unavailable("No network namespace can be made here.", hint="That takes root, and `unshare` of util-linux.")


def _plug(station: Station, switch: str) -> None:
    port = f"p{secrets.token_hex(5)}"
    pid = str(station.holder)
    _tool("ip", "link", "add", CARD, "netns", pid, "type", "veth", "peer", "name", port, "netns", switch)
    _tool("ip", "-n", switch, "link", "set", port, "master", "br0", "up")
    _tool(*_inside(station, "ip", "link", "set", "lo", "up"))
    _tool(*_inside(station, "ip", "address", "add", f"{station.address}/24", "dev", CARD))
    _tool(*_inside(station, "ip", "link", "set", CARD, "up"))


def _join(station: Station, order: NodeOrder) -> None:
    command = _inside(station, sys.executable, "-m", "lepton_ai.cli.main", *join_words(order))
    env = {**without_own(os.environ), "LEPTON_HOME": station.home, TOKEN_VARIABLE: order.token}
    _tool(*command, env=env, seconds_max=JOIN_SECONDS_MAX, secret=order.token)


def _inside(station: Station, *command: str) -> Sequence[str]:
    return ["nsenter", f"--net=/proc/{station.holder}/ns/net", *command]


def _tool(
    *command: str, env: Mapping[str, str] | None = None, seconds_max: float = TOOL_SECONDS_MAX, secret: str = ""
) -> None:
    what = Path(command[0]).name
    with tempfile.TemporaryFile("w+") as output:  # not a pipe: what the tool leaves running would keep that open
        try:
            done = subprocess.run(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=seconds_max,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise TimedOut(f"{what} did not end within {seconds_max:.0f} s.") from error
        except OSError as error:
            raise Unavailable(f"{what} cannot be started: {error.strerror}.") from error
        output.seek(0)
        said = tail(output.read(), secret)
    if done.returncode != 0:
        raise Unavailable(f"{what} ended with exit code {done.returncode}: {said}")


def _end_all(station: Station) -> None:
    """Kill all that runs in the namespace, its holder last of all and with it the namespace itself."""
    deadline = time.monotonic() + END_SECONDS_MAX
    while pids := _pids_in(station.namespace):
        if time.monotonic() > deadline:
            raise TimedOut(f"{len(pids)} processes of node {station.name} do not end.")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # the holder is a child of the core that made it
        time.sleep(POLL_SECONDS)


def _pids_in(namespace: str) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir() if namespace else ():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and os.readlink(folder / "ns" / "net") == namespace:
                found.append(int(folder.name))
    return found


PROVIDER = Provider(check, ProcessProvider)
