"""Pauses after failures: longer each time, never too long, forgotten on success."""

from __future__ import annotations

from lepton_ai.kernel.backoff import FIRST, LONGEST, Backoff
from tests.unit.kernel.samples import NOW, later


def test_what_never_failed_may_be_tried() -> None:
    assert Backoff().may_try("a", NOW)


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff()
    pauses = [backoff.failed("a", NOW) for _ in range(60)]
    assert pauses[:3] == [FIRST, 2 * FIRST, 4 * FIRST]
    assert pauses[-1] == LONGEST


def test_nothing_is_tried_before_its_pause_is_over() -> None:
    backoff = Backoff()
    pause = backoff.failed("a", NOW)
    assert not backoff.may_try("a", later(pause.total_seconds() - 0.01))
    assert backoff.may_try("a", NOW + pause)


def test_a_pause_is_one_objects_own_affair() -> None:
    backoff = Backoff()
    backoff.failed("a", NOW)
    assert backoff.may_try("b", NOW)


def test_success_begins_anew() -> None:
    backoff = Backoff()
    backoff.failed("a", NOW)
    backoff.failed("a", NOW)
    backoff.succeeded("a")
    assert backoff.may_try("a", NOW)
    assert backoff.failed("a", NOW) == FIRST
