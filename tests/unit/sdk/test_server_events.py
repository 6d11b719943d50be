"""Reading server-sent events."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_ai.errors import Unavailable
from lepton_ai.sdk.server_events import EVENT_CHARS_MAX, PING, EventParser, ServerEvent

STREAM = (
    "\ufeff: hello\nid: 7\nevent: log\ndata: naïve 日本 🚀\n\n"
    "data: first\r\ndata:second\r\n\r\nevent: put\rdata: {}\rid: 8\r\r: ping\n\nevent: nothing\n\n"
)
EVENTS = [
    ServerEvent(PING),
    ServerEvent("log", "naïve 日本 🚀", "7"),
    ServerEvent("message", "first\nsecond", "7"),
    ServerEvent("put", "{}", "8"),
    ServerEvent(PING, id="8"),
]


def parse(pieces: list[bytes]) -> list[ServerEvent]:
    parser = EventParser()
    return [event for piece in pieces for event in parser.feed(piece)]


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM.encode())), max_size=20))
def test_events_are_the_same_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    content = STREAM.encode()
    edges = [0, *sorted(cuts), len(content)]
    pieces = [content[begin:end] for begin, end in itertools.pairwise(edges)]
    assert parse(pieces) == EVENTS


def test_events_are_the_same_byte_by_byte() -> None:
    assert parse([bytes([byte]) for byte in STREAM.encode()]) == EVENTS


def test_an_event_that_is_cut_off_is_not_told_of() -> None:
    assert parse([b"data: whole\n\ndata: ha", b"lf\n"]) == [ServerEvent("message", "whole")]


def test_separators_that_only_unicode_knows_do_not_end_a_line() -> None:
    assert parse(["data: a\u2028b\x0bc\x85d\n\n".encode()]) == [ServerEvent("message", "a\u2028b\x0bc\x85d")]


def test_an_id_with_a_nul_byte_is_ignored() -> None:
    assert parse([b"id: 1\nid: 2\0\ndata: x\n\n"]) == [ServerEvent("message", "x", "1")]


def test_a_line_that_never_ends_is_refused() -> None:
    parser = EventParser()
    with pytest.raises(Unavailable, match="more than"):
        list(parser.feed(b"data: " + b"x" * (EVENT_CHARS_MAX + 1)))


def test_an_event_of_endless_lines_is_refused() -> None:
    parser = EventParser()
    line = b"data: " + b"x" * (EVENT_CHARS_MAX // 4) + b"\n"
    fed = (event for _ in range(5) for event in parser.feed(line))
    with pytest.raises(Unavailable, match="more than"):
        next(fed)
