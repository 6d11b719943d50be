"""What is told while something waits."""

from __future__ import annotations

import pytest

from lepton_ai.cli.waiting import Waiting


def test_each_new_reason_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Waiting("Job a") as waiting:
        waiting.tell(1, "queued", "needs room")
        waiting.tell(2, "queued", "needs room")
        waiting.tell(3, "starting", "fetching")
    assert capsys.readouterr().err == "Job a is queued: needs room\nJob a is starting: fetching\n"


def test_an_older_state_that_is_told_late_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with Waiting("Job a") as waiting:
        waiting.tell(2, "queued", "needs room")
        waiting.tell(1, "queued", "enters the queue")
    assert capsys.readouterr().err == "Job a is queued: needs room\n"


def test_a_state_without_a_reason_says_nothing_to_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    with Waiting("Job a") as waiting:
        waiting.tell(1, "queued", "")
    assert capsys.readouterr().err == ""
