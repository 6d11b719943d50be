"""Pure: an endpoint's status from its tasks and what is seen of it from outside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from lepton_ai.services.endpoints.fleet import Fleet, Traffic
from lepton_ai.types.base import Reason
from lepton_ai.types.endpoint import Endpoint, EndpointState, EndpointStatus
from lepton_ai.types.task import Task, TaskState

BY_HAND = "scaled_to_0"  # why it sleeps: no request wakes it, but a larger number of replicas does
FAILED_AFTER = 3  # failures in a row without one replica ready


def summarise(endpoint: Endpoint, fleet: Fleet, traffic: Traffic, *, wanted: int, now: datetime) -> EndpointStatus:
    """Return the status that the tasks amount to."""
    shown = [*fleet.current, *fleet.old]
    ready = [task for task in shown if task.id in traffic.ready]
    updated = [task for task in fleet.current if task.id in traffic.ready]
    counts = _Counts(len(shown), len(ready), len(updated), wanted, fleet.failures)
    state, reason = _state(endpoint, shown, counts, fleet.last_failure)
    return endpoint.status.replace(
        state=state,
        reason=reason,
        url=traffic.url,
        started_at=endpoint.status.started_at or (now if ready else None),
        ready_replicas=len(ready),
        wanted_replicas=wanted,
        updated_replicas=len(updated),
        failures=fleet.failures,
        replicas=tuple(replica for task in shown for replica in task.status.replicas),
        last_request_at=_last_request(endpoint, traffic, now),
    )


class _Counts(NamedTuple):
    shown: int
    ready: int
    updated: int
    wanted: int
    failures: int


def _state(
    endpoint: Endpoint, shown: Sequence[Task], counts: _Counts, last_failure: str
) -> tuple[EndpointState, Reason]:
    if counts.wanted == 0:
        # Also while the last replicas drain: the next decision must know that they were sent to sleep, not lost.
        by_hand, idle = "Scaled to 0 by hand.", "Idle; the next request wakes it."
        is_by_hand = endpoint.spec.replicas == 0
        return EndpointState.ASLEEP, Reason(code=BY_HAND, sentence=by_hand) if is_by_hand else Reason(
            code="asleep", sentence=idle
        )
    if counts.ready:
        return EndpointState.READY, _readiness(counts)
    if counts.failures >= FAILED_AFTER:
        sentence = (
            f"{counts.failures} replicas in a row ended by themselves. The last one: {last_failure} "
            f"See: lepton endpoint logs {endpoint.name}"
        )
        return EndpointState.FAILED, Reason(code="failing", sentence=sentence)
    if endpoint.status.state is EndpointState.FAILED and counts.failures:
        return EndpointState.FAILED, endpoint.status.reason
    story = next((_story(task) for task in reversed(shown) if task.status.reason.sentence), "")
    return EndpointState.STARTING, Reason(code="starting", sentence=story or "Its first replica is on the way.")


def _story(task: Task) -> str:
    if task.status.state is TaskState.RUNNING:
        return "Its replica runs, but does not answer yet on the port that $PORT names."
    return task.status.reason.sentence


def _readiness(counts: _Counts) -> Reason:
    if counts.updated < min(counts.wanted, counts.ready) or counts.shown > counts.wanted:
        return Reason(code="updating", sentence=f"{counts.updated} of {counts.wanted} replicas run the newest spec.")
    code = "growing" if counts.ready < counts.wanted else "ready"
    return Reason(code=code, sentence=f"{counts.ready} of {counts.wanted} replicas are ready.")


def _last_request(endpoint: Endpoint, traffic: Traffic, now: datetime) -> datetime | None:
    """Return when the last request came, to the nearest ten seconds: a status is not rewritten for each request."""
    before = endpoint.status.last_request_at
    if traffic.last_request_seconds_ago is None:
        return before
    seen = now - timedelta(seconds=traffic.last_request_seconds_ago)
    return before if before is not None and seen - before < timedelta(seconds=10) else seen
