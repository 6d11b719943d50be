"""Only what differs for longer than a moment is told."""

from __future__ import annotations

import logging

import pytest

from lepton_ai.backends.ray_runtime.amounts import Drift
from lepton_ai.backends.ray_runtime.audit import Audit

PASSING = Drift("here", "CPU", 1.0, 0.0)
LASTING = Drift("there", "CPU", 0.0, 2.0)


def test_a_difference_is_told_once_it_is_seen_twice_in_a_row(caplog: pytest.LogCaptureFixture) -> None:
    looks = iter([[PASSING, LASTING], [LASTING], [PASSING], [PASSING]])
    audit = Audit(lambda: next(looks))
    told = []
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            audit.step()
            told.append(list(audit.lasting))

    assert told == [[], [LASTING], [], [PASSING]]
    assert [record.getMessage() for record in caplog.records] == [
        "ray's books differ: On there Ray counts 2 CPU as taken, the platform 0.",
        "ray's books differ: On here Ray counts 0 CPU as taken, the platform 1.",
    ]
