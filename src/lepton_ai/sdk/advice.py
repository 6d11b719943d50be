"""What the scheduler would do with a task, what it did, and how well it used the machines: the seed's section 5.2."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from pydantic import JsonValue

from lepton_ai.errors import Conflict, NotFound, Unavailable
from lepton_ai.sdk.collection import project_path, read
from lepton_ai.sdk.connection import Call, Connection
from lepton_ai.sdk.function import RemoteFunction
from lepton_ai.sdk.job_handle import JobHandle
from lepton_ai.sdk.jobs import Jobs
from lepton_ai.sdk.task_request import FUNCTION_LABEL, Prepared, TaskRequest, prepare
from lepton_ai.types.allocation_plan import AllocationPlan
from lepton_ai.types.job import JobSpec
from lepton_ai.types.probe import ProbeReport
from lepton_ai.types.resource_view import ResourceChoice, ResourceView

# A TaskRequest, a spec, a decorated or plain function (called without arguments), or a command (text or words).
TaskLike = TaskRequest | JobSpec | RemoteFunction[..., Any] | Callable[..., object] | str | Sequence[str]
SECONDS_PER_UNIT_MIN = 1e-3  # what the platform tells apart
REMEMBERED_MAX = 1000  # executions whose durations are known here
_ASKED = ("resources", "replicas", "nodes", "replicas_per_node", "priority", "expected_duration", "max_cost")


class Advisor:
    """Asks the scheduler about tasks of one project, and remembers those that were executed through it."""

    def __init__(self, connection: Connection, project: str, jobs: Jobs) -> None:
        self._connection = connection
        self._path = project_path(project)
        self._jobs = jobs
        self._executed: deque[tuple[str, JobHandle]] = deque(maxlen=REMEMBERED_MAX)

    def choices(self, task: TaskLike) -> Sequence[ResourceChoice]:
        """Return the resource classes that could run the task, the soonest expected end first.

        Raises Conflict if no machine could ever run it.
        """
        answer = self._ask("optimal-resource", {"spec": _question(_prepared(task))})
        items = answer.get("items")
        if not isinstance(items, list) or not items:
            raise Conflict(
                "No node could run this task, even an empty one.", hint="See what there is: lepton resources"
            )
        return [read(ResourceChoice, item) for item in items]

    def resource(self, task: TaskLike) -> ResourceChoice:
        """Return the best of the choices; raises Conflict if no machine could ever run the task."""
        return self.choices(task)[0]

    def allocation(self, choice: ResourceChoice | str, task: TaskLike) -> AllocationPlan:
        """Return what the scheduler would allocate now on that class; nothing is held by asking."""
        resource_class = choice if isinstance(choice, str) else choice.resource_class
        body: JsonValue = {"spec": _question(_prepared(task)), "resource_class": resource_class}
        answer = self._ask("optimal-allocation", body)
        return read(AllocationPlan, {"resource_class": resource_class, **answer})

    def keep_speed(self, task: TaskLike, resource_class: str, report: ProbeReport) -> None:
        """Let the platform keep what a probe measured of the task on that class."""
        body: dict[str, JsonValue] = {
            "spec": _question(_prepared(task)),
            "resource_class": resource_class,
            "unit": report.unit,
            "seconds_per_unit": max(report.seconds_per_unit, SECONDS_PER_UNIT_MIN),
        }
        if report.is_whole:
            body["whole_seconds"] = max(report.seconds, SECONDS_PER_UNIT_MIN)
        self._connection.send(Call("POST", f"{self._path}/profile", body=body))

    def execute(self, plan: AllocationPlan, task: TaskLike) -> JobHandle:
        """Submit the task and wait for its end; raises JobFailed unless it succeeded."""
        request = as_request(task)
        prepared = _prepared(task)
        handle = self._jobs.submit(_narrowed(request, prepared.spec, plan))
        self._executed.appendleft((_identity(prepared), handle))
        return handle.wait(raise_on_failure=True)

    def duration(self, task: TaskLike) -> timedelta:
        """Return how long the task took when it was last executed here, or else how long it is expected to take."""
        identity = _identity(_prepared(task))
        for known, handle in self._executed:
            status = handle.status
            if known == identity and status.started_at is not None and status.finished_at is not None:
                return status.finished_at - status.started_at
        return timedelta(seconds=self.resource(task).expected_seconds)

    def utilisation(self, choice: ResourceChoice | str, plan: AllocationPlan) -> float:
        """Return the measured use, 0..1, of what the plan names, or of the whole class if the plan names nothing."""
        resource_class = choice if isinstance(choice, str) else choice.resource_class
        of_class = [view for view in self.resources() if view.resource_class == resource_class]
        named = {(part.node, share.device_id) for part in plan.allocations for share in part.devices}
        nodes = {part.node for part in plan.allocations}
        chosen = [view for view in of_class if (view.node, view.name) in named]
        chosen = chosen or [view for view in of_class if view.node in nodes] or of_class
        if not chosen:
            raise NotFound(f"There is no resource of class {resource_class!r}.", hint="See: lepton resources")
        measured = [view.utilisation for view in chosen if view.utilisation >= 0]
        if not measured:
            raise Unavailable(
                f"The utilisation of {resource_class!r} is not measured: its driver does not tell it.",
                hint="See: lepton doctor",
            )
        return sum(measured) / len(measured)

    def resources(self) -> Sequence[ResourceView]:
        """Return every allocatable resource with its measured use."""
        answer: Any = self._connection.fetch(Call("GET", "/api/v1/resources"))
        return [read(ResourceView, item) for item in answer["items"]]

    def _ask(self, question: str, body: JsonValue) -> dict[str, Any]:
        # Asking changes nothing, so it may be sent again: the key says so.
        answer = self._connection.fetch(Call("POST", f"{self._path}/{question}", body=body, key=question))
        if not isinstance(answer, dict):
            raise Unavailable(f"The instance did not answer the question {question!r}.")
        return answer


def as_request(task: TaskLike) -> TaskRequest | JobSpec:
    """Return whatever stands for a task as a request."""
    if isinstance(task, TaskRequest | JobSpec):
        return task
    if isinstance(task, RemoteFunction):
        return task.request()
    if callable(task):
        return TaskRequest(function=task)
    return TaskRequest(task)


def _prepared(task: TaskLike) -> Prepared:
    return prepare(as_request(task))


def _question(prepared: Prepared) -> JsonValue:
    """Return what the scheduler needs to know of a task that nobody submitted: its demand, and what it runs."""
    spec = prepared.spec.model_dump(mode="json", exclude_defaults=True)
    question = {name: spec[name] for name in _ASKED if name in spec}
    if prepared.spec.command:
        return {**question, "command": list(prepared.spec.command)}
    return {**question, "function": prepared.labels.get(FUNCTION_LABEL, "")}


def _narrowed(request: TaskRequest | JobSpec, spec: JobSpec, plan: AllocationPlan) -> TaskRequest | JobSpec:
    """Return the request with the plan's class as the kind of accelerator that it asks for, if it asks for one."""
    wanted = spec.resources.accelerator
    if wanted is None or not plan.resource_class:
        return request
    resources = spec.resources.replace(accelerator=wanted.replace(kind=plan.resource_class))
    return (
        replace(request, resources=resources) if isinstance(request, TaskRequest) else spec.replace(resources=resources)
    )


def _identity(prepared: Prepared) -> str:
    """Return what makes two requests the same task: what it runs with which arguments, and what it asks for."""
    return json.dumps(prepared.spec.model_dump(mode="json"), sort_keys=True)
