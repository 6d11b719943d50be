"""Ray's processes on this machine: start them under a time limit, find them again, end them. They outlive us."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

import psutil

from lepton_ai.backends.ray_cluster.place import ClusterPlace
from lepton_ai.errors import StorageFailed, TimedOut, Unavailable

# 2.5 s on an idle machine; a node waits up to 60 s for a head that is only starting.
START_SECONDS_MAX = 90.0
STOP_SECONDS_MAX = 3.0  # what Ray's processes get to end by themselves; its workers do not
POLL_SECONDS = 0.05
STARTED = "Ray runtime started."
TAIL_LINES = 6
TAIL_BYTES = 4096
# Where Ray says what went wrong, the most telling first; the console says only that something did.
ERROR_FILES = ("gcs_server.err", "raylet.err", "gcs_server.out", "raylet.out", "runtime_env_agent.err")
INSTALL_HINT = "On this machine: pip install 'lepton-ai[cluster]'"


def check_installed() -> None:
    """Raise Unavailable, with the command that mends it, unless Ray is installed here."""
    if importlib.util.find_spec("ray") is None:
        raise Unavailable("Ray is not installed here, so this machine cannot be part of a cluster.", hint=INSTALL_HINT)


class RayProcess:
    """The one `ray start --block` of a state folder, whoever started it, and all that it started."""

    def __init__(self, place: ClusterPlace) -> None:
        self._place = place

    def find(self) -> psutil.Process | None:
        """Return the process, or None if it does not run. A number that was given anew does not deceive."""
        try:
            told = json.loads(self._place.process.read_text())
            process = psutil.Process(int(told["pid"]))
            is_ours = process.create_time() == told["created"] and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            return None
        return process if is_ours else None

    def members(self) -> Sequence[psutil.Process]:
        """Return the process and everything below it."""
        top = self.find()
        if top is None:
            return []
        with contextlib.suppress(psutil.Error):
            return [top, *top.children(recursive=True)]
        return []

    def start(
        self,
        command: Sequence[str],
        seconds_max: float = START_SECONDS_MAX,
        more: Mapping[str, str] | None = None,
    ) -> None:
        """Start Ray, and return when it runs; raises Unavailable or TimedOut with the end of Ray's own error log.

        `more` is what it has in its environment beyond what each node's Ray has.
        """
        check_installed()
        deadline = time.monotonic() + seconds_max
        starting = self._spawn(command, more or {})
        while not self._says_started():
            code = starting.poll()
            if code is not None:
                raise Unavailable(f"Ray ended with exit code {code} instead of starting.{self._tail()}")
            if time.monotonic() > deadline:
                said = self._tail()
                self.stop()
                raise TimedOut(
                    f"Ray did not start within {seconds_max:.0f} s.{said}",
                    hint="Check that the head can be reached on all TCP ports, and that the clocks agree.",
                )
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End Ray with everything that runs in it; nothing if it does not run."""
        members = self.members()
        if not members:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            members[0].send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs(members, STOP_SECONDS_MAX)
        for each in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(left, STOP_SECONDS_MAX)
        self._place.process.unlink(missing_ok=True)

    def _spawn(self, command: Sequence[str], more: Mapping[str, str]) -> subprocess.Popen[bytes]:
        place = self._place
        place.make()
        try:
            place.ray_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Ray would refuse to start a head where one was, while any node of it is still about to end.
            (place.ray_folder / "ray_current_cluster").unlink(missing_ok=True)
            with os.fdopen(os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "ab") as log:
                starting = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env={**place.environment(), **more},
                    start_new_session=True,
                )
        except OSError as error:
            raise StorageFailed(f"Ray cannot be started: {error.strerror or error}.") from error
        with contextlib.suppress(psutil.Error):
            told = {"pid": starting.pid, "created": psutil.Process(starting.pid).create_time()}
            place.keep(place.process, json.dumps(told).encode())
        return starting

    def _says_started(self) -> bool:
        return STARTED in _end_of(self._place.log)

    def _tail(self) -> str:
        """Return the last lines of what Ray wrote since it was started, from its console and its error logs."""
        logs = self._place.ray_folder / "session_latest" / "logs"
        files = [self._place.log, *(logs / name for name in ERROR_FILES)]
        said: list[str] = []
        began = self._began()
        for file in files:
            with contextlib.suppress(OSError):
                lines = [line for line in _end_of(file).splitlines() if line.strip()]
                if lines and file.stat().st_mtime >= began:
                    said.append(f"\n{file.name}:\n  " + "\n  ".join(lines[-TAIL_LINES:]))
        return "".join(said[:3])

    def _began(self) -> float:
        """Return when Ray was last started, by the clock of the file system."""
        try:
            return self._place.process.stat().st_mtime
        except OSError:
            return 0.0


def _end_of(path: os.PathLike[str]) -> str:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
