"""Who is told why it waits: everybody at once, then now and then, and never so many that the loop has no time left."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from lepton_ai.kernel.telling import RENEW_REASON, RENEWED_MAX, RENEWED_PER_SECOND, Telling
from lepton_ai.types.base import Reason
from tests.unit.kernel.samples import later, task
from tests.unit.kernel.test_follower import World

PAUSE = RENEW_REASON.total_seconds()


class Scene:
    """A queue of tasks, of which each takes what it is told as its reason."""

    def __init__(self, count: int) -> None:
        self.here, self.telling = World(), Telling()
        self.here.put(*(task(f"t{number}") for number in range(count)))

    def tell(self, seconds: float, looked_at: Collection[str] = (), *, is_committed: bool = True) -> list[str]:
        """Tell everybody who is due that all is busy; return who has been told."""
        due = self.telling.due(self.here.tasks, looked_at, self.here, later(seconds))
        codes = {one: self.here.tasks[one].status.reason.code for one in sorted(due)}
        told = [one for one, code in codes.items() if self.telling.is_new(one, "busy", code, later(seconds))]
        reason = Reason(code="busy" if is_committed else "")
        self.here.put(*(self.here.tasks[one].with_status(reason=reason) for one in told))
        return told


def test_whoever_is_new_is_told_and_then_left_alone_for_a_while() -> None:
    scene = Scene(2)
    assert scene.tell(0, ["t0", "t1"]) == ["t0", "t1"]
    assert [scene.tell(1), scene.tell(PAUSE - 1, ["t0"])] == [[], []]
    assert scene.tell(PAUSE) == ["t0", "t1"]
    assert scene.tell(PAUSE + 1) == []


def test_whoever_was_told_in_vain_is_told_again() -> None:
    scene = Scene(1)
    assert scene.tell(0, ["t0"], is_committed=False) == ["t0"]
    assert scene.tell(1) == ["t0"]


def test_whoever_stopped_waiting_is_forgotten() -> None:
    scene = Scene(2)
    scene.tell(0, ["t0", "t1"])
    scene.here.drop("t0")
    assert scene.tell(1, ["t0"]) == []
    assert scene.tell(PAUSE) == ["t1"]


@pytest.mark.parametrize("count", [RENEWED_MAX + 100, 4 * RENEWED_MAX])
def test_a_long_queue_is_renewed_less_often_and_in_parts(count: int) -> None:
    scene = Scene(count)
    names = [f"t{number}" for number in range(count)]
    assert len(scene.tell(0, names)) == count
    pause = max(PAUSE, count / RENEWED_PER_SECOND)
    assert scene.tell(pause - 1) == []
    parts = [len(scene.tell(pause + number)) for number in range(count // RENEWED_MAX + 1)]
    assert (max(parts), sum(parts)) == (RENEWED_MAX, count)
