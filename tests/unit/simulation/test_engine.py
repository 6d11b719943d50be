"""The replay: every task ends once, nothing is overcommitted, and the same trace gives the same outcome."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.course import started
from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.scheduler import Scheduler
from lepton_ai.kernel.scheduling.snapshot import (
    NodeView,
    Plan,
    Policy,
    Preemption,
    Refusal,
    Restart,
    RunningTask,
    Snapshot,
    WaitingTask,
)
from lepton_ai.simulation.engine import HORIZON_SECONDS, Rules, replay
from lepton_ai.simulation.told import Known, Lengths, told
from lepton_ai.simulation.trace import Trace, TraceTask
from tests.unit.kernel.scheduling.worlds import NOW, clusters, node
from tests.unit.simulation.works import GPU_NODE, ends, fleet, overcommitted, trace, traces, work

ways = st.sampled_from(list(Lengths))


@settings(max_examples=60, deadline=None)
@given(traces(), clusters(), ways)
def test_nothing_is_overcommitted_and_every_task_ends_once_or_is_told_why_not(
    recorded: Trace, nodes: tuple[NodeView, ...], way: Lengths
) -> None:
    outcome = replay(recorded, nodes, told(way, 0.7))
    assert not overcommitted(outcome)
    assert sorted([*outcome.ends, *outcome.refused]) == list(range(len(recorded.tasks)))
    ran = [stretch.task for stretch in outcome.stretches]
    assert sorted(ran) == sorted(outcome.ends)
    assert all(one.end - one.start == recorded.tasks[one.task].seconds for one in outcome.stretches)
    assert all(one.start >= recorded.tasks[one.task].submitted for one in outcome.stretches)


@settings(max_examples=30, deadline=None)
@given(traces(), clusters(), ways, st.integers(0, 1000))
def test_shuffled_rows_and_nodes_change_nothing(
    recorded: Trace, nodes: tuple[NodeView, ...], way: Lengths, seed: int
) -> None:
    rows, machines = list(recorded.tasks), list(nodes)
    random.Random(seed).shuffle(rows)
    random.Random(seed).shuffle(machines)
    first, second = replay(recorded, nodes, told(way, 0.7)), replay(trace(*rows), machines, told(way, 0.7))
    assert (first.stretches, first.ends) == (second.stretches, second.ends)


@settings(max_examples=30, deadline=None)
@given(traces(), st.sampled_from([0.0, 7.0, 600.0]))
def test_a_rhythm_delays_no_end_and_loses_no_task(recorded: Trace, rhythm: float) -> None:
    outcome = replay(recorded, fleet(), Known(), Rules(rhythm_seconds=rhythm))
    assert not overcommitted(outcome)
    assert len(outcome.ends) + len(outcome.refused) == len(recorded.tasks)


@settings(max_examples=60, deadline=None)
@given(traces(), clusters())
def test_it_starts_what_the_pure_function_played_out_by_hand_starts(
    recorded: Trace, nodes: tuple[NodeView, ...]
) -> None:
    rules = Rules(Policy(reservations=0))  # with reservations the two may backfill different tasks
    able = trace(*(recorded.tasks[row] for row in replay(recorded, nodes, Known(), rules).ends))
    outcome = replay(able, nodes, Known(), rules)
    starts = {able.tasks[row].id: start for row, start in outcome.starts.items()}
    assert starts == starts_by_hand(able, nodes, rules.policy)


def starts_by_hand(recorded: Trace, nodes: Sequence[NodeView], policy: Policy) -> dict[str, float]:
    """Return when each task starts if the pure function decides on a snapshot at each arrival and each end."""
    moments = sorted({task.submitted for task in recorded.tasks})
    running: dict[str, tuple[float, RunningTask]] = {}
    starts: dict[str, float] = {}
    while moments:
        second = moments.pop(0)
        now = NOW + timedelta(seconds=second)
        running = {name: one for name, one in running.items() if one[0] > second}
        here = {task.id: task for task in recorded.tasks if task.submitted <= second and task.id not in starts}
        waiting = {name: told_of(task) for name, task in here.items()}
        busy = tuple(one for _, one in running.values())
        for placed in schedule(Snapshot(now, tuple(nodes), tuple(waiting.values()), busy), policy).placements:
            starts[placed.task_id], end = second, second + here[placed.task_id].seconds
            running[placed.task_id] = end, started(waiting[placed.task_id], placed, now)
            moments = sorted({*moments, end})
    return starts


def told_of(task: TraceTask) -> WaitingTask:
    since = NOW + timedelta(seconds=task.submitted)
    return WaitingTask(task.id, task.id, task.demand, task.weight, since, Known().expect(task, 0.0))


def test_a_task_waits_for_the_end_of_what_holds_its_devices() -> None:
    outcome = replay(trace(work("a", 0, 100, 8), work("b", 10, 50, 8)), [GPU_NODE], Known())
    assert ends(outcome) == {"a": 100.0, "b": 150.0}


def test_the_weightier_of_two_equals_goes_first() -> None:
    heavy = work("heavy", 2, 50, 8, weight=16.0)
    outcome = replay(trace(work("a", 0, 100, 8), work("light", 1, 50, 8), heavy), [GPU_NODE], Known())
    assert ends(outcome) == {"a": 100.0, "heavy": 150.0, "light": 200.0}


def test_what_no_node_can_hold_is_refused_with_its_reason_and_the_rest_runs() -> None:
    outcome = replay(trace(work("huge", 0, 10, 9), work("a", 0, 10)), [GPU_NODE], Known())
    assert ends(outcome) == {"a": 10.0}
    assert [wait.refusal for wait in outcome.refused.values()] == [Refusal.TOO_LARGE]


def test_without_nodes_everything_is_refused() -> None:
    outcome = replay(trace(work("a", 0, 10)), [], Known())
    assert (outcome.ends, len(outcome.refused)) == ({}, 1)


def test_what_would_end_beyond_the_horizon_is_told_so() -> None:
    years = 366 * 86_400.0
    tasks = [work(f"t{number}", 0, 10 * years, 8) for number in range(int(HORIZON_SECONDS / years / 10) + 5)]
    outcome = replay(trace(*tasks), [GPU_NODE], Known())
    assert len(outcome.ends) + len(outcome.refused) == len(tasks)
    assert len(outcome.refused) >= 5


def test_learnt_lengths_let_the_short_kind_go_first_once_both_kinds_were_seen() -> None:
    past = [work("long1", 0, 5000, 8), work("short1", 1, 10, 8)]
    queue = [work("long2", 6000, 5000, 8), work("long3", 6001, 5000, 8), work("short2", 6002, 10, 8)]
    found = ends(replay(trace(*past, *queue), [GPU_NODE], told(Lengths.LEARNT, 0.0)))
    assert found["short2"] < found["long3"]


class PreemptsOnce(Scheduler):
    """The live scheduler, which also asks once for the end of `victim`."""

    victim, beneficiary = "", ""

    def plan(self, now: datetime, tell: Collection[str] | None = ()) -> Plan:
        plan = super().plan(now, tell)
        wanted = self.victim if self.beneficiary in {wait.task_id for wait in plan.waits} else ""
        found = tuple(Preemption(one, self.beneficiary, "makes room") for one in [wanted] if one)
        self.victim = "" if found else self.victim
        return replace(plan, preemptions=found)


def preempting(victim: str, beneficiary: str) -> PreemptsOnce:
    scheduler = PreemptsOnce([GPU_NODE])
    scheduler.victim, scheduler.beneficiary = victim, beneficiary
    return scheduler


def test_a_preempted_task_keeps_its_work_and_pays_for_its_restart() -> None:
    tasks = trace(work("long", 0, 10_000, 8), work("urgent", 4000, 50, 8, weight=1000.0))
    outcome = replay(tasks, [GPU_NODE], Known(), Rules(restart=Restart(60.0, grace_seconds=10.0)))
    # 4,010 s of work until the notice is over, 50 s of the other, 60 s to restart, 5,990 s that were left.
    assert ends(outcome) == {"urgent": 4060.0, "long": 4060.0 + 60.0 + 5990.0}
    assert outcome.preemptions == 1
    assert not overcommitted(outcome)


def test_a_preempted_task_without_a_checkpoint_begins_anew() -> None:
    tasks = trace(work("long", 0, 10_000, 8), work("urgent", 100, 50, 8, weight=1000.0))
    rules = Rules(restart=Restart(60.0, resumes=False, grace_seconds=0.0))
    outcome = replay(tasks, [GPU_NODE], Known(), rules, preempting("long", "urgent"))
    assert ends(outcome) == {"urgent": 150.0, "long": 150.0 + 60.0 + 10_000.0}


def test_a_task_may_be_preempted_later_though_nothing_happens_meanwhile() -> None:
    tasks = trace(work("long", 0, 100_000, 8), work("urgent", 100, 50, 8, weight=1000.0))
    outcome = replay(tasks, [GPU_NODE], Known(), Rules(restart=Restart(60.0)))
    assert ends(outcome)["urgent"] < 4000  # a task that pays 60 s may be preempted once it ran for 30 times as long
    assert outcome.plans < 50


def test_nobody_is_preempted_unless_the_rules_allow_it() -> None:
    tasks = trace(work("long", 0, 10_000, 8), work("urgent", 100, 50, 8, weight=1000.0))
    assert ends(replay(tasks, [GPU_NODE], Known())) == {"long": 10_000.0, "urgent": 10_050.0}


@settings(max_examples=60, deadline=None)
@given(traces(), clusters(), ways, st.sampled_from([Restart(), Restart(60.0), Restart(5.0, grace_seconds=0.0)]))
def test_preempted_tasks_do_all_their_work_all_the_same(
    recorded: Trace, nodes: tuple[NodeView, ...], way: Lengths, restart: Restart
) -> None:
    outcome = replay(recorded, nodes, told(way, 0.7), Rules(restart=restart))
    assert not overcommitted(outcome)
    assert sorted([*outcome.ends, *outcome.refused]) == list(range(len(recorded.tasks)))
    parts = {row: [one for one in outcome.stretches if one.task == row] for row in outcome.ends}
    for row, ran in parts.items():
        held, most = sum(one.end - one.start for one in ran), restart.seconds * (len(ran) - 1)
        assert recorded.tasks[row].seconds - 1e-6 <= held <= recorded.tasks[row].seconds + most + 1e-6
        assert outcome.ends[row] == max(one.end for one in ran)
    assert sum(len(ran) - 1 for ran in parts.values()) <= outcome.preemptions


def test_a_task_that_ends_within_its_notice_just_ends() -> None:
    tasks = trace(work("long", 0, 105, 8), work("urgent", 100, 50, 8, weight=1000.0))
    outcome = replay(tasks, [GPU_NODE], Known(), Rules(), preempting("long", "urgent"))
    assert ends(outcome) == {"long": 105.0, "urgent": 155.0}


def test_a_gang_starts_whole_over_several_nodes() -> None:
    outcome = replay(trace(work("gang", 0, 10, 8, size=2)), fleet(), Known())
    assert {part.node for stretch in outcome.stretches for part in stretch.allocations} == {"gpu-1", "gpu-2"}


def test_tasks_without_devices_run_beside_those_that_hold_them_all() -> None:
    outcome = replay(trace(work("gpu", 0, 100, 8), work("cpu", 0, 10, 0)), [node("n", 9, *["tpu-v5e"] * 8)], Known())
    assert ends(outcome) == {"gpu": 100.0, "cpu": 10.0}
