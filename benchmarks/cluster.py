"""The same over a Ray cluster: how soon a submitted command runs, and how many small jobs a second end."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.bell import Bell
from benchmarks.figure import Figure, Report, at_least, at_most, percentile, told
from benchmarks.instance import Instance, running_instance
from benchmarks.ray_peer import running_ray
from benchmarks.submit import submit_times
from benchmarks.throughput import count_incomplete
from benchmarks.work import submit_many, wait_for_all
from lepton_ai import Job, LeptonAI
from lepton_ai.testing.ray_cluster import LocalRayCluster

SAMPLES = 60
PEER_SAMPLES = 5
JOBS = 300
WAIT_SECONDS_MAX = 60.0
TIMES_SOONER = 8
NS_PER_MS = 1e6


def measure() -> Report:
    """Time both on a head and two more raylets on this machine; then `ray job submit` in turn with our own."""
    with tempfile.TemporaryDirectory(prefix="lepton-benchmark-") as folder, _running_cluster() as instance:
        bell = Bell(Path(folder))
        with instance.connect() as client:
            figures = _submit(client, bell) + _throughput(client)
            peers, note = _beside_ray(client, bell)
    notes = [
        "Three raylets on this machine (4, 2 and 1 CPUs declared, whatever it has), with Ray's token authentication; "
        "each job gets a placement group of its own and an agent starts its supervisor.",
        f"{SAMPLES} jobs in a row through the SDK, each after the end of the one before; then {JOBS} of `true` at "
        "once, from the first submission to the last end, each looked at for its exit code, its log and its events.",
        note,
    ]
    return Report(name="cluster", title="On a Ray cluster", figures=[*figures, *peers], notes=notes)


@contextmanager
def _running_cluster() -> Iterator[Instance]:
    with tempfile.TemporaryDirectory(prefix="lepton-ray-") as folder:
        ray = LocalRayCluster(Path(folder))
        try:
            ray.start()
            with running_instance(extra={"LEPTON_RAY_ADDRESS": ray.where.address, **ray.where.environment}) as instance:
                yield instance
        finally:
            ray.stop()


def _submit(client: LeptonAI, bell: Bell) -> list[Figure]:
    seen, ran = submit_times(client, bell, SAMPLES)
    return [
        at_most("submit to `running`, p50", seen, 400, "ms"),
        told("submit to `running`, p95", [percentile(seen, 95)], "ms"),
        told("submit until the command runs, p50", ran, "ms"),
    ]


def _throughput(client: LeptonAI) -> list[Figure]:
    jobs = wait_for_all(client, submit_many(client, JOBS))
    return [
        at_least(f"{JOBS} jobs of `true`: finished per second", [JOBS / _seconds(jobs)], 10, "/s"),
        at_most("jobs without log, exit code or events", [float(count_incomplete(client, jobs))], 0, ""),
    ]


def _seconds(jobs: list[Job]) -> float:
    first = min(job.status.submitted_at for job in jobs if job.status.submitted_at)
    last = max(job.status.finished_at for job in jobs if job.status.finished_at)
    return (last - first).total_seconds()


def _beside_ray(client: LeptonAI, bell: Bell) -> tuple[list[Figure], str]:
    took: dict[str, list[float]] = {"ours": [], "ray job submit": []}
    try:
        with running_ray() as ray:
            for turn in range(PEER_SAMPLES + 1):
                for way, submit in (
                    ("ours", lambda: client.jobs.create(bell.command)),
                    ("ray job submit", lambda: ray.submit_by_command(bell.command)),
                ):
                    began = time.monotonic_ns()
                    submit()
                    heard = bell.wait(WAIT_SECONDS_MAX)
                    if turn:  # the first of each warms up
                        took[way].append((heard - began) / NS_PER_MS)
    except RuntimeError as error:
        return [], f"Not compared with Ray's own jobs, which could not be had here: {error}."
    ratio = sorted(took["ray job submit"])[PEER_SAMPLES // 2] / sorted(took["ours"])[PEER_SAMPLES // 2]
    figures = [
        told("`ray job submit` of the same command until it runs", took["ray job submit"], "ms"),
        told("through our SDK, in the same turns", took["ours"], "ms"),
        at_least("our SDK is sooner than `ray job submit`, times", [ratio], TIMES_SOONER, "x"),
    ]
    return figures, (
        f"Ray {ray.version}'s jobs run on a head of its own with a dashboard, which ours has not; both take turns."
    )
