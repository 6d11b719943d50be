"""A named pipe that a job rings: tells, on the monotonic clock that all processes share, when a command really ran."""

from __future__ import annotations

import os
import queue
import shlex
import threading
import time
from pathlib import Path


class Bell:
    """Hand `command` to whatever runs commands; `wait` returns when it was run."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "bell"
        os.mkfifo(self._path)
        # Open for both, so that a ring never blocks and the pipe never ends.
        self._pipe = os.open(self._path, os.O_RDWR)
        self._rings: queue.SimpleQueue[int] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def command(self) -> list[str]:
        return ["sh", "-c", f"echo > {shlex.quote(str(self._path))}"]

    def wait(self, seconds_max: float) -> int:
        """Return the monotonic nanosecond at which the next ring was heard; raises RuntimeError after `seconds_max`."""
        try:
            return self._rings.get(timeout=seconds_max)
        except queue.Empty:
            raise RuntimeError(f"the command did not run within {seconds_max:g} s") from None

    def _listen(self) -> None:
        # Rings come one after the other, so that each read is one ring.
        while os.read(self._pipe, 4096):
            self._rings.put(time.monotonic_ns())
