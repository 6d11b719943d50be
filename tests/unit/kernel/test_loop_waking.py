"""When the loop works and when it rests."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lepton_ai.errors import Unavailable
from lepton_ai.kernel.decision import Decision
from lepton_ai.kernel.registry import AsgiApp, Service, View
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
