"""Keys, places and ways to seal and open that the tests of the sealed object share."""

from __future__ import annotations

import io
import os

from lepton_ai.sealing.header import HEADER_BYTES, DataKey, Place, read_header
from lepton_ai.sealing.opener import Opener
from lepton_ai.sealing.sealer import Sealer

SEGMENT_LOG2 = 12  # the smallest, so that an object of four segments is quickly tried from every side
SEGMENT = 1 << SEGMENT_LOG2
SEALED_SEGMENT = SEGMENT + 16
PLACE = Place("project-1", "bucket-1", "models/digits.onnx")
KEY = DataKey(wrapped=bytes(range(64)), plain=bytes(range(32)))
CONTENT = bytes((index * 31 + index // 251) % 256 for index in range(3 * SEGMENT + 100))  # four segments, none alike


def sealer(place: Place = PLACE, key: DataKey = KEY, *, segment_log2: int = SEGMENT_LOG2) -> Sealer:
    """Return a sealer of a fresh version."""
    return Sealer(key, place, version=os.urandom(16), salt=os.urandom(32), segment_log2=segment_log2)


def seal(content: bytes = CONTENT, place: Place = PLACE, key: DataKey = KEY) -> bytes:
    """Return the content as one sealed object."""
    return bytes(sealer(place, key).seal(content))


def seal_in_parts(content: bytes) -> bytes:
    """Return the content as one sealed object, made part by part."""
    return b"".join(sealer().parts(io.BytesIO(content)))


def open_sealed(sealed: bytes, place: Place = PLACE, key: bytes = KEY.plain) -> bytes:
    """Return the content of a sealed object, read whole."""
    opener = Opener(read_header(sealed[:HEADER_BYTES]), key, place, len(sealed))
    out = bytearray(opener.size)
    for span in opener.spans(2 * SEGMENT):
        at = span.first * SEGMENT
        opener.open_into(span, sealed[span.start_byte : span.end_byte], memoryview(out)[at:])
    return bytes(out)
