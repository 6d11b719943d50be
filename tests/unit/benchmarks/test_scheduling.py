"""The evaluators keep their own books, and the product is driven through them as it is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks.scheduling.books import Books, OvercommitError
from benchmarks.scheduling.learning import Learning, RunningMean
from benchmarks.scheduling.live_queue import draw, serve
from benchmarks.scheduling.live_queue_baselines import baselines
from benchmarks.scheduling.openb import Machine, Pod, Shape
from benchmarks.scheduling.packing import pack
from benchmarks.scheduling.packing_baselines import baselines as packing_baselines
from benchmarks.scheduling.philly import random_stream
from benchmarks.scheduling.philly_baselines import baselines as philly_baselines
from benchmarks.scheduling.philly_replay import Infeasible, Setting, Start, Stop, replay
from benchmarks.scheduling.product import JobReplay, LiveQueue, Packer
from benchmarks.scheduling.simulation import draw as draw_trace

MACHINES = 3 * [
    Machine(64_000, 256_000, 8, "T4"),
    Machine(96_000, 256_000, 8, "P100"),
    Machine(32_000, 128_000, 4, "T4"),
]
PODS = [
    Pod(Shape(8_000, 16_000, 1, 1000), "LS", 600),
    Pod(Shape(4_000, 8_000, 1, 500), "BE", 120),
    Pod(Shape(16_000, 32_000, 2, 1000, frozenset({"T4"})), "Burstable", 900),
    Pod(Shape(48_000, 64_000, 8, 1000), "LS", 1800),
    Pod(Shape(8_000, 8_000, 0, 0), "BE", 300),
]


def test_the_books_refuse_what_does_not_fit() -> None:
    books = Books(MACHINES)
    with pytest.raises(OvercommitError, match="its model is P100"):
        books.take(PODS[2].shape, 1, (0, 1))
    books.take(PODS[3].shape, 0, range(8))
    with pytest.raises(OvercommitError):
        books.take(PODS[0].shape, 0, (3,))


def test_the_product_packs_at_least_as_well_as_random_choice() -> None:
    machines, small = MACHINES * 4, PODS[:2] * 10  # each mark is met: no pod is more than 0.5 % of the cluster
    ours = pack(machines, small, Packer(), 1)
    theirs = pack(machines, small, packing_baselines(1)["random"](), 1)
    assert ours.declined == 0
    assert ours.allocated[130] >= theirs.allocated[130]


def test_the_product_serves_a_live_queue_to_its_end() -> None:
    stream = draw(MACHINES, PODS, 400, 0.7, 3)
    for policy in (LiveQueue(), baselines()["WSPT / best-fit"]()):
        assert (serve(stream, policy).waits >= 0).all()  # those that never began are NaN


@pytest.mark.parametrize("seed", range(20))
def test_the_product_replays_random_gangs_without_overcommitting(seed: int) -> None:
    stream = random_stream(seed, jobs=40)
    outcome = replay(stream, Setting(3), JobReplay(stream, Setting(3), stream.seconds.astype(np.float64), 0.0))
    assert (outcome.end >= stream.submit + stream.seconds).all()
    assert (outcome.starts == 1).all()


@pytest.mark.parametrize("seed", range(20))
def test_the_product_preempts_and_every_job_still_ends_with_all_its_work_done(seed: int) -> None:
    stream = random_stream(seed, jobs=60)
    setting = Setting(2, restart_seconds=5)
    outcome = replay(stream, setting, JobReplay(stream, setting, stream.seconds.astype(np.float64), 0.0))
    assert (outcome.end >= stream.submit + stream.seconds + (outcome.starts - 1) * 5).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_product_learns_lengths_on_the_way(seed: int) -> None:
    stream, setting = random_stream(seed, jobs=60), Setting(3)
    told = Learning(stream, setting, stream.seconds.astype(np.float64))
    for scheduler in (Learning(stream, setting), told, RunningMean(stream, setting)):
        assert (replay(stream, setting, scheduler).starts == 1).all()
    assert told.known.honesty.doubt < 0.1  # what was stated was true


@pytest.mark.parametrize("seed", range(5))
def test_what_is_learnt_of_a_job_counts_over_its_preemptions(seed: int) -> None:
    stream, setting = random_stream(seed, jobs=60), Setting(3, 60)
    scheduler = Learning(stream, setting)
    outcome = replay(stream, setting, scheduler)
    assert (outcome.end >= stream.submit + stream.seconds).all()
    assert scheduler.done == pytest.approx(stream.seconds, abs=0.01 + 30 * outcome.starts.max())


@pytest.mark.parametrize("name", ["FIFO", "EASY backfill", "SJF", "WSPT"])
@pytest.mark.parametrize("seed", range(5))
def test_each_peer_starts_every_job_once_and_commits_no_node_twice(name: str, seed: int) -> None:
    stream = random_stream(seed, jobs=60)
    outcome = replay(stream, Setting(3), philly_baselines(stream, Setting(3))[name]())
    assert (outcome.end >= stream.submit + stream.seconds).all()
    assert (outcome.starts == 1).all()


def test_backfill_delays_nobody_at_the_head_and_short_jobs_go_first_where_that_is_the_order() -> None:
    stream = random_stream(7, jobs=80, horizon=600)
    setting = Setting(3)
    mean = {n: replay(stream, setting, make()).mean_completion for n, make in philly_baselines(stream, setting).items()}
    assert mean["SJF"] < mean["EASY backfill"] < mean["FIFO"]


class _Greedy(JobReplay):
    """Starts everything on the first nodes, whatever runs there."""

    def decide(self, now: int) -> Iterator[Start | Stop]:
        steps = (step for step in super().decide(now) if isinstance(step, Start))
        return (Start(step.job, tuple(range(len(step.nodes)))) for step in steps)


def test_the_replay_refuses_a_node_that_is_full() -> None:
    stream = random_stream(4, jobs=60, horizon=60)
    with pytest.raises(Infeasible):
        replay(stream, Setting(3), _Greedy(stream, Setting(3), stream.seconds.astype(np.float64), 0.0))


def test_the_trace_drawn_for_the_simulation_offers_the_load_that_it_says() -> None:
    found = draw_trace(0.9, tasks=2000, nodes=4)
    work = sum(task.devices * task.seconds for task in found.tasks)
    assert work / (4 * 8 * found.span_seconds) == pytest.approx(0.9, rel=0.01)
