"""Opens what was sealed: whole, or only those segments that a range touches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from lepton_ai.sealing.header import HEADER_BYTES, Header, Place
from lepton_ai.sealing.segments import Buffer, SegmentCipher, count_segments, plain_size


class Span(NamedTuple):
    """Segments `first` to `end` (exclusive), and where they lie in the stored object."""

    first: int
    end: int
    start_byte: int
    end_byte: int


class Opener:
    """Opens one object of a known stored size. Nothing that it returns was not authenticated first.

    The size comes from the store and is not to be believed: whoever reads less than the whole opens `last` first,
    which fails unless the object ends where the store says.
    """

    def __init__(self, header: Header, data_key: bytes, place: Place, sealed_bytes: int) -> None:
        """Raise IntegrityFailed if the header was not made with that key for that place, or the size cannot be."""
        self._cipher = SegmentCipher(header, data_key, place)
        self.size = plain_size(sealed_bytes, self._cipher.segment_bytes)
        self._sealed_bytes = sealed_bytes
        self._segments = count_segments(self.size, self._cipher.segment_bytes)

    def span(self, start: int, end: int) -> Span:
        """Return the segments that hold the bytes `start` to `end` (exclusive) of the content."""
        size, sealed = self._cipher.segment_bytes, self._cipher.sealed_segment_bytes
        first = min(start // size, self._segments - 1)
        beyond = min(max(first + 1, -(-end // size)), self._segments)
        return Span(
            first, beyond, HEADER_BYTES + first * sealed, min(HEADER_BYTES + beyond * sealed, self._sealed_bytes)
        )

    @property
    def last(self) -> Span:
        """The last segment."""
        return self.span(self.size, self.size)

    def spans(self, bytes_max: int) -> Iterator[Span]:
        """Yield the whole object in spans of at most `bytes_max` bytes of content, and at least one segment."""
        step = max(1, bytes_max // self._cipher.segment_bytes) * self._cipher.segment_bytes
        for start in range(0, max(1, self.size), step):
            yield self.span(start, min(start + step, self.size))

    def content_size(self, span: Span) -> int:
        """Return how many bytes of content a span holds."""
        size = self._cipher.segment_bytes
        return min(span.end * size, self.size) - span.first * size

    def span_start(self, span: Span) -> int:
        """Return where in the content a span begins."""
        return span.first * self._cipher.segment_bytes

    def open_into(self, span: Span, sealed: Buffer, out: memoryview) -> int:
        """Write the content of a span to the start of `out`; return its size. Raises IntegrityFailed."""
        source, at = memoryview(sealed).cast("B"), 0
        size = self._cipher.sealed_segment_bytes
        for nth, index in enumerate(range(span.first, span.end)):
            is_last = index == self._segments - 1
            piece = source[nth * size : (nth + 1) * size if not is_last else span.end_byte - span.start_byte]
            try:
                at += self._cipher.open_into(piece, out[at:], index, is_last=is_last)
            except Exception:
                out[:at] = bytes(at)  # a caller that catches this must not find half of an object
                raise
        return at

    def read(self, start: int, end: int, fetch: Callable[[int, int], Buffer]) -> bytes:
        """Return a range of the content; `fetch` returns a range of the stored bytes. Raises IntegrityFailed."""
        end = min(end, self.size)
        if start >= end:
            return b""
        span = self.span(start, end)
        out = memoryview(bytearray(self.content_size(span)))
        self.open_into(span, fetch(span.start_byte, span.end_byte), out)
        offset = start - self.span_start(span)
        return bytes(out[offset : offset + end - start])
