"""Waits for the end of a process that another one may have started."""

from __future__ import annotations

import contextlib
import os
import select


def await_end(pid: int) -> None:
    """Return once the process has ended, or at once if there is none."""
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(pid)
        try:
            watched = select.poll()  # `select` takes no descriptor beyond 1,023, and a busy core has such
            watched.register(descriptor, select.POLLIN)
            watched.poll()
        finally:
            os.close(descriptor)
