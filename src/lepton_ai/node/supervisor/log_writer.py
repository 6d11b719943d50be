"""Writes a replica's output to segments that are named by their first byte's offset; the oldest go first."""

import os

SEGMENTS = 16  # rotating throws away a sixteenth at a time
SEGMENT_BYTES_MIN = 4096
SUFFIX = ".log"
MODE = 0o600
# The replica can put a pipe or a link in a segment's place: writing must not wait for a reader, nor end up elsewhere.
FLAGS = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


def segment_name(offset: int) -> str:
    """Return the name of the segment that starts at `offset`, so that names sort as offsets do."""
    return f"{offset:020d}{SUFFIX}"


def segment_offset(name: str) -> int | None:
    """Return the offset that a segment's name tells, or None for any other file."""
    digits = name[: -len(SUFFIX)]
    return int(digits) if name.endswith(SUFFIX) and digits.isdigit() else None


class LogWriter:
    """Appends to the log in `folder` and keeps it at or below `bytes_max`.

    A disk that refuses must never stop the replica: what cannot be written is dropped and counted in `dropped`, with
    the reason in `trouble`. Offsets count the bytes that were written.
    """

    def __init__(self, folder: str, bytes_max: int) -> None:
        self.dropped = 0
        self.trouble = ""
        self._folder = folder
        self._segment_bytes = max(SEGMENT_BYTES_MIN, bytes_max // SEGMENTS)
        self._segments_max = max(1, bytes_max // self._segment_bytes)
        self._starts: list[int] = []
        self._fd = -1
        self._offset = 0

    def append(self, data: bytes) -> None:
        """Write `data`, rotating as often as it takes."""
        view = memoryview(data)
        while view:
            try:
                written = os.write(self._room(), view[: self._left()])
            except OSError as error:
                self.dropped += len(view)
                self.trouble = error.strerror or str(error)
                return
            self._offset += written
            view = view[written:]

    def close(self) -> None:
        """Close the newest segment."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _left(self) -> int:
        return self._starts[-1] + self._segment_bytes - self._offset

    def _room(self) -> int:
        if self._starts and self._fd >= 0 and self._left() > 0:
            return self._fd
        self.close()
        while len(self._starts) >= self._segments_max:
            os.unlink(f"{self._folder}/{segment_name(self._starts[0])}")
            del self._starts[0]
        path = f"{self._folder}/{segment_name(self._offset)}"
        self._fd = os.open(path, FLAGS, MODE)
        if self._offset not in self._starts:
            self._starts.append(self._offset)
        return self._fd
