"""The files in a replica's folder that tell, after any crash, who runs it and how it ended."""

import os

from .plain_file import read_plain

CLAIM = "claim.json"  # who may run it; made once, never changed
RUNNING = "running.json"  # the command runs since
EXIT = "exit.json"  # how it ended
STOP = "stop"  # seconds of grace: somebody wants it to end
RESULT = "result.pickle"  # what a function returned
WORK = "work"
TEMPORARY = "tmp"
LOG = "log"
EXIT_BYTES = 4096  # reserved on disk at the start, so that a full disk cannot swallow the exit
STOP_BYTES = 64
MODE = 0o600
# The replica can make a pipe or a link of any name here: writing must neither wait for a reader nor end up elsewhere.
DRAFT_FLAGS = os.O_CREAT | os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


def claim(folder: str, text: str) -> bool:
    """Take the replica for this process, or return False if anybody ever did. `text` is the whole claim.

    A hard link appears with its content or not at all, and only one can have the name.
    """
    draft = f"{folder}/{CLAIM}.{os.getpid()}"
    try:
        _write(draft, text)
        os.link(draft, f"{folder}/{CLAIM}")
    except FileExistsError:
        return False
    finally:
        os.unlink(draft)
    return True


def identity() -> str:
    """Return the JSON members that name this process for good: its number alone may come back for another one."""
    pid = os.getpid()
    return f'"pid": {pid}, "start_time": {start_time(pid)}, "boot_id": "{boot_id()}"'


def start_time(pid: int) -> int:
    """Return when `pid` started, in clock ticks since boot (proc(5), field 22); raises OSError if it is gone."""
    stat = _read(f"/proc/{pid}/stat", 4096)
    return int(stat.rpartition(")")[2].split()[19])


def boot_id() -> str:
    """Return what tells this boot of the machine from any other."""
    return _read("/proc/sys/kernel/random/boot_id", 64).strip()


def write_running(folder: str, pid: int, started_at: float) -> None:
    """Record that the command runs as process `pid`; a full disk loses only this remark."""
    try:
        _write(f"{folder}/{RUNNING}", f'{{"pid": {pid}, "started_at": {started_at:.6f}}}')
    except OSError:
        return


def reserve_exit(folder: str) -> int:
    """Make room for the exit record now, and return its file descriptor for `write_exit`."""
    fd = os.open(f"{folder}/{EXIT}.{os.getpid()}", DRAFT_FLAGS, MODE)
    try:
        os.posix_fallocate(fd, 0, EXIT_BYTES)
    except OSError:
        return fd  # The file system cannot reserve, or is full: the write at the end may still succeed.
    return fd


def write_exit(folder: str, fd: int, text: str) -> None:
    """Record the exit so that it is there whole or not at all, also after a power cut."""
    encoded = text.encode()
    try:
        os.pwrite(fd, encoded, 0)
        os.ftruncate(fd, len(encoded))
        os.fsync(fd)
        os.rename(f"{folder}/{EXIT}.{os.getpid()}", f"{folder}/{EXIT}")
    finally:
        os.close(fd)


def write_stop(folder: str, grace_seconds: float) -> None:
    """Record that the replica shall end; the file stays, so that a supervisor that starts later sees it too."""
    draft = f"{folder}/{STOP}.{os.getpid()}"
    _write(draft, f"{grace_seconds:.3f}")
    os.rename(draft, f"{folder}/{STOP}")


def read_stop(folder: str) -> float | None:
    """Return the grace in seconds if the replica shall end, else None."""
    try:
        return float(_read(f"{folder}/{STOP}", STOP_BYTES))
    except (OSError, ValueError):
        return None


def _write(path: str, text: str) -> None:
    fd = os.open(path, DRAFT_FLAGS | os.O_TRUNC, MODE)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _read(path: str, limit: int) -> str:
    return read_plain(path, limit).decode(errors="replace")
