"""A state folder that refuses: full, read-only, damaged or held by another core. Said clearly, and nothing is lost."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.faults.rig import JOBS, Platform, problem, wait_for

DISK_MB = 16
PAGE_BYTES = 4096


@pytest.fixture
def small_disk(make_platform: Callable[..., Platform]) -> Iterator[Platform]:
    """A platform, not started, whose state folder is a disk of its own."""
    platform = make_platform()
    with mounted(platform.home, "-t", "tmpfs", "-o", f"size={DISK_MB}m", "none"):
        yield platform
        platform.end()


def test_a_full_disk_refuses_new_jobs_and_loses_none_that_it_took(small_disk: Platform) -> None:
    platform = small_disk
    platform.start()
    done = platform.await_job(platform.submit("echo", "hello"))
    running = platform.submit("sh", "-c", "echo began; sleep 1; exit 7")
    platform.await_job(running, "running")

    with filled(platform.home):
        refused = problem(wait_for_refusal(platform), 503)
        listed = {job["metadata"]["id"] for job in platform.get(JOBS)["items"]}

    ended = platform.await_job(running)
    after = platform.await_job(platform.submit("true"))
    assert refused["code"] == "storage_failed"
    assert "space" in refused["detail"]
    assert refused["hint"]
    assert {done["metadata"]["id"], running["metadata"]["id"]} <= listed
    assert (ended["status"]["state"], ended["status"]["exit_code"]) == ("failed", 7)
    assert after["status"]["state"] == "succeeded"
    assert platform.log_of(done) == "hello\n"
    assert "Traceback" not in platform.printed()


def test_a_core_killed_on_a_full_disk_finds_everything_once_there_is_room(small_disk: Platform) -> None:
    platform = small_disk
    platform.start()
    running = platform.submit("sh", "-c", "echo began; sleep 1; exit 7")
    platform.await_job(running, "running")

    with filled(platform.home):
        platform.kill()
        platform.launch()
        platform.kill()
    platform.start()

    ended = platform.await_job(running)
    assert (ended["status"]["state"], ended["status"]["exit_code"]) == ("failed", 7)
    assert platform.log_of(running) == "began\n"


def test_a_core_on_a_disk_without_any_room_says_so(small_disk: Platform) -> None:
    with filled(small_disk.home):
        said = small_disk.refusal()

    assert_clear(said, str(small_disk.home), "space")
    small_disk.start()


def test_a_core_on_a_read_only_folder_says_so_and_finds_everything_later(platform: Platform) -> None:
    done = platform.await_job(platform.submit("echo", "hello"))
    platform.kill()

    with read_only(platform.home):
        said = platform.refusal()

    assert_clear(said, str(platform.home))
    platform.start()
    assert platform.log_of(done) == "hello\n"


def test_a_core_in_a_folder_of_somebody_else_says_so(make_platform: Callable[..., Platform]) -> None:
    platform = make_platform()
    platform.home.mkdir(mode=0o555)

    said = platform.refusal(*as_nobody())

    assert_clear(said, str(platform.home))
    assert list(platform.home.iterdir()) == []


@pytest.mark.parametrize("page", [0, 1, 2, 3])
def test_a_damaged_database_is_refused_with_the_file_and_what_to_do(platform: Platform, page: int) -> None:
    platform.await_job(platform.submit("true"))
    platform.kill()
    database = checkpointed(platform)
    good = database.read_bytes()

    with database.open("r+b") as file:
        file.seek(page * PAGE_BYTES)
        file.write(random.Random(page).randbytes(PAGE_BYTES))
    said = platform.refusal()

    assert_clear(said, str(database), "damaged")
    database.write_bytes(good)
    platform.start()
    assert len(platform.get(JOBS)["items"]) == 1


def test_a_truncated_log_of_writes_leaves_what_was_written_before_it(platform: Platform) -> None:
    kept = platform.await_job(platform.submit("echo", "hello"))
    platform.kill()
    checkpointed(platform)
    platform.start()
    lost = platform.submit("sleep", "1000")
    platform.await_job(lost, "running")
    platform.kill()

    os.truncate(platform.home / "lepton.db-wal", 1000)
    platform.start()

    assert [job["metadata"]["id"] for job in platform.get(JOBS)["items"]] == [kept["metadata"]["id"]]
    assert platform.log_of(kept) == "hello\n"
    # Nobody knows any more who wanted it, so it may not hold the machine.
    wait_for(lambda: not platform.orphans() and not platform.groups(), f"{platform.orphans()} to end")
    assert platform.await_job(platform.submit("true"))["status"]["state"] == "succeeded"
    assert "Traceback" not in platform.printed()


def test_a_second_core_on_the_same_folder_is_refused_and_the_first_goes_on(
    make_platform: Callable[..., Platform], platform: Platform
) -> None:
    second = Platform(platform.home)
    first_pid = platform.pid

    said = second.refusal()

    assert_clear(said, str(platform.home), f"process {first_pid}")
    assert platform.get("/api/v1/status")["core"]["pid"] == first_pid
    assert platform.await_job(platform.submit("true"))["status"]["state"] == "succeeded"


def assert_clear(said: str, *facts: str) -> None:
    """Check that a core refused in two lines: what is the matter, and what to do."""
    error, hint = [line for line in said.splitlines() if " INFO " not in line]
    assert error.startswith("Error: ")
    assert hint.startswith("Hint: ")
    assert [fact for fact in facts if fact not in error] == []


def wait_for_refusal(platform: Platform) -> httpx.Response:
    """Submit jobs until one is refused: a little room may be left in files that exist already."""
    answers: list[httpx.Response] = []

    def is_refused() -> bool:
        answers.append(platform.call("POST", JOBS, {"spec": {"command": ["true"]}}))
        return not answers[-1].is_success

    wait_for(is_refused, "a job to be refused")
    return answers[-1]


def checkpointed(platform: Platform) -> Path:
    """Bring all that was written into the database's one file, and return it."""
    database = platform.home / "lepton.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return database


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Leave no byte of the disk free."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            while write(file.fileno(), size):
                pass
    try:
        yield
    finally:
        filler.unlink()


def write(fd: int, size: int) -> bool:
    try:
        return os.write(fd, bytes(size)) == size
    except OSError:
        return False


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("only root, and not in every container, may mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder read-only even for root, for whom the mode of a folder is only advice."""
    with mounted(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield


def as_nobody() -> tuple[str, ...]:
    """Return what runs a command without root's rights; nothing if there are none to give up."""
    if os.geteuid() != 0:
        return ()
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is needed to give up root's rights")
    return ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--")
