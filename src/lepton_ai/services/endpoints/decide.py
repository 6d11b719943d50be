"""Pure: what an endpoint needs next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from lepton_ai.kernel.change import Change, Note, advance, create, delete, update
from lepton_ai.kernel.decision import Decision
from lepton_ai.services.endpoints.fleet import Fleet, Traffic
from lepton_ai.services.endpoints.summary import BY_HAND, summarise
from lepton_ai.services.endpoints.task import task_for, template_of
from lepton_ai.types.endpoint import MOVES, Endpoint, EndpointState
from lepton_ai.types.task import ExitKind, Task, TaskState

RETRY_PAUSE = timedelta(seconds=1)  # doubled with each failure in a row
RETRY_PAUSE_MAX = timedelta(minutes=1)
GOOD_AFTER = timedelta(seconds=10)  # a replica that has run for so long is not failing
SURGE_PATIENCE = timedelta(seconds=5)  # how long an update waits for room beside the old replicas; then it takes theirs
DRAIN_MIN = timedelta(milliseconds=300)  # requests already on their way to a replica that leaves
LOOK_AGAIN = timedelta(milliseconds=200)
ENDED_KEPT = 8  # ended tasks kept for their logs; they also count failures in a row
NOT_READY = "It did not become ready in time."


def decide(endpoint: Endpoint, tasks: Sequence[Task], traffic: Traffic, now: datetime) -> Decision:
    """Return the steps that bring `endpoint` closer to what its owner asked for.

    An update brings up one new replica at a time beside the old ones, and drains an old one for each that is ready.
    So does leaving a node that is drained.
    """
    if endpoint.metadata.deletion_requested_at is not None:
        return _delete(endpoint, tasks)
    fleet = _sort(endpoint, tasks, traffic, now)
    wanted = _wanted(endpoint, traffic, fleet)
    changes = [*_grow(endpoint, fleet, wanted, traffic, now), *_shrink(endpoint, fleet, wanted, traffic, now)]
    changes += _let_go(fleet.leaving, traffic, now)
    changes += _give_up(endpoint, fleet, traffic, now)
    changes += [delete(task) for task in fleet.ended[:-ENDED_KEPT]]
    status = summarise(endpoint, fleet, traffic, wanted=wanted, now=now)
    moments = _moments(endpoint, fleet, wanted, traffic, now)
    return Decision((*changes, *advance(endpoint, MOVES, status)), look_again_at=min(moments, default=None))


def _sort(endpoint: Endpoint, tasks: Sequence[Task], traffic: Traffic, now: datetime) -> Fleet:
    template = template_of(endpoint.spec)
    live = [task for task in tasks if not task.is_final()]
    staying = [task for task in live if not task.spec.stop_requested and task.spec.drain_requested_at is None]
    ended = [task for task in tasks if task.is_final()]
    newest_good = max(
        (t.spec.attempt for t in staying if (at := _proves_itself_at(t, traffic)) and at <= now), default=0
    )
    failures = [
        t for t in ended if t.spec.template == template and t.spec.attempt > newest_good and _ended_by_itself(t)
    ]
    return Fleet(
        current=tuple(task for task in staying if _is_to_stay(task, template)),
        old=tuple(task for task in staying if not _is_to_stay(task, template)),
        leaving=tuple(task for task in live if task not in staying),
        ended=tuple(ended),
        failures=len(failures),
        last_failure=max(failures, key=lambda task: task.spec.attempt).status.reason.sentence if failures else "",
    )


def _is_to_stay(task: Task, template: str) -> bool:
    return task.spec.template == template and task.status.leave_by is None


def _proves_itself_at(task: Task, traffic: Traffic) -> datetime | None:
    """Return when a ready replica has run for so long that the failures before it are forgiven.

    One that gets ready and then dies, again and again, must not be started anew without a pause.
    """
    is_ready = task.id in traffic.ready and task.status.started_at is not None
    return task.status.started_at + GOOD_AFTER if is_ready and task.status.started_at else None


def _wanted(endpoint: Endpoint, traffic: Traffic, fleet: Fleet) -> int:
    """Return how many replicas there should be: what the spec says, or none while it sleeps."""
    timeout = endpoint.spec.idle_timeout
    if timeout is None or traffic.is_wanted:
        return endpoint.spec.replicas
    if endpoint.status.state is EndpointState.ASLEEP and endpoint.status.reason.code != BY_HAND:
        return 0
    is_up = any(task.id in traffic.ready for task in fleet.current)
    idle_long = is_up and traffic.idle_seconds >= timeout.total_seconds()
    return 0 if idle_long else endpoint.spec.replicas


def _grow(endpoint: Endpoint, fleet: Fleet, wanted: int, traffic: Traffic, now: datetime) -> list[Change]:
    if endpoint.spec.port and (fleet.old or fleet.leaving):
        return []  # The port is free only once the old replica has let go of it.
    missing = wanted - len(fleet.current)
    coming = [task for task in fleet.current if task.id not in traffic.ready]
    if fleet.old:
        missing = min(missing, 1 - len(coming))  # an update surges by one
    if missing <= 0 or (fleet.failures and now < _retry_at(fleet, now)):
        return []
    tasks = (*fleet.current, *fleet.old, *fleet.leaving, *fleet.ended)
    number = max((task.spec.attempt for task in tasks), default=0)
    has_one = any(task.id in traffic.ready or task.spec.is_first for task in (*fleet.current, *fleet.old))
    steps = range(1, missing + 1)
    return [create(task_for(endpoint, number + step, now, is_first=step == 1 and not has_one)) for step in steps]


def _retry_at(fleet: Fleet, now: datetime) -> datetime:
    last = max((task.status.finished_at for task in fleet.ended if task.status.finished_at), default=now)
    return last + min(RETRY_PAUSE * (1 << (fleet.failures - 1)), RETRY_PAUSE_MAX)


def _shrink(endpoint: Endpoint, fleet: Fleet, wanted: int, traffic: Traffic, now: datetime) -> list[Change]:
    """Drain what is too many: old replicas that new ones stand in for, or the newest ones after a scale-down."""
    ready = [task for task in fleet.current if task.id in traffic.ready]
    surplus_old = max(0, len(fleet.old) + min(len(ready), wanted) - wanted)
    if endpoint.spec.port:
        surplus_old = len(fleet.old)
    elif not surplus_old and (moment := _surge_ends_at(fleet)) is not None and moment <= now:
        surplus_old = 1
    # Replicas that serve nobody yet go first.
    old = sorted(fleet.old, key=lambda task: (task.id in traffic.ready, task.spec.attempt))
    current = sorted(fleet.current, key=lambda task: (task.id in traffic.ready, -task.spec.attempt))
    leaving = [*old[:surplus_old], *current[: max(0, len(current) - wanted)]]
    return [update(task.replace(spec=task.spec.replace(drain_requested_at=now))) for task in leaving]


def _surge_ends_at(fleet: Fleet) -> datetime | None:
    """Return when an old replica must go because its successor finds no room beside it; None while none must.

    One at a time: the room of one that leaves, or has just left, is still to be given to the successor.
    """
    waiting = [task.status.submitted_at for task in fleet.current if task.status.state is TaskState.WAITING]
    makes_room = any(task.status.leave_by is None for task in fleet.old)  # a drained node's room is given to nobody
    if not waiting or not makes_room or fleet.leaving:
        return None
    ended = [task.status.finished_at for task in fleet.ended]
    moments = [moment for moment in (*waiting, *ended) if moment is not None]
    return max(moments) + SURGE_PATIENCE if moments else None


def _let_go(leaving: Sequence[Task], traffic: Traffic, now: datetime) -> list[Change]:
    """Stop drained replicas once nothing is in flight, or once their grace is over."""
    changes = []
    for task in leaving:
        since = task.spec.drain_requested_at
        if task.spec.stop_requested or since is None:
            continue
        in_flight = (traffic.in_flight or {}).get(task.id, 0)
        is_idle = in_flight == 0 and now - since >= DRAIN_MIN
        if is_idle or task.status.state is not TaskState.RUNNING or now - since >= task.spec.program.grace:
            changes.append(_stop(task, "Stopped after its last request."))
    return changes


def _give_up(endpoint: Endpoint, fleet: Fleet, traffic: Traffic, now: datetime) -> list[Change]:
    """Stop replicas that run but do not become ready."""
    late = _late_at(endpoint, fleet, traffic)
    return [_stop(task, NOT_READY) for task in fleet.current if task.id in late and late[task.id] <= now]


def _late_at(endpoint: Endpoint, fleet: Fleet, traffic: Traffic) -> Mapping[str, datetime]:
    """Return, for each replica that runs and is not ready, when it is too late for it.

    Counted from when it was first asked: a core that has just started has asked nobody yet.
    """
    return {
        task.id: max(task.status.started_at, traffic.asked_since[task.id]) + endpoint.spec.start_timeout
        for task in fleet.current
        if task.status.state is TaskState.RUNNING and task.status.started_at and task.id in traffic.asked_since
    }


def _delete(endpoint: Endpoint, tasks: Sequence[Task]) -> Decision:
    live = [task for task in tasks if not task.is_final()]
    if live:
        stops = [_stop(task, "Its endpoint was deleted.") for task in live if not task.spec.stop_requested]
        return Decision((*stops, *advance(endpoint, MOVES, endpoint.status.replace(state=EndpointState.STOPPING))))
    note = Note("deleted", f"Endpoint {endpoint.name} was deleted.")
    return Decision((*(delete(task) for task in tasks), delete(endpoint, note)))


def _stop(task: Task, why: str) -> Change:
    return update(task.replace(spec=task.spec.replace(stop_requested=True, stop_reason=why)))


def _ended_by_itself(task: Task) -> bool:
    if task.status.outcome is ExitKind.PREEMPTED:
        return False
    return task.status.outcome is not ExitKind.STOPPED or task.spec.stop_reason == NOT_READY


def _moments(endpoint: Endpoint, fleet: Fleet, wanted: int, traffic: Traffic, now: datetime) -> Sequence[datetime]:
    """Return when this must be decided anew although nothing has changed."""
    moments = list(_late_at(endpoint, fleet, traffic).values())
    if any(not task.spec.stop_requested for task in fleet.leaving):
        moments.append(now + LOOK_AGAIN)  # Nobody tells when the last request in flight has ended.
    if fleet.failures and len(fleet.current) < wanted:
        moments.append(_retry_at(fleet, now))
    if fleet.failures:
        moments += [at for task in fleet.current if (at := _proves_itself_at(task, traffic))]
    if (surge_end := _surge_ends_at(fleet)) is not None:
        moments.append(surge_end)
    timeout = endpoint.spec.idle_timeout
    if timeout is not None and wanted:
        moments.append(now + max(timeout / 10, LOOK_AGAIN))  # It may fall asleep late by no more than a tenth.
    return [moment for moment in moments if moment > now]  # What is over was acted upon just now.
