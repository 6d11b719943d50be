"""The probe in a replica: it runs a program for a while and reports its speed on the log's last line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lepton_ai.node.probe_runner import MARK, main, read_progress
from lepton_ai.types.probe import REPORT_MARK, ProbeReport, is_probe, probe_command

STEPS = """
import os, time
for step in range(1, {steps}):
    time.sleep(0.05)
    open(os.environ["LEPTON_PROGRESS"], "a").write(f"step {{step}}\\n")
"""


def probe(capfd: pytest.CaptureFixture[str], seconds: float, *command: str) -> tuple[int, dict[str, Any]]:
    code = main([str(seconds), "--", *command])
    last = capfd.readouterr().out.splitlines()[-1]
    report: dict[str, Any] = json.loads(last.removeprefix(MARK))
    assert ProbeReport.model_validate(report)  # the SDK reads what the replica writes
    return code, report


def test_steps_are_timed_without_the_start_and_the_end_of_the_program(capfd: pytest.CaptureFixture[str]) -> None:
    code, report = probe(capfd, 1.5, sys.executable, "-c", STEPS.format(steps=10_000))
    assert (code, report["unit"], report["problem"], report["is_whole"]) == (0, "step", "", False)
    assert report["seconds_per_unit"] >= 0.05
    assert report["units"] >= 2


def test_a_program_that_tells_nothing_is_timed_as_a_whole(capfd: pytest.CaptureFixture[str]) -> None:
    code, report = probe(capfd, 30, "sleep", "0.3")
    assert (code, report["unit"], report["units"]) == (0, "run", 1.0)
    assert 0.3 <= report["seconds_per_unit"] < 10
    assert (report["is_whole"], report["seconds"]) == (True, report["seconds_per_unit"])


def test_one_that_tells_steps_and_ends_is_measured_both_ways(capfd: pytest.CaptureFixture[str]) -> None:
    code, report = probe(capfd, 60, sys.executable, "-c", STEPS.format(steps=10))
    assert (code, report["unit"], report["is_whole"]) == (0, "step", True)
    assert report["seconds"] > report["seconds_per_unit"] * report["units"]


def test_one_that_neither_ends_nor_tells_is_ended_and_not_measured(capfd: pytest.CaptureFixture[str]) -> None:
    code, report = probe(capfd, 0.2, "sleep", "100")
    assert (code, report["seconds_per_unit"]) == (75, 0.0)
    assert "LEPTON_PROGRESS" in report["problem"]


def test_a_program_that_fails_is_not_measured_and_its_code_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    code, report = probe(capfd, 30, "sh", "-c", "exit 3")
    assert (code, report["exit_code"], report["seconds_per_unit"]) == (3, 3, 0.0)


def test_a_program_that_is_not_there_is_told_so(capfd: pytest.CaptureFixture[str]) -> None:
    code, report = probe(capfd, 30, "no-such-program")
    assert code == 127
    assert "could not be started" in report["problem"]


def test_the_last_number_of_the_file_counts(tmp_path: Path) -> None:
    progress = tmp_path / "progress"
    assert read_progress(progress) is None
    progress.write_text("warming up")
    assert read_progress(progress) is None
    progress.write_text("step 1\nstep 12.5\n")
    assert read_progress(progress) == 12.5


def test_runner_and_reader_agree_on_the_mark_and_on_what_a_probe_is() -> None:
    assert MARK == REPORT_MARK
    assert is_probe(probe_command(("python", "train.py"), 30))
    assert not is_probe(("python", "-m", "train"))
