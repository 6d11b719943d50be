"""A Ray head with its dashboard on this machine's loopback, in a virtual environment of its own, to compare with."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.venv import installed_venv

START_SECONDS_MAX = 90
COMMAND_SECONDS_MAX = 60
STOP_SECONDS_MAX = 20
CLIENT = Path(__file__).with_name("ray_client.py")


@dataclass(frozen=True, slots=True)
class RayHead:
    """A head that takes jobs, and a client process of Ray's SDK that is connected to it."""

    version: str
    address: str
    venv: Path
    client: subprocess.Popen[str]

    def submit(self, command: Sequence[str]) -> None:
        """Submit through Ray's SDK, from a process that has it imported; return when Ray has taken the job."""
        assert self.client.stdin
        assert self.client.stdout
        self.client.stdin.write(shlex.join(command) + "\n")
        self.client.stdin.flush()
        if not self.client.stdout.readline():
            raise RuntimeError("Ray's client ended")

    def submit_by_command(self, command: Sequence[str]) -> None:
        """Run `ray job submit`; return when it has ended."""
        words = ["job", "submit", "--address", self.address, "--no-wait", "--", *command]
        done = subprocess.run(
            [self.venv / "bin" / "ray", *words],
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"ray job submit exits with {done.returncode}: {done.stderr.strip()[-300:]}")


@contextmanager
def running_ray() -> Iterator[RayHead]:
    """Start a head and stop all of it at the end; raises RuntimeError if Ray cannot be installed or started."""
    venv = installed_venv("ray-peer", ["ray[default]"])
    port, address = _free_port(), f"http://127.0.0.1:{_free_port()}"
    with tempfile.TemporaryDirectory(prefix="lepton-ray-") as folder:
        head = _start_head(venv, folder, port, address)
        try:
            version = _wait_until_ready(head, address)
            client = _start_client(venv, address)
            try:
                yield RayHead(version, address, venv, client)
            finally:
                client.kill()
                client.wait()
        finally:
            _end(head, folder)


def _start_head(venv: Path, folder: str, port: int, address: str) -> subprocess.Popen[bytes]:
    dashboard_port = address.rpartition(":")[2]
    words = [
        "start --head --block --include-dashboard true --node-ip-address 127.0.0.1 --dashboard-host 127.0.0.1",
        f"--dashboard-port {dashboard_port} --port {port} --temp-dir {folder} --num-cpus 2",
        "--object-store-memory 100000000 --disable-usage-stats",
    ]
    with (Path(folder) / "head.log").open("wb") as log:
        return subprocess.Popen(
            [venv / "bin" / "ray", *" ".join(words).split()],
            env=_environment(),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def _start_client(venv: Path, address: str) -> subprocess.Popen[str]:
    client = subprocess.Popen(
        [venv / "bin" / "python", CLIENT, address],
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdout
    if not client.stdout.readline():
        raise RuntimeError("Ray's client did not start")
    return client


def _wait_until_ready(head: subprocess.Popen[bytes], address: str) -> str:
    """Return Ray's version once the job API answers."""
    give_up = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < give_up and head.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/api/version", timeout=5) as answer:
                version = json.load(answer)["ray_version"]
            with urllib.request.urlopen(f"{address}/api/jobs/", timeout=5):
                return str(version)
        except (urllib.error.URLError, OSError, ValueError):
            time.sleep(0.5)
    raise RuntimeError(f"`ray start --head` was not ready within {START_SECONDS_MAX} s")


def _end(head: subprocess.Popen[bytes], folder: str) -> None:
    """End the head, which ends its own processes, and then whatever of it is left: `ray stop` would end others' too."""
    head.terminate()
    with suppress(subprocess.TimeoutExpired):
        head.wait(STOP_SECONDS_MAX)
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if folder.encode() in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
    head.wait()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return kept | {"RAY_USAGE_STATS_ENABLED": "0", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
