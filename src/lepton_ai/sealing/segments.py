"""Seals and opens the segments of one object, in place and in any order, after STREAM (Hoang and others, 2015)."""

from __future__ import annotations

import hashlib
import struct
from typing import TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lepton_ai.errors import IntegrityFailed
from lepton_ai.sealing.header import HEADER_BYTES, Header, Place

TAG_BYTES = 16
SEGMENTS_MAX = 1 << 32  # NIST SP 800-38D, section 8.3, allows as many calls under one key: 4 PiB in one object

Buffer: TypeAlias = bytes | bytearray | memoryview


class SegmentCipher:
    """Seals or opens segment by segment. Each place of a segment has its own nonce under a key used for nothing else.

    The nonce is the index (11 bytes, big-endian) and whether the segment is the last (1 byte), as age has it; both
    are also in the authenticated data, behind the hash of project, bucket, name and version.
    """

    def __init__(self, header: Header, data_key: bytes, place: Place) -> None:
        """Raise IntegrityFailed if the header was not made with that key for that place."""
        self._cipher = AESGCM(header.object_key(data_key, place).cipher)
        self._bound_to = hashlib.sha256(place.encoded() + header.version).digest()
        self._name = place.name
        self.segment_bytes = header.segment_bytes
        self.sealed_segment_bytes = header.segment_bytes + TAG_BYTES

    def seal_into(self, plain: Buffer, out: memoryview, index: int, *, is_last: bool) -> int:
        """Write one sealed segment to the start of `out`; return its size, TAG_BYTES more than that of `plain`."""
        assert index < SEGMENTS_MAX
        assert len(plain) == self.segment_bytes or (is_last and len(plain) < self.segment_bytes)
        size = len(plain) + TAG_BYTES
        self._cipher.encrypt_into(_nonce(index, is_last), plain, self._associated(index, is_last), out[:size])
        return size

    def open_into(self, sealed: Buffer, out: memoryview, index: int, *, is_last: bool) -> int:
        """Write one plain segment to the start of `out` and return its size.

        Raises IntegrityFailed, and then leaves nothing but zeros there, if it is not the segment of that index.
        """
        size = len(sealed) - TAG_BYTES
        if size < 0 or size > self.segment_bytes:
            raise self._damaged(index)
        view = out[:size]
        try:
            self._cipher.decrypt_into(_nonce(index, is_last), sealed, self._associated(index, is_last), view)
        except InvalidTag as error:
            view[:] = bytes(size)  # OpenSSL writes before it has checked
            raise self._damaged(index) from error
        return size

    def _associated(self, index: int, is_last: bool) -> bytes:
        return self._bound_to + struct.pack(">QB", index, is_last)

    def _damaged(self, index: int) -> IntegrityFailed:
        return IntegrityFailed(
            f"The object {self._name!r} is damaged: its segment {index} is not what was stored.",
            hint="Restore it from a copy, and find out who can write to the store.",
        )


def count_segments(plain_bytes: int, segment_bytes: int) -> int:
    """Return how many segments hold so many bytes; an empty object has one, which is empty."""
    return max(1, -(-plain_bytes // segment_bytes))


def sealed_size(plain_bytes: int, segment_bytes: int) -> int:
    """Return how large an object is stored."""
    return HEADER_BYTES + plain_bytes + TAG_BYTES * count_segments(plain_bytes, segment_bytes)


def plain_size(sealed_bytes: int, segment_bytes: int) -> int:
    """Return the size of the content; raises IntegrityFailed if nothing sealed has that size.

    An object that was cut at the end of a segment passes here: only its last segment, opened as such, shows that.
    """
    body = sealed_bytes - HEADER_BYTES
    segments = max(1, -(-body // (segment_bytes + TAG_BYTES)))
    last = body - (segments - 1) * (segment_bytes + TAG_BYTES)
    if last < TAG_BYTES or (segments > 1 and last == TAG_BYTES):
        raise IntegrityFailed(
            f"No sealed object has {sealed_bytes:,} bytes: this one was cut.", hint="Restore it from a copy."
        )
    return body - segments * TAG_BYTES


def _nonce(index: int, is_last: bool) -> bytes:
    return struct.pack(">3xQB", index, is_last)
