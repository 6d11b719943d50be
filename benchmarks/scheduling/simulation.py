"""How fast `lepton simulate` replays: 100,000 drawn tasks, and all of Philly, with lengths learnt on the way."""

from __future__ import annotations

import random
import time

from benchmarks.figure import Figure, Report, at_most, told
from benchmarks.scheduling.traces import DATA
from lepton_ai.kernel.scheduling.snapshot import Demand
from lepton_ai.simulation.engine import Outcome, replay
from lepton_ai.simulation.node_shapes import imagined
from lepton_ai.simulation.readers.detect import read_trace
from lepton_ai.simulation.readers.philly import gang
from lepton_ai.simulation.told import Learnt
from lepton_ai.simulation.trace import Trace, TraceTask, in_order
from lepton_ai.types.resources import AcceleratorRequest

TASKS, NODES, LOADS, SEED = 100_000, 64, (0.9, 1.2), 1
PHILLY_NODES = 50  # 400 devices for an average of 374
GANGS, SHARES = (1, 2, 4, 8, 16), (70, 10, 8, 10, 2)
DEVICES_EACH = 8
GOAL_SECONDS = 60.0


def measure() -> Report:
    """Replay each trace once and count processor time."""
    figures: list[Figure] = []
    for load in LOADS:
        found = draw(load)
        seconds, outcome = _timed(found, NODES)
        name = f"{TASKS:,} tasks at a load of {load:.0%}: processor time"
        # Twice as many tasks arrive in a day of overload as the goal was set for: told, not promised.
        figures.append(at_most(name, [seconds], GOAL_SECONDS, "s") if load < 1 else told(name, [seconds], "s"))
        figures.append(told("the same: tasks per second", [len(outcome.ends) / seconds], "/s"))
        figures.append(told("the same: plans", [float(outcome.plans)], ""))
    philly = read_trace(DATA / "philly_jobs.csv.gz", devices_each=DEVICES_EACH)
    seconds, outcome = _timed(philly, PHILLY_NODES)
    figures.append(at_most(f"Philly, {len(philly.tasks):,} jobs: processor time", [seconds], GOAL_SECONDS, "s"))
    figures.append(told("the same: plans", [float(outcome.plans)], ""))
    notes = [
        f"Tasks of 1 to 16 devices and log-normal length on {NODES} nodes of {DEVICES_EACH}; Philly on {PHILLY_NODES} "
        "such nodes, all 109 days. Arrivals wait for the next end while others wait."
    ]
    return Report(name="scheduling_simulation", title="Simulation", figures=figures, notes=notes)


def draw(load: float, tasks: int = TASKS, nodes: int = NODES) -> Trace:
    """Return a random trace that offers `load` of what the nodes' devices can do."""
    rng = random.Random(SEED)
    drawn = []
    for _ in range(tasks):
        devices = rng.choices(GANGS, SHARES)[0]
        drawn.append((devices, min(rng.lognormvariate(6.5, 1.8), 3 * 86_400.0), f"kind-{rng.randrange(300)}"))
    span = sum(devices * seconds for devices, seconds, _ in drawn) / (nodes * DEVICES_EACH * load)
    found = []
    for devices, seconds, kind in drawn:
        size, each = gang(devices, DEVICES_EACH)
        demand = Demand(each * 4000, each * 10**10, AcceleratorRequest(count=each), size)
        found.append(TraceTask("", rng.uniform(0, span), seconds, demand, rng.choice((1.0, 1.0, 1.0, 5.0)), kind))
    return Trace("drawn", "drawn", in_order(found))


def _timed(trace: Trace, nodes: int) -> tuple[float, Outcome]:
    fleet = imagined(f"{nodes}xh100")
    began = time.process_time()
    outcome = replay(trace, fleet, Learnt())
    return time.process_time() - began, outcome
