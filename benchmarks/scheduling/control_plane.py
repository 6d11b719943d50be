"""How many tasks a second the control plane admits, places and commits on one core, with machines that are imagined."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from benchmarks.figure import Report, at_least, at_most, told
from benchmarks.instance import Instance, environment_of
from benchmarks.scheduling.imagined_core import THREADS
from benchmarks.venv import ROOT
from lepton_ai import LeptonAI, TaskRequest
from lepton_ai.backends.haproxy.plane import HaproxyPlane
from lepton_ai.kernel.clock import SystemClock

NODES, TASKS, ONE_BY_ONE = 1_000, 10_000, 1_000
ROUNDS, ARRAY, CLIENTS = 3, 1_000, 4
GOAL = 500.0
KUEUE, SLURM, KUBE_SCHEDULER = 43.0, 500.0, 680.0
START_SECONDS_MAX, PLACED_SECONDS_MAX, POLL_SECONDS = 60.0, 300.0, 0.2
RESOURCES = {"cpu": 1, "memory": "1GB"}
PLACED = "SELECT count(*), max(at) FROM events WHERE kind = 'task' AND code = 'placed'"
# The committed tasks themselves, not what was said of them: how many hold room on each node.
HELD = (
    "SELECT json_extract(body, '$.status.allocations[0].node') AS node, count(*) FROM objects "
    "WHERE kind = 'task' GROUP BY node"
)


@dataclass(frozen=True, slots=True)
class Found:
    """What one round came to."""

    per_second: float
    accepted_per_second: float
    cpu_ms: float  # processor time of the core and the data plane for each task
    wrong: int  # tasks that hold no room, or room that is not there


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A core at work, with its data plane, on one processor."""

    instance: Instance
    processes: Sequence[psutil.Process]

    def cpu_seconds(self) -> float:
        """Return the processor time that all of it has taken so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes)

    def read(self, query: str) -> list[tuple[object, ...]]:
        """Ask its database, past all of its code."""
        with closing(sqlite3.connect(f"file:{self.instance.home}/lepton.db?mode=ro", uri=True)) as database:
            return database.execute(query).fetchall()


def measure() -> Report:
    """Run several rounds of each way to submit, every round on a fresh core."""
    batches = [_round(_in_batches, TASKS) for _ in range(ROUNDS)]
    arrays = [_round(_as_arrays, TASKS) for _ in range(ROUNDS)]
    singles = [_round(_one_by_one, ONE_BY_ONE)]
    figures = [
        at_least(f"{TASKS:,} jobs in batches, placed", [one.per_second for one in batches], GOAL, "/s"),
        told("of them accepted", [one.accepted_per_second for one in batches], "/s"),
        told("of them placed per second of the core's processor time", [1e3 / one.cpu_ms for one in batches], "/s"),
        told("processor time a job", [one.cpu_ms for one in batches], "ms"),
        at_least(f"{TASKS:,} tasks as arrays of {ARRAY:,}, placed", [one.per_second for one in arrays], GOAL, "/s"),
        told("processor time a task", [one.cpu_ms for one in arrays], "ms"),
        told(f"{ONE_BY_ONE:,} jobs, a request for each, placed", [one.per_second for one in singles], "/s"),
        told("processor time a job so", [one.cpu_ms for one in singles], "ms"),
        at_most(
            "tasks without room, or on a node that is too full",
            [float(sum(one.wrong for one in batches + arrays))],
            0,
            "",
        ),
        told("published: Kueue, workloads admitted", [KUEUE], "/s"),
        told("published: Slurm, simple batch jobs sustained", [SLURM], "/s"),
        told("published: kube-scheduler, floor of its CI, pods bound", [KUBE_SCHEDULER], "/s"),
    ]
    return Report(
        name="scheduling_control_plane", title="Through the real control plane", figures=figures, notes=_NOTES
    )


_NOTES = (
    "From the first request of the SDK to the last placement that is committed, by the times in the database. Real are "
    "the data plane (TLS), the API with token, audit and idempotency keys, the store on disk (SQLite), the loop and "
    f"the scheduler; imagined are {NODES:,} nodes of {THREADS} CPUs, whose replicas run as soon as ordered and "
    "never end. The time holds, too, what the loop writes of their starts meanwhile.",
    "What is acknowledged is on disk before it is: a commit for each batch, array or job. Placements survive the death "
    "of any process; of the last of them a loss of power leaves the core to decide again.",
    "Core and data plane share one processor with whatever else runs there; the client has the others. The processor "
    "time tells what an idle machine reaches.",
    "Published: Kueue's CI baseline (15,000 workloads in 351 s); Slurm's high-throughput guide, 24.11, which counts "
    "whole jobs to their ends; kube-scheduler's CI thresholds for 10,000 pods on 5,000 nodes, with neither admission "
    "nor kubelets.",
)


def _in_batches(lepton: LeptonAI, count: int) -> None:
    lepton.jobs.create_many([TaskRequest(["true"], resources=RESOURCES)] * count)


def _as_arrays(lepton: LeptonAI, count: int) -> None:
    for _ in range(count // ARRAY):
        lepton.jobs.create(["true"], array=ARRAY, resources=RESOURCES)


def _one_by_one(lepton: LeptonAI, count: int) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda _: lepton.jobs.create(["true"], resources=RESOURCES), range(count)))


def _round(submit: Callable[[LeptonAI, int], None], count: int) -> Found:
    with running() as plane, plane.instance.connect() as lepton:
        lepton.status()
        began, before = SystemClock().now(), plane.cpu_seconds()
        submit(lepton, count)
        accepted = SystemClock().now()
        last = _wait_for(plane, count)
        spent = plane.cpu_seconds() - before
        held = {node: int(str(here)) for node, here in plane.read(HELD)}
    wrong = held.pop(None, 0) + sum(max(0, here - THREADS) for here in held.values())
    return Found(
        count / (last - began).total_seconds(),
        count / (accepted - began).total_seconds(),
        spent / count * 1e3,
        wrong,
    )


def _wait_for(plane: ControlPlane, count: int) -> datetime:
    """Return when the last of `count` placements was committed."""
    give_up = time.monotonic() + PLACED_SECONDS_MAX
    while True:
        ((placed, last),) = plane.read(PLACED)
        if placed == count:
            return datetime.fromisoformat(str(last))
        if time.monotonic() > give_up:
            raise RuntimeError(f"{placed} of {count} tasks are placed after {PLACED_SECONDS_MAX:g} s")
        time.sleep(POLL_SECONDS)


@contextmanager
def running(nodes: int = NODES, seconds: float = 0.0) -> Iterator[ControlPlane]:
    """Start a core on the first processor, and leave the others to this process; replicas last `seconds`, if any."""
    cpus = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="lepton-benchmark-") as folder:
        home = Path(folder) / "home"
        command = [sys.executable, "-m", "benchmarks.scheduling.imagined_core", str(nodes), str(cpus[0]), str(seconds)]
        core = subprocess.Popen(command, env=environment_of(home), cwd=ROOT)
        try:
            os.sched_setaffinity(0, set(cpus[1:] or cpus))
            _wait_for_file(home / "core.json")
            told_by_core = json.loads((home / "core.json").read_text())
            instance = Instance(home, told_by_core["url"], (home / "admin.token").read_text().strip())
            yield ControlPlane(instance, [psutil.Process(core.pid), *_data_plane(home)])
        finally:
            os.sched_setaffinity(0, set(cpus))
            core.terminate()
            core.wait(START_SECONDS_MAX)
            HaproxyPlane(home).stop()


def _wait_for_file(path: Path) -> None:
    give_up = time.monotonic() + START_SECONDS_MAX
    while not path.exists():
        if time.monotonic() > give_up:
            raise RuntimeError(f"the core is not ready after {START_SECONDS_MAX:g} s")
        time.sleep(0.05)


def _data_plane(home: Path) -> list[psutil.Process]:
    """Return the processes of the data plane, which are told the folder of their files."""
    return [
        found
        for found in psutil.process_iter(["cmdline"])
        if str(home / "haproxy") in " ".join(found.info["cmdline"] or ())
    ]
