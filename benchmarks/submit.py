"""How soon a submitted command runs, on a warm core; beside it the same command under `ray job submit`."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.bell import Bell
from benchmarks.figure import Figure, Report, at_least, at_most, percentile, told
from benchmarks.instance import Instance, lepton, running_instance
from benchmarks.ray_peer import RayHead, running_ray
from benchmarks.watch import RunningWatch
from lepton_ai import LeptonAI

SAMPLES = 100
WARM_UP = 5
PEER_SAMPLES = 7
WAIT_SECONDS_MAX = 60.0
TIMES_SOONER = 20
NS_PER_MS = 1e6


def measure() -> Report:
    """Time our own alone, then ours and Ray's in turn."""
    with tempfile.TemporaryDirectory(prefix="lepton-benchmark-") as folder, running_instance() as instance:
        bell = Bell(Path(folder))
        with instance.connect() as client:
            figures = _ours(client, bell)
            peers, note = _beside_ray(instance, client, bell)
    notes = [
        f"The command is `sh -c 'echo > PIPE'`: {SAMPLES} in a row through the SDK, each after the end of the one "
        "before. `running` is when a client that watches is told so; the command runs when it writes to the pipe.",
        note,
    ]
    return Report(name="submit", title="Submit to running", figures=[*figures, *peers], notes=notes)


def submit_times(client: LeptonAI, bell: Bell, samples: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds from submission until a watcher is told of `running`, and until the command runs."""
    watch = RunningWatch(client)
    seen: list[float] = []
    ran: list[float] = []
    for sample in range(WARM_UP + samples):
        began = time.monotonic_ns()
        job = client.jobs.create(bell.command)
        heard, told_at = bell.wait(WAIT_SECONDS_MAX), watch.wait(job.id, WAIT_SECONDS_MAX)
        job.wait(WAIT_SECONDS_MAX, raise_on_failure=True)
        if sample >= WARM_UP:
            seen.append((told_at - began) / NS_PER_MS)
            ran.append((heard - began) / NS_PER_MS)
    return seen, ran


def _ours(client: LeptonAI, bell: Bell) -> list[Figure]:
    seen, ran = submit_times(client, bell, SAMPLES)
    return [
        at_most("submit to `running`, p50", seen, 100, "ms"),
        at_most("submit to `running`, p95", [percentile(seen, 95)], 250, "ms"),
        told("submit until the command runs, p50", ran, "ms"),
        told("submit until the command runs, p95", [percentile(ran, 95)], "ms"),
    ]


def _beside_ray(instance: Instance, client: LeptonAI, bell: Bell) -> tuple[list[Figure], str]:
    try:
        with running_ray() as ray:
            took = _in_turn(instance, client, ray, bell)
            return _peer_figures(took), (
                f"Ray {ray.version}: `ray start --head` with its dashboard, on this machine, warm. Both commands are "
                f"timed from their start until the command runs, and take turns; {PEER_SAMPLES} samples of each. "
                "`lepton run` is given `--detach`, `ray job submit` is given `--no-wait`; most of what either takes is "
                "the start of its own Python, so that the two SDKs, already imported, are the platforms' own times."
            )
    except RuntimeError as error:
        return [], f"Not compared with Ray, which could not be had here: {error}."


def _in_turn(instance: Instance, client: LeptonAI, ray: RayHead, bell: Bell) -> dict[str, list[float]]:
    """Return the milliseconds of each way to submit; they take turns, so that a busy neighbour falls on all."""
    ways: dict[str, Callable[[], object]] = {
        "our SDK": lambda: client.jobs.create(bell.command),
        "lepton run": lambda: lepton(instance.home, "run", "--detach", "--", *bell.command),
        "Ray's SDK": lambda: ray.submit(bell.command),
        "ray job submit": lambda: ray.submit_by_command(bell.command),
    }
    took: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(PEER_SAMPLES + 1):
        for way, submit in ways.items():
            began = time.monotonic_ns()
            submit()
            heard = bell.wait(WAIT_SECONDS_MAX)
            if turn:  # the first of each warms up
                took[way].append((heard - began) / NS_PER_MS)
    return took


def _peer_figures(took: dict[str, list[float]]) -> list[Figure]:
    middle = {way: statistics.median(samples) for way, samples in took.items()}
    theirs, theirs_by_sdk = middle["ray job submit"], middle["Ray's SDK"]
    return [
        told("`lepton run` until the command runs", took["lepton run"], "ms"),
        told("`ray job submit` of the same command", took["ray job submit"], "ms"),
        told("through our SDK, in the same turns", took["our SDK"], "ms"),
        told("through Ray's SDK (`JobSubmissionClient`)", took["Ray's SDK"], "ms"),
        at_least("our SDK is sooner than `ray job submit`, times", [theirs / middle["our SDK"]], TIMES_SOONER, "x"),
        at_least("our SDK is sooner than Ray's SDK, times", [theirs_by_sdk / middle["our SDK"]], TIMES_SOONER, "x"),
        told("`lepton run` is sooner than `ray job submit`, times", [theirs / middle["lepton run"]], "x"),
    ]
