"""What the scheduler is told of lengths: the truth, the truth with errors, or what was learnt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lepton_ai.kernel.scheduling.life_table import GUESS_SECONDS
from lepton_ai.simulation.told import Known, Learnt, Lengths, Noisy, told
from tests.unit.simulation.works import work


def test_known_lengths_are_what_is_left() -> None:
    assert Known().expect(work("a", 0, 100), 30.0)[""].median == 70.0


def test_noisy_lengths_follow_from_the_task_and_are_wrong_both_ways() -> None:
    tasks = [work(f"t{number}", 0, 100) for number in range(200)]
    medians = [Noisy(0.7).expect(task, 0.0)[""].median for task in tasks]
    assert medians == [Noisy(0.7).expect(task, 0.0)[""].median for task in tasks]
    assert min(medians) < 50
    assert max(medians) > 200
    assert Noisy(0.0).expect(tasks[0], 0.0)[""].median == pytest.approx(100.0)


def test_nothing_is_known_before_anything_ended() -> None:
    assert Learnt().expect(work("a1", 0, 5), 0.0)[""].median == pytest.approx(GUESS_SECONDS, rel=0.05)


def test_what_ended_teaches_about_its_kind_on_its_class() -> None:
    learnt = Learnt()
    for _ in range(20):
        learnt.learn(work("a1", 0, 5000), "nvidia-h100-80gb")
    own, other = learnt.expect(work("a2", 0, 1), 0.0), learnt.expect(work("b1", 0, 1), 0.0)
    assert own["nvidia-h100-80gb"].source == "measured"
    assert own["nvidia-h100-80gb"].median == pytest.approx(5000, rel=0.2)
    assert set(other) == {""}


def test_what_an_owner_stated_is_used() -> None:
    found = Learnt().expect(replace(work("a", 0, 1), stated_seconds=77.0), 0.0)[""]
    assert found.source == "stated"
    assert found.median == pytest.approx(77.0, rel=0.3)


def test_services_teach_nothing() -> None:
    learnt = Learnt()
    learnt.learn(replace(work("a1", 0, 5000), is_service=True), "cpu")
    assert set(learnt.expect(work("a2", 0, 1), 0.0)) == {""}


def test_each_way_has_its_teller() -> None:
    assert [type(told(way, 0.5)) for way in Lengths] == [Learnt, Noisy, Known]
