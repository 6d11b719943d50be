"""What was sealed opens again, in one piece, in parts or by ranges, and looks like noise in between."""

from __future__ import annotations

import io
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_ai.sealing.header import HEADER_BYTES, Place, read_header
from lepton_ai.sealing.opener import Opener
from lepton_ai.sealing.sealer import PART_BYTES, Sealer
from lepton_ai.sealing.segments import plain_size, sealed_size
from tests.unit.sealing.samples import (
    CONTENT,
    KEY,
    PLACE,
    SEGMENT,
    SEGMENT_LOG2,
    open_sealed,
    seal,
    seal_in_parts,
    sealer,
)

SIZES = [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT, 3 * SEGMENT + 7]


class Endless:
    """A file of zeros that is longer than memory should ever hold."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readinto(self, buffer: memoryview) -> int:
        read = min(len(buffer), self.left, 100_000)
        self.left -= read
        return read


@pytest.mark.parametrize("size", SIZES)
def test_what_was_sealed_opens(size: int) -> None:
    assert open_sealed(seal(CONTENT[:size])) == CONTENT[:size]


@pytest.mark.parametrize(
    "size", [*SIZES, PART_BYTES - 1, PART_BYTES, PART_BYTES + SEGMENT, 2 * PART_BYTES + SEGMENT + 5]
)
def test_what_was_sealed_in_parts_opens(size: int) -> None:
    content = (CONTENT * (size // len(CONTENT) + 1))[:size]
    assert open_sealed(seal_in_parts(content)) == content
    assert open_sealed(b"".join(sealer().parts_of(content))) == content


@pytest.mark.parametrize("size", SIZES)
def test_the_stored_size_tells_the_size_of_the_content(size: int) -> None:
    sealed = seal(CONTENT[:size])
    assert len(sealed) == sealed_size(size, SEGMENT)
    assert plain_size(len(sealed), SEGMENT) == size


@given(st.integers(0, len(CONTENT) + 10), st.integers(0, len(CONTENT) + 10))
def test_any_range_can_be_read(start: int, end: int) -> None:
    opener = Opener(read_header(SEALED), KEY.plain, PLACE, len(SEALED))
    assert opener.read(start, end, lambda first, beyond: SEALED[first:beyond]) == CONTENT[start:end]


def test_a_range_reads_only_the_segments_that_it_touches() -> None:
    fetched = []

    def fetch(first: int, end: int) -> bytes:
        fetched.append((first, end))
        return SEALED[first:end]

    opener = Opener(read_header(SEALED), KEY.plain, PLACE, len(SEALED))
    opener.read(SEGMENT + 10, SEGMENT + 20, fetch)
    assert fetched == [(HEADER_BYTES + SEGMENT + 16, HEADER_BYTES + 2 * (SEGMENT + 16))]


def test_the_same_content_never_looks_the_same_twice_and_never_like_itself() -> None:
    first, second = seal(b"tell nobody" * 1000), seal(b"tell nobody" * 1000)
    assert b"tell nobody" not in first
    assert first[HEADER_BYTES:] != second[HEADER_BYTES:]


def test_sealing_a_large_file_holds_a_few_parts_in_memory() -> None:
    sealer = Sealer(KEY, PLACE, version=bytes(16), salt=bytes(32))
    tracemalloc.start()
    sealed = sum(len(part) for part in sealer.parts(Endless(100 * 1024 * 1024)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sealed == sealed_size(100 * 1024 * 1024, 1 << 20)
    assert peak < 4 * PART_BYTES


def test_a_file_that_gives_little_at_a_time_is_sealed_all_the_same() -> None:
    sealer = Sealer(KEY, PLACE, version=bytes(16), salt=bytes(32), segment_log2=SEGMENT_LOG2)
    sealed = b"".join(sealer.parts(io.BufferedReader(Trickle(CONTENT))))
    assert open_sealed(sealed) == CONTENT


def test_keys_are_not_shown() -> None:
    assert "plain" not in repr(KEY)
    assert "cipher" not in repr(read_header(SEALED).object_key(KEY.plain, PLACE))


def test_the_format_does_not_change_under_what_was_stored() -> None:
    """Version 1 to the byte: whoever breaks this makes every object unreadable that somebody stored."""
    sealer = Sealer(KEY, Place("p", "b", "n"), version=bytes(16), salt=bytes(32), segment_log2=12)
    sealed = bytes(sealer.seal(b"lepton"))
    assert sealed[:16] == struct.pack(">6sBBB7x", b"LEPTON", 1, 1, 12)
    assert sealed[96:160] == KEY.wrapped
    assert sealed[64:96].hex() == "119e9f44e77c4a6168c5b6ba6636ec72ecb42ecfce3fc37b6b0cd594ac429b51"
    assert sealed[160:].hex() == "0e3d47f5c6c14ec2e68557282c488a205280b8fd2abc"


class Trickle(io.RawIOBase):
    """A raw file that gives at most 700 bytes at once."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # narrower than any writable buffer
        return self._content.readinto(memoryview(buffer)[:700])


SEALED = seal()
