"""Reading logs as lines."""

from __future__ import annotations

import pytest

from lepton_ai.errors import NotFound
from lepton_ai.sdk.logs import LINE_CHARS_MAX, LogLine, LogRequest, LogStream
from tests.unit.sdk.fake_platform import PROJECT, FakePlatform, Reply, event, log, problem, stream

PATH = f"{PROJECT}/jobs/job-1/logs"
END = event("end", {"state": "succeeded"})


@pytest.fixture
def platform() -> FakePlatform:
    return FakePlatform()


def read(platform: FakePlatform, *replies: Reply, request: LogRequest | None = None) -> LogStream:
    platform.on("GET", PATH, *replies)
    return LogStream(platform.connection, PATH, request or LogRequest())


def texts(stream: LogStream) -> list[str]:
    return [line.text for line in stream]


def test_lines_are_whole_however_they_were_cut(platform: FakePlatform) -> None:
    pieces = stream(
        log("Epoch 1, tr", "a"), log("ain loss: 0.5\n\nEpo", "b"), log("ch 2\r\n", "c"), log("end", "d"), END
    )
    assert texts(read(platform, pieces)) == ["Epoch 1, train loss: 0.5", "", "Epoch 2", "end"]


def test_replicas_do_not_get_into_one_anothers_lines(platform: FakePlatform) -> None:
    pieces = stream(log("a", rank=0), log("b", rank=1), log("c\n", rank=0), log("d\n", rank=1), END)
    lines = list(read(platform, pieces))
    assert [(line.rank, line.text) for line in lines] == [(0, "ac"), (1, "bd")]


def test_a_line_knows_who_wrote_it(platform: FakePlatform) -> None:
    (line,) = read(platform, stream(log("x\n", rank=3, index=2, attempt=4, truncated_bytes=9), END))
    assert line == LogLine("x", rank=3, index=2, attempt=4, task="task-1", truncated_bytes=9)


def test_a_gap_ends_the_line_before_it_and_is_told_of_once(platform: FakePlatform) -> None:
    lines = list(read(platform, stream(log("half"), log("other\nlast\n", truncated_bytes=100), END)))
    assert [(line.text, line.truncated_bytes) for line in lines] == [("half", 0), ("other", 100), ("last", 0)]


def test_a_line_without_end_is_handed_out_in_parts(platform: FakePlatform) -> None:
    long = "x" * (LINE_CHARS_MAX + 1)
    assert texts(read(platform, stream(log(long), log("y\n"), END))) == [long, "y"]


def test_printing_shows_the_whole_text(platform: FakePlatform) -> None:
    assert str(read(platform, stream(log("6 * 7\n42\n"), END))) == "6 * 7\n42"


def test_pieces_are_just_as_they_were_written(platform: FakePlatform) -> None:
    stream_of_pieces = read(platform, stream(log("10%\r"), log("20%\r\n"), END))
    assert [piece.text for piece in stream_of_pieces.pieces()] == ["10%\r", "20%\r\n"]


def test_the_state_is_known_at_the_end(platform: FakePlatform) -> None:
    logs = read(platform, stream(log("x\n"), END))
    list(logs)
    assert logs.state == "succeeded"


def test_a_broken_connection_loses_and_repeats_nothing(platform: FakePlatform) -> None:
    first = stream(log("one\ntw", "1"), log("o\n", "2"), "id: 3\nevent: log\ndata: {", breaks=True)
    second = stream(log("o\n", "2"), log("three\n", "3"), END)
    assert texts(read(platform, first, second)) == ["one", "two", "three"]
    assert platform.requests[1].url.params["cursor"] == "2"


def test_equal_lines_under_one_cursor_are_all_handed_out(platform: FakePlatform) -> None:
    assert texts(read(platform, stream(log("tick\n", "7"), log("tick\n", "7"), END))) == ["tick", "tick"]


def test_a_tail_is_asked_for_only_until_there_is_a_cursor(platform: FakePlatform) -> None:
    request = LogRequest(follow=True, rank=2, tail_bytes=100)
    list(read(platform, stream(log("x\n", "1"), breaks=True), stream(END), request=request))
    first, second = (dict(one.url.params) for one in platform.requests)
    assert first == {"follow": "true", "tail_bytes": "100", "rank": "2"}
    assert second == {"follow": "true", "cursor": "1", "rank": "2"}


def test_a_job_that_is_not_there_is_told_of_at_the_first_line(platform: FakePlatform) -> None:
    logs = read(platform, problem(404, "not_found", "There is no job."))
    with pytest.raises(NotFound):
        next(logs)
