"""Pure: which running tasks have used up what they may cost, and when the next of them will have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from lepton_ai.kernel import tasks
from lepton_ai.kernel.change import Change
from lepton_ai.types.task import HOUR_SECONDS, Task

LOOK_MIN = timedelta(seconds=1)  # a limit is noticed at most so late
LOOK_MAX = timedelta(days=365)


def review(limited: Iterable[Task], now: datetime) -> tuple[Sequence[Change], datetime | None]:
    """Return the changes that stop those that have used up their limit, and when the next may have."""
    changes, moments = [], []
    for task in sorted(limited, key=lambda task: task.id):
        limit, price = task.spec.max_cost, task.status.price_per_hour
        if limit is None or not price > 0 or task.status.started_at is None:
            continue
        spent = task.spec.earlier_cost + task.spent(now).money
        if spent >= limit:
            before = f", {task.spec.earlier_cost:.4g} of it in earlier attempts" if task.spec.earlier_cost else ""
            sentence = f"It has cost {spent:.4g}{before}, and may cost {limit:g} in all: it is stopped."
            changes.append(tasks.exceed(task, sentence))
        else:
            left = timedelta(seconds=min((limit - spent) / price * HOUR_SECONDS, LOOK_MAX.total_seconds()))
            moments.append(now + max(left, LOOK_MIN))
    return changes, min(moments, default=None)
