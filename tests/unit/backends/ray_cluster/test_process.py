"""Ray starts under a time limit, and what it says of its failure is in ours. A small program stands in for it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lepton_ai.backends.ray_cluster.place import ClusterPlace
from lepton_ai.backends.ray_cluster.process import RayProcess
from lepton_ai.errors import TimedOut, Unavailable

RUNS = "import time; print('Ray runtime started.', flush=True); time.sleep(60)"
HANGS = "import time; print('connecting to 10.0.0.1:6379', flush=True); time.sleep(60)"
FAILS = "print('no such head'); raise SystemExit(7)"


@pytest.fixture
def place() -> Iterator[ClusterPlace]:
    with tempfile.TemporaryDirectory(prefix="lep", dir="/tmp") as home:
        made = ClusterPlace(Path(home))
        yield made
        RayProcess(made).stop()


def command(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_ray_that_runs_is_found_again_and_ended(place: ClusterPlace) -> None:
    RayProcess(place).start(command(RUNS))
    found = RayProcess(place).find()
    assert found is not None
    RayProcess(place).stop()
    assert (found.is_running(), RayProcess(place).find()) == (False, None)


def test_ray_that_ends_at_once_is_told_of_with_its_own_words(place: ClusterPlace) -> None:
    with pytest.raises(Unavailable, match=r"(?s)exit code 7 .*no such head"):
        RayProcess(place).start(command(FAILS))


def test_ray_that_hangs_is_ended_after_its_time_with_its_own_words(place: ClusterPlace) -> None:
    with pytest.raises(TimedOut, match=r"(?s)did not start within 1 s.*connecting to 10.0.0.1"):
        RayProcess(place).start(command(HANGS), seconds_max=1.0)
    assert not [each for each in psutil.Process().children() if HANGS in each.cmdline() and each.status() != "zombie"]


def test_what_ray_wrote_to_its_error_log_is_told_too(place: ClusterPlace) -> None:
    logs = place.ray_folder / "session_latest" / "logs"
    writes = f"import pathlib; p = pathlib.Path({str(logs)!r}); p.mkdir(parents=True); "
    program = f"{writes}(p / 'gcs_server.err').write_text('certificate verify failed'); raise SystemExit(1)"
    with pytest.raises(Unavailable, match=r"(?s)gcs_server.err:\n  certificate verify failed"):
        RayProcess(place).start(command(program))


def test_nothing_that_is_meant_for_the_core_reaches_ray(place: ClusterPlace) -> None:
    found = place.environment({"LEPTON_TOKEN": "secret", "RAY_ADDRESS": "other", "PATH": "/bin"})
    assert {"LEPTON_TOKEN", "RAY_ADDRESS"}.isdisjoint(found)
    assert (found["PATH"], found["RAY_USE_TLS"], found["RAY_AUTH_MODE"]) == ("/bin", "1", "token")


def test_a_pid_that_was_given_anew_is_not_ray(place: ClusterPlace) -> None:
    place.make()
    place.keep(place.process, f'{{"pid": {psutil.Process().pid}, "created": 1.0}}'.encode())
    assert RayProcess(place).find() is None


def test_the_token_of_a_cluster_is_made_once_and_for_its_owner(place: ClusterPlace) -> None:
    place.make()
    token = place.ensure_token()
    assert (len(token), place.ensure_token(), place.token.stat().st_mode & 0o777) == (64, token, 0o600)
