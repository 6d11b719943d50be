"""What a job must be before it is stored, and what of it may be changed afterwards."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pytest

from lepton_ai.errors import InvalidInput
from lepton_ai.services.jobs.admit import admit, name_stem
from lepton_ai.types.base import AnyObject
from lepton_ai.types.job import Job
from tests.unit.services.jobs.samples import job

T = TypeVar("T", bound=AnyObject)
DIGEST = "sha256:" + "0" * 64


@dataclass
class Desk:
    """Knows these jobs by name, and nothing else."""

    jobs: Collection[str] = ()

    def look_up(self, kind: type[T], project: str, name: str) -> T | None:
        found = job(name) if name in self.jobs else None
        return found if isinstance(found, kind) else None

    def live(self, kind: type[T], project: str | None = None) -> Sequence[T]:
        return ()

    def has_blob(self, project: str, digest: str) -> bool:
        return False


def test_a_job_that_needs_nothing_is_admitted_as_it_is() -> None:
    assert admit(job(), None, Desk()) == job()


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (job(secrets={"TOKEN": "hf"}), "lepton secret set hf"),
        (job(bundle=DIGEST), "Upload it first"),
        (job(command=(), function=DIGEST), "Upload it first"),
        (job(after=("prepare",)), "lepton job list"),
    ],
)
def test_what_a_job_names_must_be_there(wrong: Job, hint: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        admit(wrong, None, Desk())
    assert hint in caught.value.hint


def test_a_job_may_follow_one_that_is_there() -> None:
    follower = job(after=("prepare",))
    assert admit(follower, None, Desk({"prepare"})) == follower


def test_a_submitted_job_can_be_stopped_and_not_otherwise_changed() -> None:
    before = job()
    stop = before.replace(spec=before.spec.replace(stop_requested=True))
    assert admit(stop, before, Desk()) == stop
    with pytest.raises(InvalidInput, match="submitted already"):
        admit(before.replace(spec=before.spec.replace(priority=99)), before, Desk())


def test_a_stop_cannot_be_taken_back() -> None:
    stopping = job(stop_requested=True)
    with pytest.raises(InvalidInput, match="cannot be taken back"):
        admit(job(), stopping, Desk())


@pytest.mark.parametrize(
    ("command", "stem"),
    [
        (("python", "train.py", "--epochs", "5"), "train"),
        (("python", "-u", "src/Train_Net.py"), "train-net"),
        (("bash", "run.sh"), "run"),
        (("/usr/bin/echo", "hi"), "echo"),
        (("--",), "function"),
        (("___",), "job"),
    ],
)
def test_an_unnamed_job_is_named_after_its_program(command: tuple[str, ...], stem: str) -> None:
    assert name_stem(job(command=command)) == stem
