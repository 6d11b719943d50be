"""What holds for every plan over classes, whatever runs and waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import NodeView, Snapshot, WaitingTask
from tests.unit.kernel.scheduling.classes.fleets import busy_fleets, fleets, play, trials
from tests.unit.kernel.scheduling.worlds import overcommitments

EXAMPLES = settings(max_examples=200, deadline=None)


@EXAMPLES
@given(busy_fleets())
def test_nothing_is_overcommitted_before_those_who_are_stopped_are_gone(snapshot: Snapshot) -> None:
    plan = schedule(snapshot)
    new = [allocation for placement in plan.placements for allocation in placement.allocations]
    held = [allocation for task in snapshot.running for allocation in task.allocations]
    assert overcommitments(snapshot.nodes, held + new) == []


@EXAMPLES
@given(busy_fleets())
def test_every_waiting_task_is_placed_or_told_why_not(snapshot: Snapshot) -> None:
    plan = schedule(snapshot)
    answered = Counter([p.task_id for p in plan.placements] + [w.task_id for w in plan.waits])
    assert answered == Counter(task.id for task in snapshot.waiting)


@EXAMPLES
@given(busy_fleets())
def test_only_those_who_may_be_preempted_are_and_only_once(snapshot: Snapshot) -> None:
    stopped = [one.task_id for one in schedule(snapshot).preemptions]
    may = {task.id for task in snapshot.running if task.stake is not None}
    assert len(stopped) == len(set(stopped))
    assert set(stopped) <= may


@EXAMPLES
@given(busy_fleets())
def test_whoever_is_stopped_makes_room_for_somebody_who_does_not_start_yet(snapshot: Snapshot) -> None:
    plan = schedule(snapshot)
    waits, runs = {wait.task_id for wait in plan.waits}, {task.id for task in snapshot.running}
    assert {stop.for_task for stop in plan.preemptions} <= waits | runs
    assert all(stop.sentence and stop.terms for stop in plan.preemptions)


@EXAMPLES
@given(busy_fleets(), st.randoms(use_true_random=False))
def test_the_order_in_which_the_snapshot_lists_things_changes_nothing(snapshot: Snapshot, random: Random) -> None:
    shuffled = replace(
        snapshot,
        nodes=tuple(random.sample(snapshot.nodes, len(snapshot.nodes))),
        waiting=tuple(random.sample(snapshot.waiting, len(snapshot.waiting))),
        running=tuple(random.sample(snapshot.running, len(snapshot.running))),
    )
    one, other = schedule(snapshot), schedule(shuffled)
    assert {p.task_id: p.allocations for p in one.placements} == {p.task_id: p.allocations for p in other.placements}
    assert {s.task_id: s.for_task for s in one.preemptions} == {s.task_id: s.for_task for s in other.preemptions}


@settings(max_examples=60, deadline=None)
@given(fleets, trials(8))
def test_a_queue_that_nobody_joins_is_run_to_its_end_with_few_preemptions(
    nodes: Sequence[NodeView], queue: Sequence[WaitingTask]
) -> None:
    able = [task for task in queue if schedule(Snapshot(task.submitted_at, tuple(nodes), (task,), ())).placements]
    played = play(nodes, able, step=600.0)
    assert played.ends.keys() == {task.id for task in able}
    assert played.stops.total() <= 2 * len(able)
