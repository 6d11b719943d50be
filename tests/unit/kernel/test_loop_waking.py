"""When the loop works and when it rests."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from lepton_ai.errors import Unavailable
from lepton_ai.kernel.change import delete
from lepton_ai.kernel.decision import Decision
from lepton_ai.kernel.registry import AsgiApp, Service, View
from lepton_ai.kernel.store.schema import revision
from lepton_ai.kernel.store.store import TOMBSTONES_KEPT
from lepton_ai.types.base import AnyObject
from lepton_ai.types.job import Job
from tests.unit.kernel.rig import RUNS_ON, Rig


class Confused:
    """A service that fails for one of its jobs, and in what it does outside."""

    gateway: AsgiApp | None = None

    def decide(self, thing: AnyObject, view: View, now: object) -> Decision:
        assert thing.name != "bad", "our own mistake"
        return Decision()

    def apply(self, view: View, now: object) -> None:
        raise Unavailable("The world outside does not answer.")

    def close(self) -> None: ...


def test_the_loop_rests_until_something_is_due() -> None:
    rig = Rig()
    rig.submit(command=RUNS_ON)
    rig.work(1)
    assert rig.core.loop.seconds_to_next() == pytest.approx(29, abs=1)


def test_a_decision_that_took_long_is_not_asked_for_again_before_twice_that_time() -> None:
    asked: list[str] = []

    class Slow(Confused):
        def decide(self, thing: AnyObject, view: View, now: object) -> Decision:
            asked.append(thing.id)
            rig.clock.advance(timedelta(seconds=1))
            return Decision()

        def apply(self, view: View, now: object) -> None: ...

    rig = Rig(services=[Service("slow", (Job,), open=lambda _door: Slow())])
    job = rig.submit()
    rig.core.loop.try_pass()
    rig.core.loop.wake(job.id)
    rig.core.loop.try_pass()
    assert len(asked) == 1
    assert rig.core.loop.seconds_to_next() == pytest.approx(2)
    rig.clock.advance(timedelta(seconds=2))
    rig.core.loop.try_pass()
    assert len(asked) == 2


def test_a_wake_brings_a_decision_on_the_object_that_it_names() -> None:
    asked: list[str] = []

    class Counting(Confused):
        def decide(self, thing: AnyObject, view: View, now: object) -> Decision:
            asked.append(thing.id)
            return Decision()

    rig = Rig(services=[Service("counting", (Job,), open=lambda _door: Counting())])
    job = rig.submit()
    rig.work()
    asked.clear()
    rig.core.loop.wake(job.id)
    rig.core.loop.try_pass()
    assert asked == [job.id]


def test_the_loop_works_in_its_thread_until_it_is_stopped(tmp_path: Path) -> None:
    rig = Rig(database=f"sqlite:///{tmp_path / 'lepton.db'}")
    done = threading.Event()
    rig.store.on_change(lambda: done.set() if rig.store.revision() > 3 else None)
    thread = threading.Thread(target=rig.core.loop.run, daemon=True)
    thread.start()
    rig.submit()
    assert done.wait(30)
    rig.core.loop.stop()
    thread.join(30)
    assert not thread.is_alive()


def test_old_history_is_dropped_once_a_day() -> None:
    rig = Rig()
    rig.core.loop.try_pass()
    job = rig.submit()
    rig.store.commit([delete(rig.store.get(Job, job.id))], actor="ada")
    with rig.engine.execution_options(writes=True).begin() as connection:
        connection.execute(sa.update(revision).values(last=TOMBSTONES_KEPT * 2))
    rig.clock.advance(timedelta(hours=23))
    rig.core.loop.try_pass()
    assert [seen.object.id for seen in rig.store.changes(0, kinds=(Job.KIND,))] == [job.id]
    rig.clock.advance(timedelta(hours=1))
    rig.core.loop.try_pass()
    assert rig.store.changes(0, kinds=(Job.KIND,)) == []
