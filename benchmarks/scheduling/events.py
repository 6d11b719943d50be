"""What one event costs when much waits: 10,000 tasks and more on 1,000 nodes of the openb trace."""

from __future__ import annotations

import random
import statistics
import time
from datetime import timedelta

from benchmarks.figure import Report, at_least, at_most, percentile, told
from benchmarks.memory import MB
from benchmarks.scheduling.openb import read_machines, read_pods
from benchmarks.scheduling.product import EPOCH, demand_of, nodes_of
from benchmarks.scheduling.traces import DATA
from lepton_ai.kernel.scheduling.scheduler import Scheduler
from lepton_ai.kernel.scheduling.snapshot import Expectation, WaitingTask

NODES, TASKS, EVENTS = 1_000, 19_000, 1_000


def measure() -> Report:
    """Submit all tasks at once, then let running ones end one by one, with a plan after each."""
    rng = random.Random(5)
    scheduler = Scheduler(nodes_of(rng.sample(list(read_machines(DATA)), NODES)))
    pods = list(read_pods(DATA, "default"))
    for number in range(TASKS):
        seconds, name = rng.lognormvariate(6, 1.5), f"{number:06}"
        expected = {"": Expectation(seconds, seconds * 1.8, "stated")}
        since = EPOCH - timedelta(seconds=rng.uniform(0, 7200))
        demand = demand_of(rng.choice(pods).shape)
        scheduler.submit(WaitingTask(name, name, demand, rng.choice((1.0, 2.0, 4.0)), since, expected))
    began, began_cpu = time.perf_counter(), time.process_time()
    running = [placed.task_id for placed in scheduler.plan(EPOCH).placements]
    bulk, bulk_cpu = time.perf_counter() - began, time.process_time() - began_cpu
    placed, waiting, spent = len(running), TASKS - len(running), []
    for event in range(EVENTS):
        scheduler.forget(running.pop(rng.randrange(len(running))))
        began = time.perf_counter()
        plan = scheduler.plan(EPOCH + timedelta(seconds=event))
        spent.append((time.perf_counter() - began) * 1000)
        running += [one.task_id for one in plan.placements]
    figures = [
        at_most("one event (a task ends), p99", [percentile(spent, 99)], 50, "ms"),
        told("one event, p50", [statistics.median(spent)], "ms"),
        at_least("first plan: placements per second", [placed / bulk], 10_000, "/s"),
        told("first plan: placements per second of processor time", [placed / bulk_cpu], "/s"),
        told("tasks that wait after it", [float(waiting)], ""),
        told("resident after all", [_resident() / MB], "MB"),
    ]
    notes = [
        f"{TASKS:,} tasks of the mix `default` for {NODES:,} nodes drawn at random; {placed:,} start, then {EVENTS:,} "
        "of those end one by one. The first plan tells each task that waits why."
    ]
    return Report(name="scheduling_events", title="Scheduling, event by event", figures=figures, notes=notes)


def _resident() -> int:
    with open("/proc/self/statm") as found:
        return int(found.read().split()[1]) * 4096
