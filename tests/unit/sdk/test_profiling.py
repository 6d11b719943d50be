"""Reading what probes report: their log is written by strangers."""

from __future__ import annotations

import pytest

from lepton_ai.sdk.profiling import report_in

GOOD = (
    'lepton-probe: {"unit": "step", "seconds_per_unit": 0.5, "units": 10, "seconds": 6, "exit_code": 0, "problem": ""}'
)


def test_the_last_report_of_a_log_counts() -> None:
    found = report_in(f"epoch 1\n{GOOD.replace('0.5', '9')}\nepoch 2\n{GOOD}\n")
    assert found is not None
    assert (found.unit, found.seconds_per_unit) == ("step", 0.5)


@pytest.mark.parametrize(
    "log",
    ["", "no report", "lepton-probe: not json", 'lepton-probe: {"seconds_per_unit": -1}', 'lepton-probe: {"a": 1}'],
)
def test_a_log_without_a_sound_report_has_none(log: str) -> None:
    assert report_in(log) is None
