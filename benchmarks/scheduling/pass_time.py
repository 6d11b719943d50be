"""One scheduling pass over 10,000 waiting tasks and 1,000 nodes, in every scenario of `pass_scenarios`."""

from __future__ import annotations

import statistics

from benchmarks.figure import Figure, Report, at_most, told
from benchmarks.scheduling.pass_scenarios import GOAL_MS, NODES, TASKS, scenarios, timed, timed_plan

PASSES = 9
# Jobs and gangs, with devices and without, on nodes that are nearly full: what a busy cluster looks like.
MAIN = "mixed, full"


def measure() -> Report:
    """Time each scenario; the main one comes first, then the others from the slowest."""
    times = {name: timed_plan(build(), PASSES) for name, build in scenarios().items()}
    order = sorted(times, key=lambda name: (name != MAIN, -statistics.median(times[name])))
    figures: list[Figure] = [at_most(f"one pass, {name}", times[name], GOAL_MS, "ms") for name in order]
    from_nothing = timed(scenarios()[MAIN](), PASSES)[0]
    figures.append(told(f"`schedule(snapshot)`, which begins with nothing, {MAIN}", from_nothing, "ms"))
    notes = [
        f"{TASKS:,} waiting tasks and {NODES:,} nodes; median of {PASSES} passes after a first one. A pass decides "
        "on all tasks and tells each that waits why, over a world that the scheduler knows, as the core runs it. "
        "`python -m benchmarks.scheduling.pass_scenarios` shows p95 too, and weighs the order against first-fit FIFO."
    ]
    return Report(name="scheduling", title="Scheduling pass", figures=figures, notes=notes)
