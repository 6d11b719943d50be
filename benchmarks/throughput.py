"""How many small jobs a second end, and whether each of them left its log, its exit code and its events."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import psutil

from benchmarks.figure import Report, at_least, at_most, told
from benchmarks.instance import running_instance
from benchmarks.work import CLIENTS, submit_many, wait_for_all
from lepton_ai import Job, JobState, LeptonAI

JOBS = 1000
ROUNDS = 3
TELLING_JOBS = 100
LAST_EVENT = "succeeded"


def measure() -> Report:
    """Run several rounds of jobs, each in a fresh platform, and look at every job afterwards."""
    finished, submitted, own, children, incomplete = [], [], [], [], 0
    for _ in range(ROUNDS):
        with running_instance() as instance, instance.connect() as lepton:
            wait_for_all(lepton, submit_many(lepton, 20))  # a warm core
            core = psutil.Process(lepton.status().core.pid)
            before = core.cpu_times()
            jobs = wait_for_all(lepton, submit_many(lepton, JOBS))
            after = core.cpu_times()
            own.append((after.user + after.system - before.user - before.system) / JOBS * 1e3)
            children.append((sum(after[2:4]) - sum(before[2:4])) / JOBS * 1e3)
            finished.append(JOBS / _seconds(jobs))
            submitted.append(JOBS / _submit_seconds(jobs))
            incomplete += count_incomplete(lepton, jobs) + count_wrong_logs(lepton)
    figures = [
        at_least(f"{JOBS:,} jobs of `true`: finished per second", finished, 40, "/s"),
        told("of them accepted per second", submitted, "/s"),
        told("processor time a job, the core", own, "ms"),
        told("processor time a job, its supervisor and itself", children, "ms"),
        at_most("jobs without log, exit code or events", [float(incomplete)], 0, ""),
    ]
    notes = [
        f"Submitted by {CLIENTS} threads through the SDK; from the first submission to the last end, as the core "
        f"recorded them. {ROUNDS} rounds, each on a fresh platform. Each job is looked at afterwards: its exit code is "
        "0, its log can be read to its end, its events go from submitted to succeeded. "
        f"{TELLING_JOBS} more jobs a round print a number each, and their logs must hold just that.",
        "The processor time tells what a machine with nothing else to do can reach, whatever the load was here.",
    ]
    return Report(name="throughput", title="Throughput of small jobs", figures=figures, notes=notes)


def count_incomplete(lepton: LeptonAI, jobs: Sequence[Job]) -> int:
    """Return how many of the jobs, which printed nothing, lack their exit code, log or events."""

    def is_complete(job: Job) -> bool:
        handle = lepton.jobs.get(job.id)
        codes = [event.code for event in handle.events()]
        has_ended_well = handle.state is JobState.SUCCEEDED and handle.status.exit_code == 0
        return has_ended_well and codes[-1:] == [LAST_EVENT] and len(codes) > 1 and str(handle.logs()) == ""

    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(is_complete, jobs)).count(False)


def count_wrong_logs(lepton: LeptonAI) -> int:
    """Run jobs that print a number each; return how many logs hold anything else."""
    handles = {number: lepton.jobs.create(["echo", str(number)]) for number in range(TELLING_JOBS)}
    wait_for_all(lepton, [handle.id for handle in handles.values()])
    return sum(str(handle.logs()) != str(number) for number, handle in handles.items())


def _seconds(jobs: Sequence[Job]) -> float:
    first = min(job.status.submitted_at for job in jobs if job.status.submitted_at)
    last = max(job.status.finished_at for job in jobs if job.status.finished_at)
    return (last - first).total_seconds()


def _submit_seconds(jobs: Sequence[Job]) -> float:
    times = [job.status.submitted_at for job in jobs if job.status.submitted_at]
    return (max(times) - min(times)).total_seconds()
