"""Tasks as they are once a plan is carried out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from lepton_ai.kernel.scheduling.expectation import SECONDS_MAX
from lepton_ai.kernel.scheduling.snapshot import Placement, RunningTask, Stake, WaitingTask


def started(task: WaitingTask, placement: Placement, now: datetime) -> RunningTask:
    """Return `task` as it runs once `placement` is carried out."""
    seconds = min(placement.terms["expected_seconds_p80"], SECONDS_MAX)
    end = None if task.is_service else now + timedelta(seconds=seconds)
    stake = None
    if task.restart is not None:
        waited = max((now - task.submitted_at).total_seconds(), 0.0)
        stake = Stake(task.weight, task.expectations, now, now, task.restart, waited, task.due_at)
    return RunningTask(task.id, task.name, placement.allocations, end, task.demand, stake, project=task.project)


def stopping(task: RunningTask, now: datetime) -> RunningTask:
    """Return `task` as it runs once it was told to stop."""
    grace = task.stake.restart.grace_seconds if task.stake is not None else 0.0
    return replace(task, expected_end=now + timedelta(seconds=grace), stake=None, is_stopping=True)
