"""What is said of a task that is expected to end after the moment by which it is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from lepton_ai.kernel.scheduling.reasons import in_words
from lepton_ai.kernel.scheduling.snapshot import Wait
from lepton_ai.kernel.scheduling.waiting import Waiting


def lateness(due_at: datetime | None, end: datetime) -> str:
    """Return what to say of a task that is expected to end then; nothing if it is in time."""
    if due_at is None or end <= due_at:
        return ""
    return f"; it is expected to end {in_words((end - due_at).total_seconds())} after it is due"


def with_lateness(waits: Sequence[Wait], waiting: Waiting) -> tuple[Wait, ...]:
    """Return the waits, with a word on those that are expected to end too late."""
    if not waiting.dues:
        return tuple(waits)
    return tuple([_noted(wait, waiting.tasks[waiting.row_of[wait.task_id]].due_at) for wait in waits])


def _noted(wait: Wait, due_at: datetime | None) -> Wait:
    seconds = wait.terms.get("expected_seconds")
    if due_at is None or wait.expected_start is None or seconds is None:
        return wait
    return replace(wait, sentence=wait.sentence + lateness(due_at, wait.expected_start + timedelta(seconds=seconds)))
