"""The core's process on this machine: find it, start it in the background, read what it said, end it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import psutil

from lepton_ai.errors import StorageFailed, Unavailable

CORE_MODULE = "lepton_ai.app"
CORE_FILE = "core.json"
LOCK_FILE = "core.lock"
LOG_FILE = "core.log"
LOG_BYTES_MAX = 16 * 1024 * 1024  # a core writes some 100 bytes per fact; beyond, it becomes core.log.1
SAID_BYTES_MAX = 4096  # the last words of a core that did not start
POLL_SECONDS = 0.02
CLOCK_STEP = timedelta(seconds=5)  # how far the machine's clock may have been set while the core ran


@dataclass(frozen=True, slots=True)
class RunningCore:
    """A core that is alive and has said where it listens. One that stands by says who leads."""

    pid: int
    url: str
    version: str
    leader: str = ""


def find_core(home: Path) -> RunningCore | None:
    """Return the core of `home` if it runs and is ready. A file that a killed core left behind does not deceive."""
    try:
        said = json.loads((home / CORE_FILE).read_text())
        core = RunningCore(int(said["pid"]), str(said["url"]), str(said["version"]), str(said.get("leader", "")))
        started_at = datetime.fromisoformat(said["started_at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return core if _is_core(core.pid, started_at) else None


def is_held(home: Path) -> bool:
    """Tell whether a core, ready or not, holds `home`. We look and do not lock: a core that starts must not meet us."""
    try:
        inode = (home / LOCK_FILE).stat().st_ino
        return any(line.split()[5].endswith(f":{inode}") for line in Path("/proc/locks").read_text().splitlines())
    except (OSError, IndexError):
        return False


@dataclass(slots=True)
class StartingCore:
    """A core that was started here, and from where in the log its own words begin."""

    process: subprocess.Popen[bytes]
    log: Path
    log_start: int

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def failure(self) -> Unavailable:
        """Return what the core itself said of its end."""
        said = _last_words(self.log, self.log_start)
        message = said[0] if said else f"The core ended with exit code {self.process.returncode} and said nothing."
        return Unavailable(message.removeprefix("Error: "), hint=said[1] if len(said) > 1 else f"See {self.log}.")

    def end(self) -> None:
        """End a core that did not become ready, so that the next try starts from nothing."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)


def start_core(home: Path, settings: Mapping[str, str]) -> StartingCore:
    """Start the core in a session of its own; `settings` are LEPTON_ variables. Raises StorageFailed."""
    log = home / LOG_FILE
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.1"))
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
            log_start = output.tell() if output.seekable() else 0
            process = subprocess.Popen(
                [sys.executable, "-m", CORE_MODULE],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",  # so that the core keeps no folder of the user's in use
                env={**os.environ, **settings, "LEPTON_HOME": str(home)},
                start_new_session=True,
            )
    except OSError as error:
        raise StorageFailed(
            f"The state folder {home} cannot be written: {error.strerror or error}.",
            hint="Choose another folder with LEPTON_HOME, or check the owner and the disk's free space.",
        ) from error
    return StartingCore(process, log, log_start)


def wait_for_end(pid: int, seconds: float) -> bool:
    """Wait until the process is gone; False if it still lives after `seconds`."""
    deadline = time.monotonic() + seconds
    while _is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _is_core(pid: int, started_at: datetime) -> bool:
    """Tell whether `pid` is that core and not a later process to which the number was given anew."""
    try:
        process = psutil.Process(pid)
        born = datetime.fromtimestamp(process.create_time(), started_at.tzinfo)
        return _is_alive(pid) and CORE_MODULE in process.cmdline() and born <= started_at + CLOCK_STEP
    except psutil.Error:
        return False


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _last_words(log: Path, start: int) -> list[str]:
    """Return the lines that the core ended with: its `Error:` and `Hint:` if it gave them, else the last line."""
    try:
        with log.open("rb") as file:
            file.seek(max(start, log.stat().st_size - SAID_BYTES_MAX))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return []
    errors = [place for place, line in enumerate(lines) if line.startswith("Error: ")]
    if not errors:
        return lines[-1:]
    hints = [line.removeprefix("Hint: ") for line in lines[errors[-1] + 1 :] if line.startswith("Hint: ")]
    return [lines[errors[-1]], *hints[:1]]
