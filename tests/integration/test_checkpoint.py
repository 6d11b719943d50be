"""Checkpoints on the real platform: kept while a job runs, gone on from after a kill, a stop and a dead core."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.rig import JOBS, Json, Platform, wait_for

# Saves a step whenever a file `save` tells it to, under another name first, as PyTorch programs do. What it is told by
# `half` it writes and never renames.
PROGRAM = """
import os, pathlib, signal, sys, time

folder = pathlib.Path(os.environ["LEPTON_CHECKPOINT_DIR"])
marks = pathlib.Path(sys.argv[1])
found = sorted(folder.iterdir())
step = int(found[-1].name.split("-")[1]) if found else 0
size = (found[-1] / "inner" / "weights").stat().st_size if found else 0
print(f"began at {step} of {size} from {os.environ['LEPTON_RESUMED_FROM'] or 'nothing'}", flush=True)

def write(step):
    draft = folder / f"step-{step:04}.tmp"
    (draft / "inner").mkdir(parents=True)
    (draft / "inner" / "weights").write_bytes(b"w" * step * 1000)
    (draft / "empty").write_bytes(b"")
    return draft

def save(step):
    os.rename(write(step), folder / f"step-{step:04}")

def leave(*_):
    save(step + 1000)
    sys.exit(3)

signal.signal(signal.SIGTERM, leave)
while not (marks / "end").exists():
    for told in sorted(marks.glob("*-*")):
        what, step = told.name.split("-")
        step = int(step)
        {"save": save, "half": write}[what](step)
        told.unlink()
    time.sleep(0.02)
"""


class Trainer:
    """A job that runs the program, told what to do by files."""

    def __init__(self, platform: Platform, marks: Path, **spec: Json) -> None:
        self.platform, self.marks = platform, marks
        marks.mkdir()
        command = ("python", "-c", PROGRAM, str(marks))
        self.job = platform.submit(*command, **({"checkpoint": "out/steps"} | spec))
        platform.await_job(self.job, "running")

    @property
    def status(self) -> Json:
        return self.platform.get(f"{JOBS}/{self.job['metadata']['id']}")["status"]

    def tell(self, what: str) -> None:
        (self.marks / what).touch()
        wait_for(lambda: not (self.marks / what).exists(), f"the program to do {what}")

    def save(self, step: int) -> None:
        """Have a step saved, and wait until the platform has it."""
        self.tell(f"save-{step}")
        wait_for(lambda: self.last == f"step-{step:04}", f"step {step} to be kept, not {self.status}")

    @property
    def last(self) -> str:
        return str((self.status["checkpoint"] or {"name": ""})["name"])

    def supervisor(self) -> int:
        stem = self.job["metadata"]["id"].removeprefix("job-")
        return next(pid for name, pid in self.platform.supervisors().items() if stem in name)

    def await_attempt(self, number: int) -> None:
        def runs() -> bool:
            status = self.status
            return bool(status["attempt"] == number and status["state"] == "running")

        wait_for(runs, f"attempt {number} to run: {self.status}")

    def end(self) -> str:
        """Let it end well, and return what it printed."""
        (self.marks / "end").touch()
        done = self.platform.await_job(self.job)
        assert done["status"]["state"] == "succeeded", done["status"]
        return self.platform.log_of(self.job)


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with tempfile.TemporaryDirectory(prefix="lepton-", dir="/tmp") as folder:
        made = Platform(Path(folder) / "home")
        made.start()
        yield made
        made.end()


def objects(trainer: Trainer) -> list[Path]:
    """Return the files in which the store keeps what belongs to the job."""
    return [
        p for p in (trainer.platform.home / "objects").glob(f"*/{trainer.job['metadata']['id']}/**/*") if p.is_file()
    ]


def test_a_killed_attempt_is_followed_by_one_that_goes_on_from_the_last_complete_version(
    platform: Platform, tmp_path: Path
) -> None:
    trainer = Trainer(platform, tmp_path / "marks")
    for step in (1, 2, 3):
        trainer.save(step)
    trainer.tell("half-4")
    os.kill(trainer.supervisor(), signal.SIGKILL)
    trainer.await_attempt(2)
    status = trainer.status
    assert (status["resumed_from"]["name"], status["resumed_from"]["files"]) == ("step-0003", 2)
    assert status["resumed_from"]["size_bytes"] == 3000
    printed = trainer.end()
    assert printed.splitlines() == ["began at 0 of 0 from nothing", "began at 3 of 3000 from step-0003"]
    # Two versions of two files are kept, with their manifests, and nothing of the others; none of it in plain.
    kept = objects(trainer)
    assert len(kept) == 2 * 3
    assert not [path for path in kept if b"wwww" in path.read_bytes()]
    told = platform.get(f"{JOBS}/{trainer.job['metadata']['id']}/events")["items"]
    assert "Saved checkpoint step-0003 (2 files, 3,000 B)." in [event["sentence"] for event in told]


def test_what_the_program_saves_after_the_notice_is_kept_before_its_devices_are_given_away(
    platform: Platform, tmp_path: Path
) -> None:
    trainer = Trainer(platform, tmp_path / "marks")
    trainer.save(1)
    assert platform.call("POST", f"{JOBS}/{trainer.job['metadata']['id']}/stop").is_success
    done = platform.await_job(trainer.job)
    assert (done["status"]["state"], done["status"]["checkpoint"]["name"]) == ("stopped", "step-1001")


def test_a_core_killed_while_it_saves_offers_nothing_half_and_the_next_core_saves_it(
    platform: Platform, tmp_path: Path
) -> None:
    trainer = Trainer(platform, tmp_path / "marks")
    trainer.save(1)
    for step in range(20, 28):
        trainer.tell(f"save-{step}000")  # 20 MB: saving it takes longer than the program takes to write it
        platform.kill()
        platform.start()
    wait_for(lambda: trainer.last == "step-27000", "the last version to be kept")
    os.kill(trainer.supervisor(), signal.SIGKILL)
    trainer.await_attempt(2)
    assert trainer.end().splitlines()[-1] == "began at 27000 of 27000000 from step-27000"


def test_with_a_job_its_checkpoints_are_deleted(platform: Platform, tmp_path: Path) -> None:
    trainer = Trainer(platform, tmp_path / "marks")
    trainer.save(1)
    trainer.end()
    assert objects(trainer)
    assert platform.call("DELETE", f"{JOBS}/{trainer.job['metadata']['id']}").is_success
    wait_for(lambda: not objects(trainer), "the checkpoints to be deleted")
    shutil.rmtree(tmp_path)
