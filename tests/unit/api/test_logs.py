"""Logs as server-sent events: every replica, resumed at a byte, honest about what is gone, with an end."""

from __future__ import annotations

import pytest

from lepton_ai.api.log_cursor import CURSOR_MAX, LogCursor, read_cursor
from lepton_ai.api.log_reading import CHUNK_BYTES, LogReader, Selection, decode
from lepton_ai.api.logs import TURN_CHUNKS_MAX
from lepton_ai.types.job import Job
from lepton_ai.types.task import ExitKind, Task
from tests.unit.api.platform import JOB, JOBS, Platform
from tests.unit.api.streams import Sent, Stream

LOGS = f"{JOBS}/train/logs"


def text(sent: list[Sent]) -> str:
    return "".join(one.data["text"] for one in sent if one.event == "log")


def read(platform: Platform, query: str = "") -> list[Sent]:
    with platform.stream(f"{LOGS}{query}") as stream:
        return stream.rest()


def until_end(stream: Stream) -> list[Sent]:
    return stream.rest()


def test_what_was_printed_is_read_and_then_the_end_is_told(platform: Platform) -> None:
    replica = platform.running_job("train")
    platform.runtime.write(replica, b"one\ntwo\n")
    log, end = read(platform)
    assert log.data == {
        "task": replica.removesuffix("-0"), "index": 0, "attempt": 1, "rank": 0,
        "text": "one\ntwo\n", "truncated_bytes": 0,
    }  # fmt: skip
    assert (end.event, end.data) == ("end", {"state": "running"})


def test_a_job_that_printed_nothing_has_an_end(platform: Platform) -> None:
    platform.post(JOBS, {**JOB, "metadata": {"name": "train"}})
    assert [(sent.event, sent.data) for sent in read(platform)] == [("end", {"state": "queued"})]


def test_following_tells_what_comes_and_ends_with_the_job(platform: Platform) -> None:
    platform.post(JOBS, {**JOB, "metadata": {"name": "train"}})
    with platform.stream(f"{LOGS}?follow=true") as stream:
        assert stream.is_silent()
        platform.settle()
        (task,) = platform.store.page(Task)
        platform.runtime.write(task.replica_id(0), b"one\n")
        assert stream.next().data["text"] == "one\n"
        platform.runtime.write(task.replica_id(0), b"two\n")
        assert stream.next().data["text"] == "two\n"
        platform.runtime.write(task.replica_id(0), b"last words")
        platform.runtime.end(task.replica_id(0))
        platform.settle()
        log, end = stream.rest()
        assert (log.data["text"], end.data) == ("last words", {"state": "succeeded"})


def test_a_job_that_ends_just_before_its_log_is_opened_has_an_end(platform: Platform) -> None:
    replica = platform.running_job("train")
    looked_up = platform.store.find(Job, "default", "train")
    platform.runtime.end(replica)
    platform.settle()
    reader = LogReader(platform.core, looked_up, Selection(), LogCursor())
    reader.refresh()
    assert (reader.is_over(), reader.state()) == (True, "succeeded")


@pytest.mark.parametrize("header", [True, False])
def test_reading_goes_on_from_a_cursor(platform: Platform, header: bool) -> None:
    replica = platform.running_job("train")
    platform.runtime.write(replica, b"one\n")
    cursor = read(platform)[0].id
    platform.runtime.write(replica, b"two\n")
    assert text(read(platform, f"?cursor={cursor}")) == "two\n"
    answer = platform.get(LOGS, headers={"last-event-id": cursor})
    assert "two" in answer.text
    assert "one" not in answer.text


def test_a_character_cut_in_half_waits_for_its_rest(platform: Platform) -> None:
    replica = platform.running_job("train")
    euro = "€".encode()
    platform.runtime.write(replica, b"costs " + euro[:2])
    with platform.stream(f"{LOGS}?follow=true") as stream:
        assert stream.next().data["text"] == "costs "
        assert stream.is_silent()
        platform.runtime.write(replica, euro[2:] + b"5")
        assert stream.next().data["text"] == "€5"


def test_a_character_that_stays_cut_is_marked_at_the_end(platform: Platform) -> None:
    replica = platform.running_job("train")
    platform.runtime.write(replica, b"x" + "€".encode()[:2])
    platform.runtime.end(replica)
    platform.settle()
    assert text(read(platform)) == "x\ufffd"


def test_characters_survive_the_borders_of_pieces(platform: Platform) -> None:
    replica = platform.running_job("train")
    written = "€" * CHUNK_BYTES  # three bytes each: no border of a piece falls between two of them
    platform.runtime.write(replica, written.encode())
    sent = read(platform)
    assert text(sent) == written
    assert len(sent) > 3


def test_bytes_that_are_no_text_are_marked(platform: Platform) -> None:
    replica = platform.running_job("train")
    platform.runtime.write(replica, b"a\xff\xfeb\x00c\n")
    assert text(read(platform)) == "a\ufffd\ufffdb\x00c\n"


def test_what_was_rotated_away_is_counted(platform: Platform) -> None:
    replica = platform.running_job("train")
    platform.runtime.write(replica, b"0123456789")
    platform.runtime.rotate(replica, keep_from=4)
    (log, _) = read(platform)
    assert (log.data["text"], log.data["truncated_bytes"]) == ("456789", 4)
    (log, _) = read(platform, f"?cursor={replica[:-2]}:2")
    assert (log.data["text"], log.data["truncated_bytes"]) == ("456789", 2)
    (log, _) = read(platform, f"?cursor={replica[:-2]}:6")
    assert (log.data["text"], log.data["truncated_bytes"]) == ("6789", 0)


@pytest.mark.parametrize(("tail", "shown"), [(3, "789"), (100, "0123456789"), (0, "0123456789")])
def test_the_last_bytes_may_be_asked_for(platform: Platform, tail: int, shown: str) -> None:
    platform.runtime.write(platform.running_job("train"), b"0123456789")
    (log, _) = read(platform, f"?tail_bytes={tail}")
    assert (log.data["text"], log.data["truncated_bytes"]) == (shown, 0)


def test_every_rank_of_a_gang_is_read_and_one_can_be_chosen(platform: Platform) -> None:
    task = platform.running_job("train", replicas=3).removesuffix("-0")
    for rank in range(3):
        platform.runtime.write(f"{task}-{rank}", f"rank {rank}\n".encode())
    assert [sent.data["rank"] for sent in read(platform)[:-1]] == [0, 1, 2]
    assert text(read(platform, "?rank=1")) == "rank 1\n"
    assert text(read(platform, "?rank=9")) == ""


def test_every_index_of_an_array_is_read(platform: Platform) -> None:
    platform.running_job("train", array=3)
    for task in platform.store.page(Task):
        platform.runtime.write(task.replica_id(0), f"{task.spec.index}\n".encode())
    sent = read(platform)
    assert [(one.data["index"], one.data["text"]) for one in sent[:-1]] == [(0, "0\n"), (1, "1\n"), (2, "2\n")]
    cursor = sent[-2].id
    assert text(read(platform, f"?cursor={cursor}")) == ""


def test_a_cursor_stays_short_however_long_the_array_is(platform: Platform) -> None:
    platform.running_job("train", array=20)
    for _ in range(4):
        for replica in platform.runtime.running():
            platform.runtime.write(replica, b"x")
            platform.runtime.end(replica)
        platform.settle()
    sent = read(platform, "?follow=true")
    assert (text(sent), sent[-1].data) == ("x" * 20, {"state": "succeeded"})
    with platform.stream(f"{LOGS}?cursor={sent[-2].id}") as stream:
        assert text(stream.rest()) == ""
    assert len(sent[-2].id) < 100


def test_a_cursor_of_the_largest_gang_fits_into_a_url() -> None:
    cursor = LogCursor("1" * 16 + "-task-" + "0" * 20, {"task-" + "1" * 20: dict.fromkeys(range(1000), 999_999_999)})
    assert len(str(cursor)) < CURSOR_MAX
    assert read_cursor(str(cursor)) == cursor


def test_a_cursor_that_would_be_too_long_forgets_what_has_ended_first() -> None:
    cursor = LogCursor(offsets={f"task-{number:020}": {0: 1000} for number in range(1000)})
    cursor.ended = {f"task-{number:020}" for number in range(1, 1000)}
    kept = read_cursor(str(cursor))
    assert len(str(cursor)) <= CURSOR_MAX
    assert kept.get("task-" + "0" * 20, 0) == 1000
    assert len(kept.offsets) > 300


def test_each_attempt_is_told_apart(platform: Platform) -> None:
    first = platform.running_job("train", retries={"failed": 1})
    platform.runtime.write(first, b"bad\n")
    platform.runtime.end(first, ExitKind.FAILED, 1)
    platform.settle()
    platform.pass_seconds(10)
    second = platform.store.page(Task)[0].replica_id(0)
    platform.runtime.write(second, b"good\n")
    assert [(one.data["attempt"], one.data["text"]) for one in read(platform)[:-1]] == [(1, "bad\n"), (2, "good\n")]


def test_a_replica_that_never_stops_printing_leaves_the_others_their_turn(platform: Platform) -> None:
    task = platform.running_job("train", replicas=2).removesuffix("-0")
    platform.runtime.write(f"{task}-0", b"x" * CHUNK_BYTES * (TURN_CHUNKS_MAX + 5))
    platform.runtime.write(f"{task}-1", b"y")
    ranks = [sent.data["rank"] for sent in read(platform)[:-1]]
    assert ranks.index(1) == TURN_CHUNKS_MAX
    assert len(ranks) == TURN_CHUNKS_MAX + 6


def test_a_task_that_was_lost_has_an_end(platform: Platform) -> None:
    replica = platform.running_job("train", retries={"lost_node": 0})
    platform.runtime.write(replica, b"and then" + "€".encode()[:1])
    platform.runtime.lose(replica)
    platform.settle()
    sent = read(platform, "?follow=true")
    assert (text(sent), sent[-1].data) == ("and then\ufffd", {"state": "failed"})


def test_a_job_deleted_meanwhile_ends_its_log(platform: Platform) -> None:
    replica = platform.running_job("train")
    platform.runtime.write(replica, b"one\n")
    with platform.stream(f"{LOGS}?follow=true") as stream:
        assert stream.next().data["text"] == "one\n"
        platform.call("DELETE", f"{JOBS}/train")
        platform.settle()
        assert stream.rest()[-1].data == {"state": "deleted"}
    assert platform.listeners() == 0


@pytest.mark.parametrize(
    "query",
    [
        *(f"cursor={cursor}" for cursor in ("x", ":5", "x:-5", "x:1e3", "x:%D9%A3", "~", "~task-x", "x:1.", "x:5,~X")),
        *(f"cursor={cursor}" for cursor in ("x:" + "9" * 19, "x" * 12001)),
        *("rank=-2", "rank=x", "tail_bytes=-1", "tail_bytes=" + "9" * 40, "follow=maybe", "frobnicate=1"),
    ],
)
def test_a_strange_question_is_refused(platform: Platform, query: str) -> None:
    platform.running_job("train")
    refused = platform.get(f"{LOGS}?{query}")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")


def test_a_cursor_of_something_else_reads_from_the_start(platform: Platform) -> None:
    replica = platform.running_job("train")
    platform.runtime.write(replica, b"one\n")
    assert text(read(platform, "?cursor=task-0:5")) == "one\n"
    assert text(read(platform, f"?cursor={replica[:-2]}:999")) == ""


@pytest.mark.parametrize("piece", [b"", b"abc", "€".encode()[:1], b"a" + "😀".encode()[:3], b"\xff"])
def test_decoding_holds_back_only_what_may_be_a_character(piece: bytes) -> None:
    text_now, used = decode(piece, is_rest=False)
    rest, _ = decode(piece[used:], is_rest=True)
    assert text_now + rest == piece.decode(errors="replace")
    assert len(piece) - used <= 3
