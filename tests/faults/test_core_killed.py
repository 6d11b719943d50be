"""`kill -9` of the core at random moments under load: nothing acknowledged is lost, run twice or left behind."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import sub

import pytest

from tests.faults.load import Kind, Load
from tests.faults.rig import JOBS, Json, Platform, wait_for

RUNS = 8  # several, so that test processes can share them
KILLS = 25  # in each: 200 in all
READY_SECONDS_MAX = 5.0  # what the platform promises
WORKING_SECONDS = 0.7  # the longest that a core lives once it is ready
STARTING_SECONDS = 1.2  # one in four is killed within so long after its launch, ready or not


@pytest.mark.parametrize("seed", range(RUNS))
def test_a_core_killed_at_random_moments_loses_repeats_and_leaves_nothing(
    make_platform: Callable[..., Platform], seed: int
) -> None:
    platform = make_platform()
    platform.start()
    data_plane = platform.haproxies().keys()

    with Load(platform, seed) as load:
        starts = list(kill_again_and_again(platform, random.Random(seed)))

    jobs = settled(platform)
    seconds_to_ready, without_cpu = zip(*starts, strict=True)
    print(f"seed {seed}: {KILLS} kills, {len(jobs)} jobs, ready after {show(seconds_to_ready)}")
    assert load.trouble == []
    assert {job["metadata"]["id"] for job in jobs} == load.acknowledged.keys()
    assert [line for job in jobs for line in wrong_ends(job, load.acknowledged[job["metadata"]["id"]])] == []
    assert wrong_runs(platform, load.acknowledged) == []
    assert wrong_logs(platform, jobs, load.acknowledged) == []
    wait_for(lambda: not platform.orphans(), f"no process to be left: {platform.orphans()}")
    wait_for(lambda: not platform.groups(), f"no control group to be left: {platform.groups()}")
    assert platform.haproxies().keys() == data_plane
    # What it waited for a CPU while other tests had them all says nothing of the core.
    assert max(map(sub, seconds_to_ready, without_cpu)) <= READY_SECONDS_MAX


def kill_again_and_again(platform: Platform, moments: random.Random) -> Iterator[tuple[float, float]]:
    """Kill and restart the core; yield the seconds until it was ready, and how many of them it lacked a CPU."""
    for _ in range(KILLS):
        if moments.random() < 0.25:
            platform.kill()
            platform.launch()
            time.sleep(moments.uniform(0, STARTING_SECONDS))
        else:
            time.sleep(moments.uniform(0, WORKING_SECONDS))
        platform.kill()
        yield platform.start(), platform.seconds_without_cpu()


def settled(platform: Platform) -> list[Json]:
    """Return all jobs once they have ended."""
    jobs: list[Json] = []

    def have_ended() -> bool:
        jobs[:] = all_jobs(platform)
        return all(job["status"]["finished_at"] is not None for job in jobs)

    wait_for(have_ended, "all jobs to end", pause=0.25)
    return jobs


def all_jobs(platform: Platform) -> list[Json]:
    found: list[Json] = []
    cursor = ""
    while True:
        page = platform.get(f"{JOBS}?limit=500&before={cursor}")
        found += page["items"]
        cursor = page["next"]
        if not cursor:
            return found


def wrong_ends(job: Json, kind: Kind) -> Iterator[str]:
    """Yield what is wrong with a job's status."""
    status = job["status"]
    state, code = status["state"], status["exit_code"]
    if state != kind.state or (code != kind.exit_code and not kind.is_stopped) or status["attempt"] > 1:
        yield f"{job['metadata']['id']} {kind}: {state} {code} attempt {status['attempt']}: {status['reason']}"


def wrong_runs(platform: Platform, acknowledged: dict[str, Kind]) -> list[str]:
    """Return what ran more often or less often than it should have, by the marks that each replica left."""
    runs = Counter(tuple(line.split()[:2]) for line in platform.marks.read_text().splitlines())
    wanted = {(job, str(rank)): kind for job, kind in acknowledged.items() for rank in range(kind.replicas)}
    strangers = [f"{run} was never acknowledged" for run in runs.keys() - wanted.keys()]
    repeated = [f"{run} ran {count} times" for run, count in runs.items() if count > 1]
    # Of a gang that breaks, and of what is stopped, a replica may be told to end before it began.
    missing = [
        f"{run} {kind} never ran" for run, kind in wanted.items() if run not in runs and kind.state == "succeeded"
    ]
    return [*strangers, *repeated, *missing]


def wrong_logs(platform: Platform, jobs: list[Json], acknowledged: dict[str, Kind]) -> list[str]:
    """Return the jobs whose log does not hold what their replicas printed."""
    started = {tuple(line.split()[:2]) for line in platform.marks.read_text().splitlines()}

    def check(job: Json) -> str:
        job_id = job["metadata"]["id"]
        kind = acknowledged[job_id]
        end = "end\n" if kind.state == "succeeded" else ""
        whole = [f"begin {rank}\n{end}" for rank in range(kind.replicas) if (job_id, str(rank)) in started]
        log = platform.log_of(job)
        is_right = sorted(log.split()) == sorted("".join(whole).split())
        return "" if is_right or kind.is_stopped else f"{job_id} {kind}: {log!r}"

    with ThreadPoolExecutor(4) as pool:
        return [line for line in pool.map(check, jobs) if line]


def show(seconds: Sequence[float]) -> str:
    """Return the distribution of `seconds`."""
    seconds = sorted(seconds)
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    at = {name: seconds[min(len(seconds) - 1, int(share * len(seconds)))] for name, share in shares.items()}
    return ", ".join(f"{name} {value:.2f} s" for name, value in at.items())
