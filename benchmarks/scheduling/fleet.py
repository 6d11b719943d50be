"""Placements a second that 5,000 imagined nodes see while 50,000 tasks wait, through the real control plane."""

from __future__ import annotations

import time

from benchmarks.figure import Report, at_least, told
from benchmarks.scheduling.control_plane import ControlPlane, running
from benchmarks.scheduling.imagined_core import THREADS
from lepton_ai.kernel.clock import SystemClock

NODES, WAITING, ARRAY = 5_000, 50_000, 1_000
TASK_SECONDS = 20.0  # each task fills a node for so long, so that 250 a second could start
SETTLE_SECONDS, WATCH_SECONDS = 60.0, 120.0
GOAL, KUEUE = 100.0, 43.0
RESOURCES = {"cpu": THREADS, "memory": "1GB"}
PLACED = "SELECT count(*) FROM events WHERE kind = 'task' AND code = 'placed' AND at > '{since}' AND at <= '{until}'"
STATES = "SELECT json_extract(body, '$.status.state'), count(*) FROM objects WHERE kind = 'task' GROUP BY 1"


def measure() -> Report:
    """Fill the fleet and the queue, and count what is placed from then on."""
    with running(NODES, TASK_SECONDS) as plane, plane.instance.connect() as lepton:
        for _ in range((NODES + WAITING) // ARRAY):
            lepton.jobs.create(["true"], array=ARRAY, resources=RESOURCES)
        time.sleep(SETTLE_SECONDS)
        before, spent = _waiting(plane), plane.cpu_seconds()
        since = SystemClock().now()
        time.sleep(WATCH_SECONDS)
        until = SystemClock().now()
        spent = plane.cpu_seconds() - spent
        after = _waiting(plane)
        memory = plane.processes[0].memory_info().rss / 1e6
        ((placed,),) = plane.read(PLACED.format(since=since.isoformat(), until=until.isoformat()))
    seconds = (until - since).total_seconds()
    figures = [
        at_least(f"placed on {NODES:,} nodes while tens of thousands wait", [int(str(placed)) / seconds], GOAL, "/s"),
        told("waiting when the count began", [float(before)], ""),
        told("waiting when it ended", [float(after)], ""),
        told("of one processor taken by core and data plane", [100 * spent / seconds], "%"),
        told("memory of the core at the end", [memory], "MB"),
        told("published: Kueue, workloads admitted", [KUEUE], "/s"),
    ]
    notes = [
        f"Each task takes the whole of a node of {THREADS} CPUs for {TASK_SECONDS:g} s. Real are the API, the store on "
        "disk, the loop and the scheduler; nodes and replicas are imagined; each start and end goes the real way.",
    ]
    return Report(name="scheduling_fleet", title="Five thousand nodes", figures=figures, notes=notes)


def _waiting(plane: ControlPlane) -> int:
    return sum(int(str(count)) for state, count in plane.read(STATES) if state == "waiting")
