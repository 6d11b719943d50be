"""Endpoints and their replicas, for the tests of the endpoints service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from lepton_ai.kernel.decision import Decision
from lepton_ai.services.endpoints.decide import decide
from lepton_ai.services.endpoints.fleet import Traffic
from lepton_ai.services.endpoints.task import task_for
from lepton_ai.types.base import Metadata
from lepton_ai.types.endpoint import Endpoint, EndpointSpec, EndpointState, EndpointStatus
from lepton_ai.types.task import ExitKind, Task, TaskState
from tests.unit.kernel.samples import NOW, allocation, ended, later, runs

START_SECONDS = 300  # the time-out of a replica that does not become ready


def endpoint(
    state: EndpointState = EndpointState.STARTING, *, status: Mapping[str, Any] | None = None, **spec: Any
) -> Endpoint:
    return Endpoint(
        metadata=Metadata(id="endpoint-digits", name="digits", version=1),
        spec=EndpointSpec(**{"command": ("serve",), **spec}),
        status=EndpointStatus(**{"state": state, "submitted_at": NOW, **(status or {})}),
    )


def replica(of: Endpoint, number: int = 1, state: TaskState = TaskState.RUNNING, *, at: float = 0, **spec: Any) -> Task:
    """Return the endpoint's replica `number`, made (and started, if its state says so) `at` seconds from the start."""
    made = task_for(of, number, later(at))
    made = made.replace(spec=made.spec.replace(**spec))
    if state is TaskState.WAITING:
        return made
    held = {"state": state, "allocations": (allocation(),)}
    if state is TaskState.STARTING:
        return made.with_status(**held)
    return made.with_status(**held, replicas=(runs(started=at).replace(port=9000),), started_at=later(at))


def gone(of: Endpoint, number: int, outcome: ExitKind = ExitKind.FAILED, *, at: float = 0, **spec: Any) -> Task:
    """Return a replica that ended `at` seconds from the start."""
    return replica(of, number, TaskState.FINISHED, **spec).with_status(
        outcome=outcome, finished_at=later(at), replicas=(ended(0, outcome, at=at),)
    )


def traffic(*ready: Task, **more: Any) -> Traffic:
    return Traffic(ready=frozenset(task.id for task in ready), **more)


def decided(of: Endpoint, tasks: Sequence[Task], seen: Traffic, at: float = 100) -> tuple[Decision, Endpoint]:
    """Decide `at` seconds from the start; return the decision and the endpoint as it is afterwards."""
    decision = decide(of, tasks, seen, later(at))
    changed = [change.object for change in decision.changes if isinstance(change.object, Endpoint)]
    return decision, changed[-1] if changed else of


def made(decision: Decision) -> list[int]:
    return [task.spec.attempt for verb, task in _tasks(decision) if verb == "create"]


def drained(decision: Decision) -> list[int]:
    return [
        task.spec.attempt
        for verb, task in _tasks(decision)
        if verb == "update" and task.spec.drain_requested_at and not task.spec.stop_requested
    ]


def stopped(decision: Decision) -> list[int]:
    return [task.spec.attempt for verb, task in _tasks(decision) if verb == "update" and task.spec.stop_requested]


def deleted(decision: Decision) -> list[int]:
    return [task.spec.attempt for verb, task in _tasks(decision) if verb == "delete"]


def since(*tasks: Task, at: float = 0) -> Mapping[str, datetime]:
    return {task.id: later(at) for task in tasks}


def _tasks(decision: Decision) -> list[tuple[str, Task]]:
    return [(str(change.verb), change.object) for change in decision.changes if isinstance(change.object, Task)]
