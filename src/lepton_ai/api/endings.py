"""What `explain` says of a task that has ended: how, after how long, and what was true when it was placed."""

from __future__ import annotations

from lepton_ai.kernel.scheduling.reasons import in_words
from lepton_ai.types.base import Reason
from lepton_ai.types.explanation import Explanation, Standing
from lepton_ai.types.task import Task


def ended(task: Task) -> Explanation:
    """Tell how a task ended, and what was true when it was placed."""
    status = task.status
    took = _times(task)
    placed = f" When it was placed: it {status.placement}." if status.placement else ""
    return Explanation(
        task_id=task.id,
        name=task.spec.owner_name,
        standing=Standing.ENDED,
        reason=Reason(code=status.reason.code, sentence=f"{status.reason}{took}{placed}"),
        nodes=tuple(sorted({allocation.node for allocation in status.allocations})),
        resource_class=status.allocations[0].resource_class if status.allocations else "",
        terms=status.terms,
    )


def _times(task: Task) -> str:
    """Return how long a task waited and ran, beside what was expected; nothing if it never ran."""
    status = task.status
    if status.started_at is None or status.finished_at is None:
        return ""
    waited = (status.started_at - (status.submitted_at or status.started_at)).total_seconds()
    ran = in_words((status.finished_at - status.started_at).total_seconds())
    is_expected = status.expected_seconds and not task.spec.is_service
    beside = f"; {in_words(status.expected_seconds)} were expected" if is_expected else ""
    return f" It waited {in_words(waited)} and ran {ran}{beside}."
