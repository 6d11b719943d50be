"""Notes when a client that watches is told of each job's start."""

from __future__ import annotations

import contextlib
import threading
import time

from lepton_ai import JobState, LeptonAI, LeptonError

_WAITING = frozenset({JobState.QUEUED, JobState.STARTING})


class RunningWatch:
    """Follows the watch of all jobs in a thread of its own, until the platform ends."""

    def __init__(self, client: LeptonAI) -> None:
        self._seen: dict[str, int] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._follow, args=(client,), daemon=True).start()

    def wait(self, job_id: str, seconds_max: float) -> int:
        """Return the monotonic nanosecond at which the job was first seen at work, or past it."""
        with self._changed:
            if not self._changed.wait_for(lambda: job_id in self._seen, seconds_max):
                raise RuntimeError(f"the watch did not tell of {job_id} within {seconds_max:g} s")
            return self._seen[job_id]

    def _follow(self, client: LeptonAI) -> None:
        with contextlib.suppress(LeptonError, RuntimeError):  # the client is closed while this still listens
            for change in client.jobs.watch():
                if change.object.status.state not in _WAITING:
                    with self._changed:
                        self._seen.setdefault(change.object.id, time.monotonic_ns())
                        self._changed.notify_all()
