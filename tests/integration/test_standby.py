"""Two cores on one PostgreSQL: when the leader is gone, or sleeps, the other leads, and no acknowledged job is lost."""

from __future__ import annotations

import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from lepton_ai.errors import LeptonError
from lepton_ai.sdk.client import LeptonAI
from lepton_ai.testing.core_pair import CorePair, wait_for
from lepton_ai.testing.postgres import postgres_server

pytestmark = pytest.mark.slow
JOBS = 20


@pytest.fixture(scope="module")
def pair() -> Iterator[CorePair]:
    with postgres_server() as url, tempfile.TemporaryDirectory(prefix="lepton-", dir="/tmp") as folder:
        made = CorePair(Path(folder), url)
        try:
            made.begin()
            yield made
        finally:
            made.end()


def submit(client: LeptonAI, marks: Path, number: int) -> str:
    """Submit a job that leaves a mark; repeat it under the same name until it is acknowledged."""
    name = f"job-{number}"
    while True:
        try:
            client.jobs.create(["sh", "-c", f"echo {name} >> {marks}"], name=name)
            return name
        except LeptonError as error:
            if error.code == "conflict":
                return name  # it was taken, and the answer was lost


def test_a_leader_that_is_killed_while_jobs_come_in_loses_none_and_none_runs_twice(
    pair: CorePair, tmp_path: Path
) -> None:
    client, marks = pair.client(), tmp_path / "marks"
    names = [submit(client, marks, number) for number in range(JOBS // 2)]
    pair.signal("first", signal.SIGKILL)
    names += [submit(client, marks, number) for number in range(JOBS // 2, JOBS)]
    pair.await_role("second", leads=True)
    wait_for(lambda: all(str(client.jobs.get(name).state) == "succeeded" for name in names), "every job to end well")
    assert Counter(marks.read_text().split()) == dict.fromkeys(names, 1)


def test_a_leader_that_slept_finds_another_one_leading_and_stands_by(pair: CorePair) -> None:
    pair.await_end("first")
    pair.start("first")
    pair.await_role("first", leads=False)
    pair.signal("second", signal.SIGSTOP)
    pair.await_role("first", leads=True)
    pair.signal("second", signal.SIGCONT)
    pair.await_role("second", leads=False)
    assert pair.client("first", "second").jobs.list()
