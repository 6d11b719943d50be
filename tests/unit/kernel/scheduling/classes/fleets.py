"""Fleets of unlike classes, tasks that may be preempted, and a clock that plays plans out, preemptions included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.scheduler import Scheduler
from lepton_ai.kernel.scheduling.snapshot import (
    Demand,
    Expectation,
    NodeView,
    Placement,
    Policy,
    Restart,
    RunningTask,
    Snapshot,
    Stake,
    WaitingTask,
)
from lepton_ai.types.resources import AcceleratorRequest
from tests.unit.kernel.scheduling.worlds import GB, NOW, node, overcommitments

FAST, MIDDLE, SLOW = "v100", "p100", "k80"
LONG = Policy(reassignment=timedelta(0))  # decides in every pass


def fleet(*kinds: str, devices: int = 1) -> tuple[NodeView, ...]:
    """One node of `devices` for each of `kinds`."""
    return tuple(node(f"n{row}", 8, *[kind] * devices) for row, kind in enumerate(kinds))


def trial(name: str, seconds: Mapping[str, float], **more: float) -> WaitingTask:
    """A task that may be preempted; `size` replicas of `count` devices, of `share` thousandths each."""
    count, size = int(more.get("count", 1)), int(more.get("size", 1))
    wanted = AcceleratorRequest(kind="|".join(seconds), count=count, share_milli=int(more.get("share", 1000)))
    return WaitingTask(
        id=name,
        name=name,
        demand=Demand(500, GB, wanted, size),
        weight=more.get("weight", 1.0),
        submitted_at=NOW - timedelta(seconds=more.get("age", 0.0)),
        expectations={kind: Expectation(s, s, "measured") for kind, s in seconds.items()},
        restart=Restart(more.get("restart", 0.0)),
    )


def on(task: WaitingTask, placement: Placement, *, resumes: bool = True, ran: float = 1e6) -> RunningTask:
    """The task as it runs, for `ran` seconds by now, with all that it was expected to take still ahead of it."""
    assert task.restart is not None
    restart = replace(task.restart, resumes=resumes)
    stake = Stake(task.weight, task.expectations, NOW, NOW - timedelta(seconds=ran), restart)
    end = NOW + timedelta(seconds=placement.expected_seconds)
    return RunningTask(task.id, task.name, placement.allocations, end, task.demand, stake)


@dataclass
class Played:
    """What came of a queue that nobody joined: when each task ended, and how often each was stopped."""

    ends: dict[str, float] = field(default_factory=dict)
    stops: Counter[str] = field(default_factory=Counter)


def play(nodes: Sequence[NodeView], queue: Sequence[WaitingTask], *, step: float = 60.0, rounds: int = 4000) -> Played:
    """Run the queue to its end: each task goes on where it was stopped, and loses its restart time at each start."""
    scheduler, played = Scheduler(nodes), Played()
    tasks = {task.id: task for task in queue}
    left = dict.fromkeys(tasks, 1.0)
    held: dict[str, tuple[str, float, Placement]] = {}  # class, when its work began
    for task in queue:
        scheduler.submit(task)
    for number in range(rounds):
        now = number * step
        for name, (kind, began, _) in list(held.items()):
            ends = began + left[name] * tasks[name].expectations[kind].median
            if ends <= now:
                played.ends[name] = ends
                scheduler.forget(name)
                del held[name], tasks[name]
        if not tasks:
            break
        _plan(scheduler, now, (tasks, left, held), played)
        assert not overcommitments(nodes, [a for _, _, placement in held.values() for a in placement.allocations])
    return played


def _plan(
    scheduler: Scheduler,
    now: float,
    books: tuple[dict[str, WaitingTask], dict[str, float], dict[str, tuple[str, float, Placement]]],
    played: Played,
) -> None:
    """Carry out plans at the moment `now` until nobody is preempted any more."""
    tasks, left, held = books
    while True:
        plan = scheduler.plan(NOW + timedelta(seconds=now))
        for one in plan.placements:
            held[one.task_id] = one.allocations[0].resource_class, now + restart_of(tasks[one.task_id]), one
        for stop in plan.preemptions:
            kind, began, _ = held.pop(stop.task_id)
            task = tasks[stop.task_id]
            left[task.id] -= max(now - began, 0.0) / task.expectations[kind].median
            played.stops[task.id] += 1
            scheduler.submit(replace(task, expectations=_scaled(task, left[task.id])))
        if not plan.preemptions:
            return


def restart_of(task: WaitingTask) -> float:
    return 0.0 if task.restart is None else task.restart.seconds


def _scaled(task: WaitingTask, left: float) -> Mapping[str, Expectation]:
    seconds = {kind: left * one.median + restart_of(task) for kind, one in task.expectations.items()}
    return {kind: Expectation(s, s, "measured") for kind, s in seconds.items()}


fleets = st.lists(st.sampled_from([FAST, MIDDLE, SLOW]), min_size=1, max_size=4).flatmap(
    lambda kinds: st.integers(1, 3).map(lambda devices: fleet(*kinds, devices=devices))
)


@st.composite
def trials(draw: st.DrawFn, most: int = 10) -> tuple[WaitingTask, ...]:
    """Tasks that may be preempted, of unlike speeds, some of them gangs, shares, old or of odd weight."""
    tasks = []
    for row in range(draw(st.integers(0, most))):
        kinds = draw(st.lists(st.sampled_from([FAST, MIDDLE, SLOW]), min_size=1, max_size=3, unique=True))
        seconds = {kind: draw(st.floats(1.0, 50_000.0)) for kind in sorted(kinds)}
        size, count = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (3, 1), (1, 2)]))
        weight = draw(st.sampled_from([1.0, 1.0, 5.0, 0.0, float("nan"), 1e12]))
        share = draw(st.sampled_from([1000, 1000, 500])) if count == 1 else 1000
        age, restart = draw(st.floats(0, 1e6)), draw(st.sampled_from([0.0, 0.0, 60.0, 900.0]))
        more = {"size": size, "count": count, "share": share, "weight": weight, "age": age, "restart": restart}
        tasks.append(trial(f"t{row}", seconds, **more))
    return tuple(tasks)


@st.composite
def busy_fleets(draw: st.DrawFn) -> Snapshot:
    """A fleet on which some run that may be preempted, some that may not, some that are being stopped."""
    nodes = draw(fleets)
    scheduler = Scheduler(nodes, LONG)
    first = {task.id: task for task in draw(trials())}
    for task in first.values():
        scheduler.submit(task)
    running = []
    for placement in scheduler.plan(NOW).placements:
        task = first[placement.task_id]
        odd = replace(task, restart=Restart(draw(st.sampled_from([0.0, 60.0, -1.0, float("nan"), float("inf")]))))
        runs = on(odd, placement, resumes=draw(st.booleans()), ran=draw(st.sampled_from([0.0, 1e6])))
        runs = replace(runs, id=f"r-{task.id}")
        running.append(draw(st.sampled_from([runs, runs, runs, replace(runs, stake=None)])))
    waiting = tuple(
        replace(task, restart=draw(st.sampled_from([task.restart, task.restart, None]))) for task in draw(trials())
    )
    return Snapshot(NOW + timedelta(seconds=draw(st.floats(0, 1e5))), nodes, waiting, tuple(running))
