"""The scheduler on devices of unlike speed, with preemption: the streams of Gavel, and a batch of 500 gangs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.figure import Figure, Report, at_most, told
from benchmarks.scheduling.gavel import Stream, draw_batch, draw_stream, read_speeds
from benchmarks.scheduling.product_rounds import Preempting
from benchmarks.scheduling.rounds import Outcome, Policy, Rules, replay
from benchmarks.scheduling.rounds_bound import interval_bound
from benchmarks.scheduling.rounds_greedy import Greedy, LeastAttained, fifo, shortest, weighted_shortest
from benchmarks.scheduling.rounds_matching import AlloX
from benchmarks.scheduling.rounds_programs import Rounds, max_min, max_sum

SPEEDS = read_speeds(Path(__file__).parent / "data" / "gavel_throughputs_isolated.csv")
FIRST, LAST = 4000, 5000  # the jobs that count; others keep arriving
SHORT = (1000, 1500)  # for policies that take 20 ms and more to decide
SEED, OTHERS = 0, (1, 2)  # the published streams, and more of the same kind that nothing was tuned on
BATCH, BATCH_SEEDS = 500, (0, 1, 2)
HOUR = 3600.0


class Kind(NamedTuple):
    """One stream: its length and its arrivals as published, the goal, and what others reach."""

    name: str
    jobs: int
    per_hour: float
    gangs: bool
    goal: float
    published: str

    def draw(self, seed: int) -> Stream:
        return draw_stream(SPEEDS, self.jobs, self.per_hour, seed, gangs=self.gangs)


SINGLE = Kind("single devices, 5.6 jobs an hour", 12_000, 5.6, False, 20.0, "published: AlloX 25.32, Gavel 28.96")
GANGS = Kind("gangs, 2.6 jobs an hour", 9_000, 2.6, True, 20.3, "published: Gavel's finish-time fairness 33.90")
NOISE, RESTART, SPOILED_GOAL = 0.7, 60.0, 20.8

Make = Callable[[], Policy]
PEERS: Mapping[str, Make] = {
    "FIFO, fastest free class": lambda: Greedy(fifo, preempts=False, skips=False),
    "shortest job first": lambda: Greedy(shortest, preempts=False),
    "least attained service": LeastAttained,
    "WSPT greedy, preempting": lambda: Greedy(weighted_shortest, preempts=True),
    "max-sum program of Gavel": lambda: Rounds(max_sum),
}
SLOW_PEERS: Mapping[str, Make] = {"AlloX-like matching": AlloX, "max-min program of Gavel": lambda: Rounds(max_min)}
BATCH_PEERS = ("FIFO, fastest free class", "WSPT greedy, preempting", "max-sum program of Gavel")


def measure() -> Report:
    """Run both streams and the batch."""
    figures = [*_single(), *_gangs(), *_batch()]
    notes = [
        "Narayanan et al., OSDI 2020: 36 V100, 36 P100 and 36 K80, decisions every 360 s, what is preempted resumes; "
        f"mean hours from arrival to end of jobs {FIRST:,} to {LAST - 1:,}, drawn by Gavel's generator (seed {SEED} is "
        f"the published stream). Other seeds: {OTHERS}. No two jobs share a device; with that, Gavel reaches 19.64 h.",
        f"With restarts: each start costs {RESTART:.0f} s. Noisy: remaining times are off by a log-normal factor "
        f"(sigma {NOISE}), one for each job.",
        f"Peers that take long are measured on jobs {SHORT[0]:,} to {SHORT[1] - 1:,} of the stream, ours beside them.",
        f"Batch: {BATCH} gangs at once, one in five of weight 5; sum of weight x completion over the bound of an "
        "interval-indexed linear program.",
        "The scheduler is the product's own, driven by `benchmarks/scheduling/product_rounds.py`, with its constants. "
        "The evaluator keeps its own books and refuses overcommitment. benchmarks/scheduling/README.md has more.",
    ]
    title = "Scheduling on classes of unlike speed"
    return Report(name="scheduling_classes", title=title, figures=figures, notes=notes)


def _single() -> list[Figure]:
    plain, costly, noisy = Rules(), Rules(restart_seconds=RESTART), Rules(sigma=NOISE)
    figures = _ours(SINGLE, plain)
    spoiled = {"with restarts": costly, "noisy": noisy}
    for name, rules in spoiled.items():
        figures.append(at_most(f"the same, {name}", [_stream_hours(SINGLE, rules)], SPOILED_GOAL, "h"))
    figures += [told(f"the same: {name}", [_hours(run(SINGLE, make(), plain))], "h") for name, make in PEERS.items()]
    short = {"ours": lambda: Preempting(plain), **SLOW_PEERS}
    for name, make in short.items():
        found = _hours(run(SINGLE, make(), plain, window=SHORT), SHORT)
        figures.append(told(f"the same, early jobs: {name}", [found], "h"))
    return figures


def _gangs() -> list[Figure]:
    rules, figures = Rules(), _ours(GANGS, Rules())
    for name in ("WSPT greedy, preempting", "max-sum program of Gavel"):
        figures.append(told(f"the same: {name}", [_hours(run(GANGS, PEERS[name](), rules))], "h"))
    return figures


def _ours(kind: Kind, rules: Rules) -> list[Figure]:
    first = run(kind, Preempting(rules), rules)
    unfinished = int(np.isnan(first.end_seconds[FIRST:LAST]).sum())
    decision = float(np.percentile(first.decision_seconds, 99)) * 1000.0
    return [
        at_most(f"{kind.name}, mean completion ({kind.published})", [_hours(first)], kind.goal, "h"),
        *(told(f"the same, seed {seed}", [_hours(run(kind, Preempting(rules), rules, seed))], "h") for seed in OTHERS),
        told("the same, completion p99", [float(np.percentile(first.flow_seconds()[FIRST:LAST], 99)) / HOUR], "h"),
        at_most("the same, unfinished", [unfinished], 0, "jobs"),
        told("the same, starts per job", [float(first.starts[FIRST:LAST].mean())], ""),
        told("the same, time to decide a round, p99", [decision], "ms"),
    ]


def _batch() -> list[Figure]:
    rules = Rules()
    batches = [draw_batch(SPEEDS, BATCH, seed) for seed in BATCH_SEEDS]
    bounds = [interval_bound(batch, rules.capacity) for batch in batches]

    def over(make: Callable[[], Policy]) -> list[float]:
        found = [replay(batch, make(), rules).weighted_sum_hours() for batch in batches]
        return [hours / bound for hours, bound in zip(found, bounds, strict=True)]

    name = f"batch of {BATCH} gangs, weighted completion over the bound"
    peers = [told(f"the same: {peer}", over(PEERS[peer]), "x") for peer in BATCH_PEERS]
    return [at_most(name, over(lambda: Preempting(rules)), 1.12, "x"), *peers]


def run(kind: Kind, policy: Policy, rules: Rules, seed: int = SEED, window: tuple[int, int] = (FIRST, LAST)) -> Outcome:
    """Replay a stream until the jobs of the window have ended."""
    stream = kind.draw(seed)
    watched = np.zeros(len(stream), dtype=np.bool_)
    watched[slice(*window)] = True
    return replay(stream, policy, rules, watched)


def _stream_hours(kind: Kind, rules: Rules) -> float:
    return _hours(run(kind, Preempting(rules), rules))


def _hours(outcome: Outcome, window: tuple[int, int] = (FIRST, LAST)) -> float:
    return float(outcome.flow_seconds()[slice(*window)].mean()) / HOUR
