"""A lock between threads and processes of one machine, held on a file; it ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[int | None]:
    """Hold the lock at `path` and yield its descriptor; yields None when it is held elsewhere and `wait` is off.

    Each call opens the file anew, so two threads exclude one another as two processes do. A child that inherits the
    descriptor keeps the lock for as long as it lives (flock(2)).
    """
    mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, mode)
            except BlockingIOError:
                yield None
                return
            if _is_current(descriptor, path):
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _is_current(descriptor: int, path: Path) -> bool:
    """Tell whether the locked file still has its name: its last holder may have removed it while we waited."""
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino)
