"""Core stand-by: how long after the leader's end, or its sudden sleep, the other core acknowledges a job."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figure import Figure, Goal, Report, percentile, told
from lepton_ai.errors import LeptonError
from lepton_ai.kernel.store.lease import LEASE_SECONDS
from lepton_ai.testing.core_pair import CorePair
from lepton_ai.testing.postgres import postgres_server
from lepton_ai.types.job import JobSpec

TRIES = 20  # of each kind
TAKE_OVER_SECONDS = 5.0
GIVE_UP_SECONDS = 60.0
NAMES = ("first", "second")
JOB = JobSpec(command=("true",))


def measure() -> Report:
    """Take the leader away again and again, in four ways, and time what a client sees."""
    with postgres_server() as url, tempfile.TemporaryDirectory(prefix="lepton-pair-") as folder:
        pair = CorePair(Path(folder), url)
        try:
            pair.begin()
            killed = [_seconds(pair, NAMES[turn % 2], signal.SIGKILL) for turn in range(TRIES)]
            asleep = [_seconds(pair, NAMES[turn % 2], signal.SIGSTOP) for turn in range(TRIES)]
            ended = [_seconds(pair, NAMES[turn % 2], signal.SIGTERM) for turn in range(TRIES)]
        finally:
            pair.end()
    figures = [
        _p95("leader killed (SIGKILL): until the other acknowledges a job, p95", killed),
        told("the same, median", killed, "s"),
        _p95("leader asleep (SIGSTOP): until the other acknowledges a job, p95", asleep),
        told("the same, median", asleep, "s"),
        _p95("leader ended (SIGTERM), as for an upgrade: p95", ended),
        told("the same, median", ended, "s"),
    ]
    notes = [
        "Two cores, PostgreSQL and the client on one machine. The clock starts before the signal is sent, stops when "
        "a job that a client sends to both cores in turn is acknowledged, on the database's disk.",
        f"The lease lasts {LEASE_SECONDS:g} s from its last renewal, so most of the time is waiting for it to end; "
        "a core that is told to end gives it back.",
        "After each try the former leader comes back, and must stand by before the next one.",
    ]
    return Report(name="standby", title="Core stand-by", figures=figures, notes=notes)


def _seconds(pair: CorePair, leader: str, number: signal.Signals) -> float:
    other = next(name for name in NAMES if name != leader)
    connection = pair.client(other, leader)
    connection.jobs.submit(JOB)  # the client is connected, and to the leader
    began = time.monotonic()
    pair.signal(leader, number)
    while True:
        try:
            connection.jobs.submit(JOB)
            break
        except LeptonError:
            if time.monotonic() - began > GIVE_UP_SECONDS:
                raise
    seconds = time.monotonic() - began
    pair.await_role(other, leads=True)
    _bring_back(pair, leader, number)
    return seconds


def _bring_back(pair: CorePair, name: str, number: signal.Signals) -> None:
    if number == signal.SIGSTOP:
        pair.signal(name, signal.SIGCONT)
    else:
        pair.await_end(name)
        pair.start(name)
    pair.await_role(name, leads=False)


def _p95(name: str, samples: Sequence[float]) -> Figure:
    spread = (min(samples), max(samples))
    return Figure(
        name=name,
        value=percentile(samples, 95),
        unit="s",
        goal=Goal.AT_MOST,
        bound=TAKE_OVER_SECONDS,
        spread=spread,
        samples=len(samples),
    )
