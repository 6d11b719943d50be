"""A pass and Python's collector of cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from lepton_ai.kernel.scheduling.collector import paused_collector
from lepton_ai.kernel.scheduling.schedule import schedule
from tests.unit.kernel.scheduling.seeded import policy_of, snapshot_of


@pytest.fixture(autouse=True)
def collector_on() -> Iterator[None]:
    gc.enable()
    yield
    gc.enable()


def test_the_collector_is_off_within_and_on_again_after_an_error() -> None:
    seen: list[bool] = []
    with pytest.raises(ZeroDivisionError):
        _fail_while_paused(seen)
    assert (seen, gc.isenabled()) == ([False], True)


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with paused_collector():
        pass
    assert not gc.isenabled()


def test_a_pass_leaves_no_cycles_behind() -> None:
    """What a pass drops is freed at once by reference counts: the pause costs no memory."""
    snapshot, policy = snapshot_of(1), policy_of(1)
    schedule(snapshot, policy)
    gc.collect()
    gc.disable()
    schedule(snapshot, policy)
    assert gc.collect() == 0


def _fail_while_paused(seen: list[bool]) -> None:
    with paused_collector():
        seen.append(gc.isenabled())
        raise ZeroDivisionError
