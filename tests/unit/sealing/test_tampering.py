"""Whatever is done to a sealed object in the store is found out, and no wrong content ever comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_ai.errors import IntegrityFailed
from lepton_ai.sealing.header import HEADER_BYTES, DataKey, Place, read_header
from lepton_ai.sealing.opener import Opener
from tests.unit.sealing.samples import CONTENT, KEY, PLACE, SEALED_SEGMENT, SEGMENT, open_sealed, seal

SEALED = seal()
# What the platform, not the reader, opens: another key comes out of it, or none. Tested with the keyring.
WRAPPED = range(HEADER_BYTES - 64, HEADER_BYTES)


def segment(sealed: bytes, index: int) -> bytes:
    return sealed[HEADER_BYTES + index * SEALED_SEGMENT : HEADER_BYTES + (index + 1) * SEALED_SEGMENT]


def assemble(*pieces: bytes) -> bytes:
    return SEALED[:HEADER_BYTES] + b"".join(pieces)


S0, S1, S2, S3 = (segment(SEALED, index) for index in range(4))


def is_found_out(sealed: bytes) -> bool:
    try:
        open_sealed(sealed)
    except IntegrityFailed:
        return True
    return False


def test_every_byte_of_four_segments_that_is_flipped_is_found_out() -> None:
    spoilt = bytearray(SEALED)
    unnoticed = []
    for place in range(len(SEALED)):
        spoilt[place] ^= 1 << (place % 8)
        unnoticed += [] if is_found_out(bytes(spoilt)) or place in WRAPPED else [place]
        spoilt[place] = SEALED[place]
    assert unnoticed == []


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param((S1, S0, S2, S3), id="swapped"),
        pytest.param((S0, S2, S3), id="one left out"),
        pytest.param((S0, S0, S2, S3), id="one in the place of another"),
        pytest.param((S0, S1, S1, S2, S3), id="one repeated"),
        pytest.param((S0, S1, S2), id="the last left out"),
        pytest.param((S0,), id="all but the first left out"),
        pytest.param((S0, S1, S2, S3, S3), id="the last repeated"),
        pytest.param((S0, S1, S2, S3, b"\0"), id="a byte added"),
        pytest.param((S0, S1, S2, S3[:-1]), id="a byte cut off"),
        pytest.param((), id="no segments at all"),
        pytest.param((S3,), id="the last alone"),
    ],
)
def test_segments_that_are_swapped_repeated_or_left_out_are_found_out(pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(IntegrityFailed):
        open_sealed(assemble(*pieces))


@given(st.integers(min_value=0, max_value=len(SEALED) - 1))
def test_an_object_that_was_cut_anywhere_is_found_out(kept: int) -> None:
    with pytest.raises(IntegrityFailed):
        open_sealed(SEALED[:kept])


@pytest.mark.parametrize(
    "place",
    [
        Place("project-2", PLACE.bucket_id, PLACE.name),
        Place(PLACE.project_id, "bucket-2", PLACE.name),
        Place(PLACE.project_id, PLACE.bucket_id, "models/letters.onnx"),
        Place("project-1bucket-1", "", PLACE.name),
    ],
    ids=["project", "bucket", "name", "the same letters otherwise divided"],
)
def test_an_object_that_was_moved_to_another_place_is_found_out(place: Place) -> None:
    with pytest.raises(IntegrityFailed, match="changed or moved"):
        open_sealed(SEALED, place)


def test_a_segment_of_an_older_version_is_found_out() -> None:
    older = seal(bytes(CONTENT))
    with pytest.raises(IntegrityFailed):
        open_sealed(assemble(S0, segment(older, 1), S2, S3))


def test_the_header_of_another_version_is_found_out() -> None:
    with pytest.raises(IntegrityFailed):
        open_sealed(seal()[:HEADER_BYTES] + SEALED[HEADER_BYTES:])


def test_another_key_opens_nothing_and_is_noticed_before_any_segment_is_read() -> None:
    header = read_header(SEALED)
    with pytest.raises(IntegrityFailed, match="not what was stored under this name"):
        header.object_key(DataKey(KEY.wrapped, bytes(32)).plain, PLACE)


@given(st.binary(max_size=HEADER_BYTES * 2))
def test_what_was_never_sealed_is_refused(stored: bytes) -> None:
    with pytest.raises(IntegrityFailed):
        open_sealed(stored)


@given(st.integers(0, 3 * SEGMENT + 99), st.integers(1, 2 * SEGMENT), st.integers(0, len(SEALED) - HEADER_BYTES - 1))
def test_a_range_is_right_or_refused_whatever_was_flipped(start: int, length: int, flipped: int) -> None:
    spoilt = bytearray(SEALED)
    spoilt[HEADER_BYTES + flipped] ^= 0x40
    opener = Opener(read_header(SEALED), KEY.plain, PLACE, len(SEALED))
    span = opener.span(start, start + length)
    is_touched = span.start_byte <= HEADER_BYTES + flipped < span.end_byte
    try:
        found = opener.read(start, start + length, lambda first, end: spoilt[first:end])
        was_right = found == CONTENT[start : start + length]
    except IntegrityFailed:
        was_right = is_touched
    assert was_right


def test_a_refused_span_leaves_nothing_of_it_behind() -> None:
    opener = Opener(read_header(SEALED), KEY.plain, PLACE, len(SEALED))
    out = bytearray(b"x" * opener.size)
    span = opener.span(0, 3 * SEGMENT)
    with pytest.raises(IntegrityFailed, match="segment 2"):
        opener.open_into(span, S0 + S1 + bytes(SEALED_SEGMENT), memoryview(out))
    assert out[: 3 * SEGMENT] == bytes(3 * SEGMENT)


def test_an_object_cut_at_the_end_of_a_segment_is_found_out_by_its_last_segment() -> None:
    cut = assemble(S0, S1)
    opener = Opener(read_header(cut), KEY.plain, PLACE, len(cut))
    last = opener.last
    with pytest.raises(IntegrityFailed, match="segment 1"):
        opener.open_into(last, cut[last.start_byte : last.end_byte], memoryview(bytearray(SEGMENT)))
