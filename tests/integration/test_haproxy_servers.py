"""What happens to requests while replicas come, drain, die and wake: none that may be sent again is lost."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from lepton_ai.types.data_plane import HealthCheck, ServerState
from tests.integration.haproxy_rig import Replica, Rig, poll, rig_in, route

PATH = "/endpoints/vision/digits/"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as made:
        yield made


class Load:
    """Clients that send one GET after another until told to stop, and note what came back."""

    def __init__(self, rig: Rig, *, clients: int, warm_up: int = 50) -> None:
        self.outcomes: Counter[str] = Counter()
        self._rig = rig
        self._warm_up = warm_up
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        self.go_on(self._warm_up)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def go_on(self, requests: int) -> None:
        """Return after so many more answers."""
        goal = self.outcomes.total() + requests
        poll(lambda: self.outcomes.total() >= goal, f"{requests} more answers")

    def _send(self) -> None:
        with self._rig.client() as client:
            while not self._is_over.is_set():
                try:
                    self.outcomes[str(client.get(PATH).status_code)] += 1
                except httpx.HTTPError as error:
                    self.outcomes[repr(error)] += 1


def pid_of(rig: Rig) -> int:
    return int(rig.get(PATH).json()["pid"])


def test_kill_9_of_a_replica_loses_no_get(rig: Rig) -> None:
    doomed, other = rig.replica(), rig.replica()
    rig.serve(route(doomed.server("r1"), other.server("r2")))
    with Load(rig, clients=4) as load:
        doomed.kill()
        load.go_on(300)
    assert load.outcomes.keys() == {"200"}
    assert pid_of(rig) == other.process.pid


def test_kill_9_of_the_only_replica_hands_its_requests_to_the_core(rig: Rig) -> None:
    core, doomed = rig.core(), rig.replica()
    rig.serve(route(doomed.server("r1")))
    with Load(rig, clients=4) as load:
        doomed.kill()
        load.go_on(300)
    assert load.outcomes.keys() == {"200"}
    assert pid_of(rig) == core.process.pid


def test_a_replica_that_comes_back_is_used_again(rig: Rig) -> None:
    core, doomed = rig.core(), rig.replica()
    rig.serve(route(doomed.server("r1")))
    doomed.kill()
    poll(lambda: pid_of(rig) == core.process.pid, "the dead replica to be left out")
    again = rig.replica(doomed.where)
    poll(lambda: pid_of(rig) == again.process.pid, "the replica to be used again")


def test_a_dropped_get_is_sent_again_and_a_dropped_post_is_not(rig: Rig) -> None:
    first, second = rig.replica(), rig.replica()
    rig.serve(route(first.server("r1"), second.server("r2")))
    with rig.client() as client:
        post = client.post(f"{PATH}drop").status_code
        posted = _drops(rig)
        client.get(f"{PATH}drop")
    assert (post, posted) == (502, 1)
    assert _drops(rig) > 2


def test_a_draining_replica_ends_what_it_has_and_gets_nothing_new(rig: Rig) -> None:
    old, new = rig.replica(), rig.replica()
    rig.serve(route(old.server("r1")))
    with rig.client() as client, client.stream("GET", f"{PATH}stream?1") as answer:
        rig.serve(route(old.server("r1", ServerState.DRAIN), new.server("r2")))
        served_by = {pid_of(rig) for _ in range(20)}
        during = rig.plane.figures()["vision", "digits"].servers["r1"].in_flight
        text = "".join(answer.iter_text())
    assert served_by == {new.process.pid}
    assert during == 1
    assert text == "first\nlast\n"
    poll(lambda: rig.plane.figures()["vision", "digits"].servers["r1"].in_flight == 0, "the drained replica to be idle")


def test_a_replica_may_be_taken_out_of_draining(rig: Rig) -> None:
    only = rig.replica()
    rig.core()
    rig.serve(route(only.server("r1", ServerState.DRAIN)))
    assert pid_of(rig) != only.process.pid
    rig.serve(route(only.server("r1")))
    assert pid_of(rig) == only.process.pid


def test_a_rolling_update_under_load_loses_nothing_and_does_not_reload(rig: Rig) -> None:
    old, new = rig.replica(), rig.replica()
    rig.serve(route(old.server("r1")))
    with Load(rig, clients=4) as load:
        rig.serve(route(old.server("r1"), new.server("r2")))
        load.go_on(50)
        rig.serve(route(old.server("r1", ServerState.DRAIN), new.server("r2")))
        poll(lambda: rig.plane.figures()["vision", "digits"].servers["r1"].in_flight == 0, "the old replica to be idle")
        rig.serve(route(new.server("r2")))
        old.kill()
        load.go_on(100)
    assert load.outcomes.keys() == {"200"}
    assert rig.plane.figures()["vision", "digits"].requests_total >= 200, "a reload would have started the count anew"


def test_a_removed_replica_is_gone_after_a_few_rounds(rig: Rig) -> None:
    first, second = rig.replica(), rig.replica()
    rig.serve(route(first.server("r1"), second.server("r2")))
    assert rig.get(PATH).status_code == 200

    def is_gone() -> bool:
        rig.serve(route(second.server("r2")))
        return rig.plane.figures()["vision", "digits"].servers.keys() == {"r2"}

    poll(is_gone, "the removed replica to be deleted")


def test_each_replica_is_probed_at_its_own_path(rig: Rig) -> None:
    first, second = rig.replica(), rig.replica()
    rig.serve(route(first.server("r1", health_path="/ready?a=1")))
    rig.serve(route(first.server("r1", health_path="/ready?a=1"), second.server("r2", health_path="/live")))
    poll(lambda: "/ready?a=1" in _seen(first), "a probe of the first replica")
    poll(lambda: "/live" in _seen(second), "a probe of the second replica")
    assert "/live" not in _seen(first)


def test_a_replica_whose_probe_fails_is_left_out(rig: Rig) -> None:
    sick, well = rig.replica(), rig.replica()
    rig.serve(route(sick.server("r1", health_path="/drop"), well.server("r2")))
    poll(lambda: not rig.plane.figures()["vision", "digits"].servers["r1"].is_up, "the sick replica to be left out")
    assert {pid_of(rig) for _ in range(10)} == {well.process.pid}


def test_a_replica_without_http_probes_is_found_dead_by_its_port(rig: Rig) -> None:
    core, doomed = rig.core(), rig.replica()
    rig.serve(replace(route(doomed.server("r1", health_path="")), health=HealthCheck.TCP))
    assert pid_of(rig) == doomed.process.pid
    doomed.kill()
    poll(lambda: not rig.plane.figures()["vision", "digits"].servers["r1"].is_up, "the closed port to be noticed")
    assert pid_of(rig) == core.process.pid


def test_a_changed_limit_of_concurrency_holds_without_losing_a_request(rig: Rig) -> None:
    only = rig.replica()
    rig.serve(route(only.server("r1"), max_concurrency=5))
    rig.serve(route(only.server("r1"), max_concurrency=1))
    with rig.client() as client, client.stream("GET", f"{PATH}stream?1"), Load(rig, clients=2, warm_up=0) as load:
        poll(lambda: rig.plane.figures()["vision", "digits"].queued == 2, "both clients to queue")
        load.go_on(2)
    assert load.outcomes.keys() == {"200"}


def test_the_figures_tell_of_requests_errors_and_rest(rig: Rig) -> None:
    rig.serve(route(rig.replica().server("r1")))
    before = rig.plane.figures()["vision", "digits"]
    assert rig.get(PATH).status_code == 200
    with rig.client() as client:
        assert client.post(f"{PATH}drop").status_code == 502
    poll(lambda: rig.plane.figures()["vision", "digits"].requests_total == 2, "two requests to be counted")
    after = rig.plane.figures()["vision", "digits"]
    assert (before.last_request_seconds_ago, before.requests_total) == (None, 0)
    assert after.last_request_seconds_ago is not None
    assert after.errors_total == 1


def test_a_request_that_waits_for_a_replica_is_counted_as_waking(rig: Rig) -> None:
    core = rig.core()
    rig.serve(route())
    core.process.send_signal(signal.SIGSTOP)
    with Load(rig, clients=1, warm_up=0) as load:
        poll(lambda: rig.plane.figures()["vision", "digits"].waking == 1, "the request to wait in the core")
        core.process.send_signal(signal.SIGCONT)
        load.go_on(1)
    assert load.outcomes.keys() == {"200"}
    assert rig.plane.figures()["vision", "digits"].in_flight == 0


def _seen(replica: Replica) -> list[str]:
    return [str(target) for target in httpx.get(f"http://127.0.0.1:{replica.where}/seen").json()["seen"]]


def _drops(rig: Rig) -> int:
    return sum(_seen(replica).count("/drop") for replica in rig.replicas)
