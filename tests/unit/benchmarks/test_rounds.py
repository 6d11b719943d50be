"""Gavel's rounds over classes: the streams are the published ones, the books are kept, and the product plays along."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scheduling.classes import GANGS, SINGLE, SPEEDS, Kind
from benchmarks.scheduling.gavel import Ints, Stream, draw_batch, draw_stream
from benchmarks.scheduling.product_rounds import Preempting
from benchmarks.scheduling.rounds import NONE, Policy, Queue, Rules, replay
from benchmarks.scheduling.rounds_bound import interval_bound
from benchmarks.scheduling.rounds_greedy import Greedy, LeastAttained, fifo, shortest, weighted_shortest
from benchmarks.scheduling.rounds_matching import AlloX
from benchmarks.scheduling.rounds_programs import Rounds, max_min, max_sum

README = Path(__file__).parents[3] / "benchmarks" / "scheduling" / "README.md"
SMALL = Rules(capacity=(4, 4, 4))
PEERS: dict[str, Callable[[], Policy]] = {
    "FIFO": lambda: Greedy(fifo, preempts=False, skips=False),
    "SJF": lambda: Greedy(shortest, preempts=False),
    "WSPT": lambda: Greedy(weighted_shortest, preempts=True),
    "LAS": LeastAttained,
    "max-sum": lambda: Rounds(max_sum),
    "max-min": lambda: Rounds(max_min),
    "product": lambda: Preempting(SMALL),
}


class Fixed:
    """Says the same in every round."""

    def __init__(self, *classes: int) -> None:
        self.classes = np.array(classes, dtype=np.int64)

    def decide(self, queue: Queue) -> Ints:
        return self.classes


def jobs(*seconds: tuple[float, float, float], gang: int = 1) -> Stream:
    count = len(seconds)
    return Stream(np.zeros(count), np.ones(count), np.full(count, gang, dtype=np.int64), np.array(seconds))


@pytest.mark.parametrize(
    ("kind", "arrival", "gangs"), [(SINGLE, 174.704, [1, 1, 1, 1, 1, 1]), (GANGS, 376.286, [8, 1, 1, 1, 4, 1])]
)
def test_seed_0_draws_the_published_stream(kind: Kind, arrival: float, gangs: list[int]) -> None:
    stream = kind.draw(0)
    assert stream.arrival_seconds[1] == pytest.approx(arrival, abs=0.001)
    assert stream.gangs[:6].tolist() == gangs
    assert len(stream) == kind.jobs


def test_a_published_job_takes_as_long_as_its_steps_say() -> None:
    first = SINGLE.draw(0).seconds[0]
    assert first == pytest.approx(1646636.2758419 / np.array([24.0932319, 22.3049439, 7.05208067]))


def test_other_seeds_draw_other_streams() -> None:
    one, other = (draw_stream(SPEEDS, 50, 5.6, seed, gangs=True) for seed in (1, 2))
    assert (one.arrival_seconds[1:] != other.arrival_seconds[1:]).all()


def test_the_books_refuse_more_than_a_class_has() -> None:
    with pytest.raises(ValueError, match="devices"):
        replay(jobs((600, 600, 600), gang=5), Fixed(0), SMALL)


def test_the_books_refuse_a_class_that_cannot_run_the_job() -> None:
    with pytest.raises(ValueError, match="cannot run it"):
        replay(jobs((600, 600, np.inf)), Fixed(2), SMALL)


def test_a_restart_is_paid_at_each_start_and_each_move_alone() -> None:
    outcome = replay(jobs((1000, 1000, 1000)), Fixed(1), Rules(capacity=(4, 4, 4), restart_seconds=60.0))
    assert outcome.starts.tolist() == [1]
    assert outcome.end_seconds.tolist() == [1060.0]


@pytest.mark.parametrize("name", PEERS)
def test_every_scheduler_ends_a_batch_and_none_is_below_the_bound(name: str) -> None:
    batch = draw_batch(SPEEDS, 25, 7)
    small = Stream(batch.arrival_seconds, batch.weights, np.minimum(batch.gangs, 4), batch.seconds)
    outcome = replay(small, PEERS[name](), SMALL)
    assert not np.isnan(outcome.end_seconds).any()
    assert outcome.weighted_sum_hours() >= interval_bound(small, SMALL.capacity, 40)


def test_the_product_is_closer_to_the_bound_than_any_peer() -> None:
    batch = draw_batch(SPEEDS, 60, 8)
    small = Stream(batch.arrival_seconds, batch.weights, np.minimum(batch.gangs, 4), batch.seconds)
    found = {name: replay(small, make(), SMALL).weighted_sum_hours() for name, make in PEERS.items()}
    assert min(found, key=found.__getitem__) == "product"


def test_the_matching_puts_the_shortest_first_on_a_single_device() -> None:
    queue = jobs((300, 9e9, 9e9), (100, 9e9, 9e9), (200, 9e9, 9e9))
    outcome = replay(queue, AlloX(), Rules(capacity=(1, 1, 1), round_seconds=100.0))
    assert np.argsort(outcome.end_seconds).tolist() == [1, 2, 0]


def test_the_readme_shows_a_world_that_works() -> None:
    block = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert block is not None
    exec(block[1], {})


def test_the_product_is_told_what_is_left_even_if_estimates_are_off() -> None:
    rules = Rules(capacity=(4, 4, 4), sigma=0.7, restart_seconds=60.0)
    stream = draw_stream(SPEEDS, 40, 2.0, 3, gangs=False)
    outcome = replay(stream, Preempting(rules), rules)
    assert (outcome.starts >= 1).sum() >= 35
    assert NONE not in outcome.starts
