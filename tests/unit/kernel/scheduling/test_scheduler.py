"""The scheduler that remembers decides as the pure function does for the same world."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.course import started, stopping
from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.scheduler import Scheduler
from lepton_ai.kernel.scheduling.snapshot import NodeView, Plan, Policy, RunningTask, Snapshot, WaitingTask
from tests.unit.kernel.scheduling.worlds import NOW, alike, clusters, node, places, queues, running, task

policies = st.builds(Policy, reservations=st.integers(0, 3))


class World:
    """A scheduler that remembers, beside the plain lists that a snapshot is made of."""

    def __init__(self, nodes: tuple[NodeView, ...], policy: Policy) -> None:
        self.nodes, self.policy, self.now = nodes, policy, NOW
        self.scheduler = Scheduler(nodes, policy)
        self.waiting: dict[str, WaitingTask] = {}
        self.running: dict[str, RunningTask] = {}

    def submit(self, tasks: tuple[WaitingTask, ...]) -> None:
        for one in tasks:
            self.waiting[one.id] = one
            self.scheduler.submit(one)

    def end(self, task_id: str) -> None:
        self.waiting.pop(task_id, None)
        self.running.pop(task_id, None)
        self.scheduler.forget(task_id)

    def plan(self) -> tuple[Plan, Plan]:
        """Return what both decide now, and carry it out."""
        snapshot = Snapshot(self.now, self.nodes, tuple(self.waiting.values()), tuple(self.running.values()))
        whole, small = schedule(snapshot, self.policy), self.scheduler.plan(self.now)
        for placement in whole.placements:
            self.running[placement.task_id] = started(self.waiting.pop(placement.task_id), placement, self.now)
        for one in whole.preemptions:
            self.running[one.task_id] = stopping(self.running[one.task_id], self.now)
            self.waiting[one.for_task] = replace(self.waiting[one.for_task], has_claim=True)
        return whole, small


def named(tasks: tuple[WaitingTask, ...], step: int) -> tuple[WaitingTask, ...]:
    """The tasks under names of their own; those that may be preempted run alike everywhere.

    Over classes of unlike speed the scheduler goes by what it learnt to arrive, which the pure function cannot know.
    """
    return tuple(replace(alike(one), id=f"{step}-{one.id}", name=f"{step}-{one.name}") for one in tasks)


@settings(max_examples=150, deadline=None)
@given(st.data(), clusters(), policies)
def test_what_it_starts_is_what_the_pure_function_starts(
    data: st.DataObject, nodes: tuple[NodeView, ...], policy: Policy
) -> None:
    world = World(nodes, policy)
    for step in range(5):
        world.submit(named(data.draw(queues()), step))
        whole, small = world.plan()
        assert (small.placements, small.preemptions) == (whole.placements, whole.preemptions)
        gone = data.draw(st.sets(st.sampled_from(sorted({*world.running, *world.waiting, "nobody"})), max_size=4))
        for task_id in sorted(gone):
            world.end(task_id)
        world.now += timedelta(seconds=data.draw(st.integers(0, 2000)))


def test_a_task_that_is_told_to_wait_again_gives_back_what_it_was_placed_on() -> None:
    scheduler = Scheduler([node("a", 4)])
    scheduler.submit(task("t", 4))
    assert places(scheduler.plan(NOW)) == {"t": ["a"]}
    scheduler.submit(task("t", 4))
    assert places(scheduler.plan(NOW)) == {"t": ["a"]}


def test_only_new_tasks_are_told_why_they_wait() -> None:
    scheduler = Scheduler([node("a", 4)])
    scheduler.submit(task("holder", 4))
    scheduler.plan(NOW)
    scheduler.submit(task("first", 4))
    assert [wait.task_id for wait in scheduler.plan(NOW).waits] == ["first"]
    scheduler.submit(task("second", 4))
    assert [wait.task_id for wait in scheduler.plan(NOW).waits] == ["second"]


def test_new_nodes_are_used_and_what_runs_stays_where_it_is() -> None:
    a, b = node("a", 4), node("b", 4)
    scheduler = Scheduler([a])
    scheduler.run(running("r", a, 4, ends_in=100))
    scheduler.submit(task("t", 4))
    assert scheduler.plan(NOW).placements == ()
    scheduler.set_nodes([a, b])
    assert places(scheduler.plan(NOW)) == {"t": ["b"]}


def test_what_ends_makes_room_for_those_who_fit_there() -> None:
    a, b = node("a", 4), node("b", 4)
    scheduler = Scheduler([a, b])
    for one in (running("r", a, 4, ends_in=None), running("s", b, 4, ends_in=None)):
        scheduler.run(one)
    scheduler.submit(task("large", 4))
    assert scheduler.plan(NOW).placements == ()
    scheduler.forget("s")
    assert places(scheduler.plan(NOW)) == {"large": ["b"]}


def test_shapes_of_tasks_that_are_gone_are_forgotten_in_time() -> None:
    scheduler = Scheduler([node("a", 4)], shapes_max=10)
    for number in range(50):
        scheduler.submit(task(f"t{number}", 1 + number / 1000))
        assert places(scheduler.plan(NOW)) == {f"t{number}": ["a"]}
        scheduler.forget(f"t{number}")
    assert scheduler.shapes <= 12
