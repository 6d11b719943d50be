"""The program as a whole: exit codes, and how trouble is told."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lepton_ai.version import VERSION
from tests.unit.cli.program import JOBS, run
from tests.unit.sdk.fake_platform import FakePlatform, job, ok, page, plain, problem

GONE = problem(404, "not_found", "There is no job 'a' in project 'default'.", hint="See: lepton job list")


def test_a_refusal_is_a_fact_and_a_next_step_on_stderr_and_exits_with_1(platform: FakePlatform) -> None:
    platform.on("GET", f"{JOBS}/a", GONE)
    result = run(platform, "job", "get", "a")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "Error: There is no job 'a' in project 'default'.\nHint: See: lepton job list\n"


def test_a_refusal_without_a_next_step_is_one_line(platform: FakePlatform) -> None:
    platform.on("GET", f"{JOBS}/a", problem(403, "forbidden", "You may not."))
    assert run(platform, "job", "get", "a").stderr == "Error: You may not.\n"


def test_a_refusal_in_json_mode_is_a_problem_object_on_stderr(platform: FakePlatform) -> None:
    platform.on("GET", f"{JOBS}/a", GONE)
    result = run(platform, "job", "get", "a", "--output", "json")
    assert result.exit_code == 1
    told = json.loads(result.stderr)
    assert (told["code"], told["status"], told["hint"]) == ("not_found", 404, "See: lepton job list")


@pytest.mark.parametrize(
    "words", [["job", "lst"], ["job", "get"], ["job", "list", "--limit", "0"], ["job", "list", "-o", "xml"], ["run"]]
)
def test_wrong_usage_exits_with_2_and_sends_nothing(platform: FakePlatform, words: list[str]) -> None:
    result = run(platform, *words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error: " in result.stderr
    assert not platform.requests


def test_a_mistyped_command_names_the_one_that_was_meant(platform: FakePlatform) -> None:
    assert "Did you mean 'list'?" in run(platform, "job", "lst").stderr
    assert "Did you mean 'status'?" in run(platform, "statsu").stderr


def test_what_nobody_foresaw_is_one_line_and_a_way_to_report_it(platform: FakePlatform) -> None:
    platform.on("GET", JOBS, page({**job(), "status": {"state": "queued"}}))
    platform.client.close()  # httpx then refuses with a RuntimeError of its own.
    result = run(platform, "job", "list")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: RuntimeError: ")
    assert "LEPTON_DEBUG=1" in result.stderr
    assert "Traceback" not in result.output


def test_debugging_shows_the_exception_itself(platform: FakePlatform) -> None:
    platform.client.close()
    assert isinstance(run(platform, "job", "list", LEPTON_DEBUG="1").exception, RuntimeError)


def test_an_instance_that_is_gone_says_how_to_start_it(platform: FakePlatform) -> None:
    platform.on("GET", "/api/v1/status", plain(503))
    result = run(platform, "status")
    assert result.exit_code == 1
    assert "Hint: See: lepton status" in result.stderr


def test_the_version_is_printed_in_each_of_its_ways(platform: FakePlatform) -> None:
    assert run(platform, "--version").stdout == f"lepton {VERSION}\n"
    assert run(platform, "version").stdout == f"lepton {VERSION}\n"
    assert json.loads(run(platform, "version", "-o", "json").stdout)["version"] == VERSION


def test_an_unknown_instance_is_refused_with_those_that_are_known() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lepton_ai.cli.main", "job", "list", "--instance", "nowhere"],
        env={"LEPTON_HOME": "/nonexistent", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "There is no instance named 'nowhere'" in done.stderr
    assert "lepton up" in done.stderr


def test_a_reader_that_went_away_makes_no_traceback(platform: FakePlatform) -> None:
    command = f"{sys.executable} -m lepton_ai.cli.main --help | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""


def test_the_project_and_the_instance_reach_the_client() -> None:
    from typer.testing import CliRunner

    from lepton_ai.cli.main import app
    from lepton_ai.cli.session import Session
    from lepton_ai.sdk.client import LeptonAI

    opened: list[tuple[str, str, str]] = []
    platform = FakePlatform().on("GET", JOBS, ok({"items": [], "next": ""}))

    def remember(instance: str, token: str, project: str) -> LeptonAI:
        opened.append((instance, token, project))
        return platform.client

    CliRunner().invoke(app, ["job", "list", "--instance", "far", "--project", "vision"], obj=Session(open=remember))
    assert opened == [("far", "", "vision")]
