"""Stop everything that runs before the platform ends."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta

from lepton_ai.kernel.change import update
from lepton_ai.kernel.placing import Placing
from lepton_ai.kernel.store import Store
from lepton_ai.types.task import Task, TaskState

LOOK_SECONDS = 0.05
REASON = "The platform was shut down."


def stop_all_tasks(store: Store, placing: Placing, within: timedelta) -> None:
    """Ask every task that holds something to stop, and wait until none does, for so long at most. Nothing starts."""
    placing.is_paused = True
    for _ in range(int(within.total_seconds() / LOOK_SECONDS)):
        active = _active_tasks(store)
        if not active:
            return
        asked = [
            update(task.replace(spec=task.spec.replace(stop_requested=True, stop_reason=REASON)))
            for task in active
            if not task.spec.stop_requested
        ]
        if asked:
            # The loop may have changed some meanwhile; the next round asks those again.
            store.commit(asked, actor="platform", strict=False)
        threading.Event().wait(LOOK_SECONDS)


def _active_tasks(store: Store) -> Sequence[Task]:
    """Return every task that holds something: the newest page alone may be full of tasks that only wait."""
    found: list[Task] = []
    last = ""
    while page := store.page(Task, live_only=True, before=last):
        found += [task for task in page if task.status.state is not TaskState.WAITING]
        last = page[-1].id
    return found
