"""Nobody waits longer than what follows from the configuration, whatever arrives behind it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import NodeView, Policy, Snapshot, WaitingTask
from tests.unit.kernel.scheduling.classes.fleets import FAST, SLOW, fleet, trial
from tests.unit.kernel.scheduling.worlds import NOW, play

BOUND, LONGEST = 100.0, 60.0  # seconds
ENDS = 500.0  # dear work arrives until then, far beyond what anybody may wait

lengths = st.fixed_dictionaries({FAST: st.floats(1.0, LONGEST)}, optional={SLOW: st.floats(1.0, LONGEST)})


@st.composite
def cheap(draw: st.DrawFn) -> tuple[WaitingTask, ...]:
    """A few tasks that weigh next to nothing, wide or not, that may be preempted or not."""
    tasks = []
    for row in range(draw(st.integers(1, 3))):
        count = draw(st.integers(1, 2))
        task = trial(f"cheap{row}", draw(lengths), weight=1e-6, count=count, size=draw(st.integers(1, 2)))
        tasks.append(replace(task, restart=draw(st.sampled_from([task.restart, None]))))
    return tuple(tasks)


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[float, WaitingTask]]:
    """Dear tasks of one device, more than the fleet can run."""
    seconds, may_be_preempted = draw(lengths), draw(st.booleans())
    gap, stream = draw(st.sampled_from([8.0, 15.0])), []
    for row in range(int(ENDS / gap)):
        task = trial(f"dear{row}", seconds, weight=1e6)
        stream.append((row * gap, replace(task, restart=task.restart if may_be_preempted else None)))
    return stream


def _begins(task: WaitingTask, second: float) -> WaitingTask:
    return replace(task, submitted_at=NOW + timedelta(seconds=second))


def _fits(nodes: tuple[NodeView, ...], task: WaitingTask) -> bool:
    return bool(schedule(Snapshot(NOW, nodes, (task,), ())).placements)


@settings(max_examples=40, deadline=None)
@given(cheap(), streams(), st.integers(1, 2))
def test_nobody_starves(few: tuple[WaitingTask, ...], stream: list[tuple[float, WaitingTask]], devices: int) -> None:
    nodes = fleet(FAST, SLOW, devices=devices)
    queue = [(1.0, _begins(task, 1.0)) for task in few] + [(at, _begins(task, at)) for at, task in stream]
    starts = play(nodes, queue, Policy(starvation_bound=timedelta(seconds=BOUND)))
    # Beyond the bound only older ones go first: the few, and one of the stream; then what runs has to end.
    latest = 1.0 + BOUND + LONGEST * (len(few) + 2)
    assert [task.id for task in few if _fits(nodes, task) and starts.get(task.id, ENDS) > latest] == []
