"""The tables of moves: each state is reached, none is final by accident, and what is final never moves."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import pytest

from lepton_ai.types import bucket, endpoint, job, task

TABLES = [
    pytest.param(task.MOVES, task.TaskState.WAITING, {"finished"}, id="task"),
    pytest.param(job.MOVES, job.JobState.QUEUED, {"succeeded", "failed", "stopped"}, id="job"),
    pytest.param(endpoint.MOVES, endpoint.EndpointState.STARTING, {"stopping"}, id="endpoint"),
    pytest.param(bucket.MOVES, bucket.BucketState.READY, {"deleting"}, id="bucket"),
]
Table = Mapping[StrEnum, frozenset[StrEnum]]


@pytest.mark.parametrize(("moves", "first", "_ends"), TABLES)
def test_every_state_stands_in_its_table_and_is_reached(moves: Table, first: StrEnum, _ends: set[str]) -> None:
    assert set(moves) == set(type(first))
    assert {first}.union(*moves.values()) == set(type(first))


@pytest.mark.parametrize(("moves", "first", "ends"), TABLES)
def test_only_the_ends_have_no_way_on(moves: Table, first: StrEnum, ends: set[str]) -> None:
    assert first in moves
    assert {str(state) for state, after in moves.items() if not after} == ends


@pytest.mark.parametrize(("moves", "first", "_ends"), TABLES)
def test_no_state_moves_to_itself(moves: Table, first: StrEnum, _ends: set[str]) -> None:
    assert first in moves
    assert not [state for state, after in moves.items() if state in after]


@pytest.mark.parametrize(
    ("kind", "exit_code", "allowed"),
    [
        (task.ExitKind.FAILED, 75, 2),
        (task.ExitKind.FAILED, 1, 0),
        (task.ExitKind.SIGNALED, 75, 2),
        (task.ExitKind.OUT_OF_MEMORY, 137, 1),
        (task.ExitKind.LOST, 0, 5),
        (task.ExitKind.TIMED_OUT, 124, 0),
        (task.ExitKind.NOT_STARTED, 127, 0),
        (task.ExitKind.STOPPED, 0, 0),
    ],
)
def test_each_class_of_failure_may_be_tried_again_as_often_as_it_says(
    kind: task.ExitKind, exit_code: int, allowed: int
) -> None:
    retries = job.Retries(failed=2, exit_codes=(75,), out_of_memory=1, lost_node=5)
    assert retries.allowed(kind, exit_code) == allowed
