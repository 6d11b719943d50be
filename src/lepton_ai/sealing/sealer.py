"""Seals content as it comes, in parts of a bounded size that a store can take one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Protocol

from lepton_ai.sealing.header import SEGMENT_LOG2, DataKey, Place, new_header
from lepton_ai.sealing.segments import TAG_BYTES, Buffer, SegmentCipher, count_segments

PART_BYTES = 8 * 1024 * 1024  # of content in one part: S3 wants at least 5 MiB, and four in flight are 32 MiB


class Readable(Protocol):
    """What content is read from: files, sockets, BytesIO."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the start of `buffer`, and return how much; 0 at the end."""


class Sealer:
    """Seals one new object. `version` (16 bytes) and `salt` (32 bytes) are random, and never used twice."""

    def __init__(
        self, data_key: DataKey, place: Place, *, version: bytes, salt: bytes, segment_log2: int = SEGMENT_LOG2
    ) -> None:
        header = new_header(data_key, place, version, salt, segment_log2)
        self._header = header.pack()
        self._cipher = SegmentCipher(header, data_key.plain, place)
        self._segments_per_part = max(1, PART_BYTES >> segment_log2)

    def seal(self, content: Buffer) -> bytearray:
        """Return content that is in memory as one sealed object."""
        plain = memoryview(content).cast("B")
        return self._seal_part(plain, 0, count_segments(len(plain), self._cipher.segment_bytes), is_last=True)

    def parts_of(self, content: Buffer) -> Iterator[memoryview]:
        """Yield content that is in memory as one sealed object in parts, the header at the start of the first."""
        plain, size = memoryview(content).cast("B"), self._cipher.segment_bytes
        segments = count_segments(len(plain), size)
        for first in range(0, segments, self._segments_per_part):
            end = min(first + self._segments_per_part, segments)
            part = self._seal_part(plain[first * size : end * size], first, end - first, is_last=end == segments)
            yield memoryview(part)

    def parts(self, source: Readable | BinaryIO) -> Iterator[memoryview]:
        """Yield what a file gives as one sealed object in parts; at most two parts are in memory.

        A part is in a buffer of its own, for a store may hold it until it is sent; the plain content is read into one
        buffer that is used again and again.
        """
        size = self._cipher.segment_bytes
        # One segment more than fits into a part: only its first byte tells that the segment before is not the last.
        plain = memoryview(bytearray((self._segments_per_part + 1) * size))
        filled, index, is_at_end = 0, 0, False
        while not is_at_end:
            filled += _fill(source, plain[filled:])
            is_at_end = filled < len(plain)
            ready = count_segments(filled, size) if is_at_end else self._segments_per_part
            yield memoryview(self._seal_part(plain[: min(filled, ready * size)], index, ready, is_last=is_at_end))
            index += ready
            filled = max(0, filled - ready * size)
            plain[:filled] = plain[ready * size : ready * size + filled]

    def _seal_part(self, plain: memoryview, first: int, segments: int, *, is_last: bool) -> bytearray:
        """Return segments from `first` on, behind the header if that is the start."""
        size, head = self._cipher.segment_bytes, self._header if first == 0 else b""
        out = bytearray(len(head) + len(plain) + segments * TAG_BYTES)
        out[: len(head)] = head
        view, at = memoryview(out), len(head)
        for nth in range(segments):
            piece = plain[nth * size : (nth + 1) * size]
            at += self._cipher.seal_into(piece, view[at:], first + nth, is_last=is_last and nth == segments - 1)
        return out


def _fill(source: Readable | BinaryIO, buffer: memoryview) -> int:
    filled = 0
    while filled < len(buffer):
        read = source.readinto(buffer[filled:])  # type: ignore[union-attr]  # every binary file but the rawest has it
        if not read:
            break
        filled += read
    return filled
