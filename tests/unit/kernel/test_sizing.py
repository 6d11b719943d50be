"""How much memory a new task asks for: stated, learnt, or more than was too little."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_ai.kernel.change import Change, create, update
from lepton_ai.kernel.scheduling.estimate import Estimate, learn
from lepton_ai.kernel.sizing import peak_bytes, sized
from lepton_ai.testing.behaviour import Behaviour
from lepton_ai.types.resources import Resources
from lepton_ai.types.task import ExitKind, Task
from tests.unit.kernel.rig import Rig
from tests.unit.kernel.samples import finished, task

MB, GB = 10**6, 10**9
DEFAULT = Resources().memory


def memory_of(change: Change) -> int:
    assert isinstance(change.object, Task)
    return change.object.spec.resources.memory


def ran_out(memory: int, attempt: int = 1) -> Task:
    wanted = Resources(memory=memory)
    return finished(f"task-{attempt}", ExitKind.OUT_OF_MEMORY, attempt=attempt, resources=wanted)


def test_what_is_not_stated_is_what_such_tasks_needed_and_a_margin() -> None:
    change = sized(create(task()), (), 2 * GB, 64 * GB)
    assert memory_of(change) == 2.4 * GB
    assert [note.sentence for note in change.notes] == ["Asks for 2.4 GB of memory: such tasks needed up to 2.0 GB."]


def test_what_is_stated_is_kept() -> None:
    change = create(task(resources=Resources(memory=8 * GB)))
    assert sized(change, (), 2 * GB, 64 * GB) is change
    assert sized(create(task(resources=Resources(memory=DEFAULT))), (), 2 * GB, 64 * GB).notes == ()


def test_with_nothing_known_the_default_is_asked_for() -> None:
    change = create(task())
    assert sized(change, (), 0, 0) is change


def test_what_ran_out_of_memory_gets_half_as_much_again() -> None:
    change = sized(create(task(resources=Resources(memory=GB), attempt=2)), [ran_out(GB)], 0, 64 * GB)
    assert memory_of(change) == 1.5 * GB
    assert "1.0 GB were too little" in change.notes[0].sentence


def test_or_what_such_tasks_needed_if_that_is_more() -> None:
    assert memory_of(sized(create(task(attempt=2)), [ran_out(GB)], 10 * GB, 64 * GB)) == 12 * GB


def test_no_more_than_the_largest_node_has_and_it_says_so() -> None:
    change = sized(create(task(attempt=2)), [ran_out(50 * GB)], 0, 64 * GB)
    assert memory_of(change) == 64 * GB
    assert "No node has more than 64.0 GB" in change.notes[0].sentence


def test_an_attempt_after_another_failure_keeps_what_was_learnt_from_the_one_before() -> None:
    lost = finished("task-2", ExitKind.LOST, attempt=2, resources=Resources(memory=1500 * MB))
    assert memory_of(sized(create(task(attempt=3)), [ran_out(GB), lost], 0, 64 * GB)) == 1.5 * GB


def test_services_and_other_changes_are_left_alone() -> None:
    service, other = create(task(is_service=True)), update(task())
    assert sized(service, [ran_out(GB)], GB, 64 * GB) is service
    assert sized(other, [ran_out(GB)], GB, 64 * GB) is other


def test_peaks_count_once_there_are_enough_of_them() -> None:
    peaks = None
    found = []
    for _ in range(6):
        peaks = learn(peaks, 1000.0)
        found.append(peak_bytes(peaks))
    assert found[:4] == [0, 0, 0, 0]
    assert found[5] == pytest.approx(1.09 * GB, rel=0.01)  # equal runs: 5 % of spread, 1.64 times


def test_the_ninety_fifth_percentile_follows_the_spread() -> None:
    assert peak_bytes(Estimate(20.0, math.log(1000.0), 0.25)) == pytest.approx(2.276 * GB, rel=0.01)


@given(st.integers(MB, 10**12), st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_retry_never_asks_for_less_than_was_too_little(had: int, peak: int, largest: int) -> None:
    assert memory_of(sized(create(task(attempt=2)), [ran_out(had)], peak, largest)) >= had


def test_through_the_loop_an_attempt_that_ran_out_is_followed_by_a_larger_one() -> None:
    rig = Rig()
    hungry = Behaviour(seconds=5, runs_out_of_memory=1, bad_attempts=2)
    rig.submit(command=hungry.command())
    rig.work(60)
    tasks = rig.tasks(rig.job())
    assert [one.spec.resources.memory for one in tasks] == [DEFAULT, 768 * MB, 1152 * MB]
    assert [one.status.allocations[0].memory_bytes for one in tasks] == [DEFAULT, 768 * MB, 1152 * MB]
    told = [event.sentence for one in tasks for event in rig.store.events(object_id=one.id) if event.code == "memory"]
    assert told == [
        "Asks for 768 MB of memory: 512 MB were too little.",
        "Asks for 1.2 GB of memory: 768 MB were too little.",
    ]
