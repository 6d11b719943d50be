"""With a real core: an endpoint falls asleep, a request wakes it, and the end of its only replica loses no request."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.rig import ENDPOINTS, Platform, is_alive, wait_for
from tests.faults.traffic import serve

CLIENTS = 4
KILLS = 2  # after three in a row an endpoint is said to fail


@pytest.fixture
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform that runs, in a short path, because the data plane's sockets lie in it."""
    made = Platform(tmp_path_factory.mktemp("s") / "home")
    try:
        made.start()
        yield made
    finally:
        made.end()


def is_asleep(platform: Platform) -> bool:
    return bool(platform.get(f"{ENDPOINTS}/echo")["status"]["state"] == "asleep")


def test_an_idle_endpoint_falls_asleep_and_a_request_wakes_it_and_waits(platform: Platform) -> None:
    path = serve(platform, idle_timeout="1s")
    first = int(platform.call("GET", path).text)
    wait_for(lambda: is_asleep(platform), "the endpoint to fall asleep")
    wait_for(lambda: not is_alive(first), "its replica to be gone")

    answers = [platform.call("GET", path), platform.call("POST", path)]

    # The server knows no POST: that it says so shows that the request came to it.
    assert [answer.status_code for answer in answers] == [200, 501]
    assert int(answers[0].text) != first


def test_the_end_of_the_only_replica_loses_no_get(platform: Platform) -> None:
    path = serve(platform)
    pids, statuses, ended = [int(platform.call("GET", path).text)], [], threading.Event()

    def ask() -> None:
        while not ended.is_set():
            answer = platform.call("GET", path)
            statuses.append(answer.status_code if answer.is_success else answer.text)

    with ThreadPoolExecutor(CLIENTS) as clients:
        asking = [clients.submit(ask) for _ in range(CLIENTS)]
        try:
            for _ in range(KILLS):
                os.kill(pids[-1], signal.SIGKILL)
                pids.append(int(platform.call("GET", path).text))
                wanted = len(statuses) + 100
                wait_for(lambda wanted=wanted: len(statuses) >= wanted, "more answers")  # type: ignore[misc]
        finally:
            ended.set()
    assert [future.exception() for future in asking] == [None] * CLIENTS
    assert set(statuses) == {200}
    assert len(set(pids)) == KILLS + 1
