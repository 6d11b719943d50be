"""Following a stream through broken connections."""

from __future__ import annotations

import itertools
import time

import httpx
import pytest

from lepton_ai.errors import Forbidden, Unavailable
from lepton_ai.sdk.connection import Call
from lepton_ai.sdk.follow import BACKOFF_SECONDS, FRUITLESS_MAX, follow
from lepton_ai.sdk.server_events import OPENED, ServerEvent
from tests.unit.sdk.fake_platform import FakePlatform, Reply, event, failing, plain, problem, stream

PATH = "/api/v1/nodes/watch"


def open_at(cursor: str, silence_seconds_max: float) -> Call:
    return Call("GET", PATH, {"since": cursor} if cursor else {}, answer_seconds_max=silence_seconds_max)


@pytest.fixture
def platform() -> FakePlatform:
    return FakePlatform()


def take(platform: FakePlatform, count: int) -> list[ServerEvent]:
    return list(itertools.islice(follow(platform.connection, open_at), count))


@pytest.mark.parametrize(
    "trouble",
    [stream(breaks=True), stream(), plain(503), failing(httpx.ConnectError("x")), failing(httpx.ReadTimeout("x"))],
)
def test_a_stream_goes_on_from_its_newest_cursor_after_trouble(platform: FakePlatform, trouble: Reply) -> None:
    platform.on(
        "GET", PATH, stream(event("put", 1, "5"), "data: lost", breaks=True), trouble, stream(event("put", 2, "6"))
    )
    told = [one for one in take(platform, 5) if one.event != OPENED]
    assert [one.data for one in told[:2]] == ["1", "2"]
    assert [dict(request.url.params) for request in platform.requests[:3]] == [{}, {"since": "5"}, {"since": "5"}]


def test_each_new_connection_is_told_of(platform: FakePlatform) -> None:
    platform.on("GET", PATH, stream(event("put", 1, "5"), breaks=True), stream(event("put", 2, "6")))
    assert [one.event for one in take(platform, 4)] == [OPENED, "put", OPENED, "put"]


def test_the_pauses_grow_until_something_is_heard(platform: FakePlatform) -> None:
    platform.on("GET", PATH, plain(503), plain(503), stream(event("put", 1, "5")), plain(503), stream(event("put", 2)))
    take(platform, 4)
    assert platform.naps == [BACKOFF_SECONDS[0], BACKOFF_SECONDS[1], BACKOFF_SECONDS[0], BACKOFF_SECONDS[1]]


def test_a_refusal_ends_it_at_once(platform: FakePlatform) -> None:
    platform.on("GET", PATH, problem(403, "forbidden", "Not yours."))
    with pytest.raises(Forbidden, match="Not yours"):
        take(platform, 1)
    assert platform.naps == []


@pytest.mark.parametrize("trouble", [plain(503), stream()])
def test_an_instance_that_stays_away_is_given_up_on(platform: FakePlatform, trouble: Reply) -> None:
    platform.on("GET", PATH, trouble)
    with pytest.raises(Unavailable):
        take(platform, 10_000)
    assert len(platform.requests) == FRUITLESS_MAX + 1


def test_nothing_is_asked_once_the_time_is_up(platform: FakePlatform) -> None:
    assert list(follow(platform.connection, open_at, until=time.monotonic() - 1)) == []
    assert platform.requests == []


def test_no_silence_outlasts_the_end(platform: FakePlatform) -> None:
    platform.on("GET", PATH, stream(event("put", 1, "5")))
    next(follow(platform.connection, open_at, until=time.monotonic() + 20))
    assert 0 < platform.requests[0].extensions["timeout"]["read"] <= 20
