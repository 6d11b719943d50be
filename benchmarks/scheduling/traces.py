"""The scheduler on public traces, beside what others reach on them: packing, a live queue, and a fortnight of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.figure import Figure, Report, at_least, at_most, told
from benchmarks.scheduling.learning import Learning, RunningMean
from benchmarks.scheduling.live_queue import Waits, draw, serve, tenth
from benchmarks.scheduling.live_queue_baselines import baselines as queue_baselines
from benchmarks.scheduling.openb import Machine, read_machines, read_pods
from benchmarks.scheduling.packing import pack
from benchmarks.scheduling.packing_baselines import baselines as packing_baselines
from benchmarks.scheduling.philly import philly
from benchmarks.scheduling.philly_baselines import baselines as philly_baselines
from benchmarks.scheduling.philly_replay import Setting, replay
from benchmarks.scheduling.product import JobReplay, LiveQueue, Packer

DATA = Path(__file__).parent / "data"
PACKING_SEEDS = (42, 43, 44)
QUEUE_TASKS, QUEUE_SIGMA, QUEUE_SEED = 30_000, 0.7, 0
QUEUE_PEERS = ("strict priority / spread", "WSPT / best-fit")
PHILLY_NODES, PHILLY_DAY, PHILLY_SIGMA = 50, date(2017, 10, 9), 1.0
PHILLY_RESTART = 60  # seconds


class Mix(NamedTuple):
    """One mix of pods: its goal when `mark` per cent has arrived, the published figure of FGD, and the bound."""

    name: str
    mark: int
    goal: float
    published: float
    bound: float


MIXES = (
    Mix("default", 130, 95.9, 95.39, 96.41),
    Mix("cpu250", 130, 94.3, 93.41, 96.37),
    Mix("gpuspec33", 130, 95.6, 94.55, 96.41),
    Mix("gpushare100", 130, 87.1, 86.90, 88.12),
    Mix("multigpu30", 100, 96.2, 96.36, 97.20),
)


def measure() -> Report:
    """Run all three protocols."""
    machines = read_machines(DATA)
    figures = [*_packing(machines), *_queue(machines), *_philly()]
    notes = [
        "Packing: Weng et al., ATC 2023, on the openb trace (1,213 nodes, 6,212 GPUs): pods come until 130 % of them "
        f"are asked for, none leaves; GPUs allocated, mean of seeds {PACKING_SEEDS}. Published: FGD with the paper's "
        "fixed order of nodes. The bound keeps the mix of pods.",
        f"Live queue: {QUEUE_TASKS:,} pods of the mix gpuspec33 on every 10th node at a GPU load of 1, a plan every "
        f"30 s, estimates off by a log-normal factor (sigma {QUEUE_SIGMA}); weighted mean completion over weighted "
        "mean duration.",
        f"Philly: {PHILLY_DAY} and 13 days on, {PHILLY_NODES} nodes of 8 GPUs, gangs of 1 to 16, nothing preempted; a "
        "fifth of the jobs, drawn at random, weighs 5. No schedule without preemption is below 7,838 s.",
        "The scheduler is the product's own, driven by `benchmarks/scheduling/product.py`, with its constants. "
        "The evaluators keep their own books and refuse what does not fit. benchmarks/scheduling/README.md has more.",
    ]
    return Report(name="scheduling_traces", title="Scheduling on public traces", figures=figures, notes=notes)


def _packing(machines: Sequence[Machine]) -> list[Figure]:
    figures = []
    for mix in MIXES:
        pods = read_pods(DATA, mix.name)
        shares = [pack(machines, pods, Packer(), seed).allocated[mix.mark] for seed in PACKING_SEEDS]
        name = f"packing {mix.name} at {mix.mark} % (FGD published {mix.published}, bound {mix.bound})"
        figures.append(at_least(name, [float(np.mean(shares))], mix.goal, "%"))
    pods, seed = read_pods(DATA, "default"), PACKING_SEEDS[0]
    for peer in ("BestFit", "FGD"):
        found = pack(machines, pods, packing_baselines(seed)[peer](), seed).allocated[130]
        figures.append(told(f"packing default at 130 %: {peer}, measured here, seed {seed}", [found], "%"))
    return figures


def _queue(machines: Sequence[Machine]) -> list[Figure]:
    pods = read_pods(DATA, "gpuspec33")
    stream = draw(tenth(machines), pods, QUEUE_TASKS, QUEUE_SIGMA, QUEUE_SEED)
    ours = serve(stream, LiveQueue())
    peers: dict[str, Waits] = {name: serve(stream, queue_baselines()[name]()) for name in QUEUE_PEERS}
    return [
        at_most("live queue, weighted completion over the bound", [ours.stretch], 1.15, "x"),
        *(told(f"the same: {name}", [waits.stretch], "x") for name, waits in peers.items()),
        at_most("live queue, wait p99", [ours.percentile(99)], 9_500, "s"),
        *(told(f"the same: {name}", [waits.percentile(99)], "s") for name, waits in peers.items()),
    ]


def _philly() -> list[Figure]:
    stream = philly(DATA / "philly_jobs.csv.gz", PHILLY_DAY)
    exact = stream.seconds.astype(np.float64)
    noise = np.exp(PHILLY_SIGMA * np.random.default_rng(1).standard_normal(len(stream)))

    still, moving = Setting(PHILLY_NODES), Setting(PHILLY_NODES, PHILLY_RESTART)
    known = replay(stream, still, JobReplay(stream, still, exact, 0.0))
    noisy = replay(stream, still, Learning(stream, still, exact * noise))
    learnt = replay(stream, still, Learning(stream, still))
    means = replay(stream, still, RunningMean(stream, still))
    peers = {
        name: replay(stream, still, make()).weighted_completion
        for name, make in philly_baselines(stream, still).items()
    }
    moved = replay(stream, moving, JobReplay(stream, moving, exact, 0.0))
    learnt_moved = replay(stream, moving, Learning(stream, moving))
    return [
        at_most("Philly, weighted completion, durations known", [known.weighted_completion], 9_400, "s"),
        at_most("Philly, weighted completion, durations stated, off by e^1", [noisy.weighted_completion], 9_800, "s"),
        at_most("Philly, weighted completion, durations learnt", [learnt.weighted_completion], 12_000, "s"),
        told("the same: running means by sender and size", [means.weighted_completion], "s"),
        *(told(f"the same, durations known: {name}", [peer], "s") for name, peer in peers.items()),
        told("Philly, wait p99, durations known", [known.p99_wait], "s"),
        told("Philly, wait p99, durations learnt", [learnt.p99_wait], "s"),
        at_most("Philly with preemption, weighted completion", [moved.weighted_completion], 7_850, "s"),
        at_most("Philly with preemption, wait p99", [moved.p99_wait], 9_000, "s"),
        told("Philly with preemption, weighted completion, durations learnt", [learnt_moved.weighted_completion], "s"),
        told("Philly with preemption, starts per job", [float(moved.starts.mean())], ""),
    ]
