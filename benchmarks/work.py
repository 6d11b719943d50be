"""Many small jobs at once: submits them from several threads and waits until the last has ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from lepton_ai import Job, LeptonAI

CLIENTS = 4  # threads that submit; one alone would be the bottleneck
POLL_SECONDS = 1.0  # the core reads every task to count them; asked often, it has less time for the jobs
WAIT_SECONDS_MAX = 300


def submit_many(lepton: LeptonAI, count: int) -> list[str]:
    """Submit `count` jobs of `true` and return their ids."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(lambda _: lepton.jobs.create(["true"]).id, range(count)))


def wait_for_all(lepton: LeptonAI, ids: Sequence[str]) -> list[Job]:
    """Return the jobs once all have ended; asks for the queue alone until it is empty, which costs the core little."""
    give_up = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        counts = lepton.status().counts
        if not counts.tasks_waiting and not counts.tasks_running:
            wanted = set(ids)
            jobs = [handle.object for handle in lepton.jobs.each() if handle.id in wanted]
            if len(jobs) == len(wanted) and all(job.is_final() for job in jobs):
                return jobs
        if time.monotonic() > give_up:
            raise RuntimeError(f"{len(ids)} jobs have not all ended after {WAIT_SECONDS_MAX} s: {counts}")
        time.sleep(POLL_SECONDS)
