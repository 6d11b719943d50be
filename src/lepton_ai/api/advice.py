"""What the scheduler would do and why: explanations, the queue, the best resource for a task, a trial placement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field, StringConstraints, model_validator

from lepton_ai.api import changes
from lepton_ai.api.access import Access, GuardedRoute
from lepton_ai.api.coming import coming_for
from lepton_ai.api.endings import ended
from lepton_ai.api.kinds import Gate, collection_path
from lepton_ai.api.openapi import Listing
from lepton_ai.errors import Conflict, InvalidInput, NotFound
from lepton_ai.kernel.advice import classes, classes_for, place_on, rank_classes, why_never
from lepton_ai.kernel.identifiers import new_id
from lepton_ai.kernel.queue import weight_of
from lepton_ai.kernel.scheduling.explain import explain
from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import Placement, Plan, Refusal, Snapshot, Wait, WaitingTask
from lepton_ai.kernel.task_names import as_seen
from lepton_ai.types.base import AnyObject, Label, Metadata, Model
from lepton_ai.types.explanation import Explanation, Standing
from lepton_ai.types.gang import whole_gang
from lepton_ai.types.identity import Project
from lepton_ai.types.job import ARRAY_MAX, COMMAND_WORDS_MAX, Job, JobSpec
from lepton_ai.types.node import Node
from lepton_ai.types.node_group import NodeGroup
from lepton_ai.types.quantity import Duration
from lepton_ai.types.resource_view import QueueEntry, ResourceChoice
from lepton_ai.types.resources import Resources
from lepton_ai.types.task import GANG_MAX, Money, Program, Task, TaskSpec, TaskState, TaskStatus

FOR_EVER = {Refusal.TOO_LARGE, Refusal.NO_SUCH_DEVICE, Refusal.NO_NODES, Refusal.NO_SUCH_PLACE, Refusal.TOO_DEAR}
KEEP_TRIES = 5  # each fails only if a task ends within the milliseconds that it takes
Word = Annotated[str, StringConstraints(max_length=4096)]


class Trial(Model):
    """A task that somebody thinks of submitting."""

    command: Annotated[tuple[Word, ...], Field(max_length=COMMAND_WORDS_MAX)] = ()
    function: Label = ""  # its name, as the label `function` of a job has it
    resources: Resources = Resources()
    replicas: Annotated[int, Field(ge=1, le=GANG_MAX)] = 1
    nodes: Annotated[int, Field(ge=0, le=GANG_MAX)] = 0
    replicas_per_node: Annotated[int, Field(ge=0, le=GANG_MAX)] = 0
    priority: Annotated[int, Field(ge=0, le=100)] = 50
    expected_duration: Duration | None = None
    max_cost: Money | None = None

    @model_validator(mode="before")
    @classmethod
    def _count_replicas(cls, value: Any) -> Any:
        return whole_gang(value) if isinstance(value, dict) else value


class Question(Model):
    """What is asked about a trial; `resource_class` only for a placement."""

    spec: Trial
    resource_class: Label = ""


class Measured(Model):
    """What one unit of a task took on one resource class: a step of which the program told, or a whole run.

    `whole_seconds` is how long the program took if it ran to its end.
    """

    spec: Trial
    resource_class: Label
    unit: Literal["step", "run"]
    seconds_per_unit: Annotated[float, Field(ge=1e-3, le=3.2e9)]
    whole_seconds: Annotated[float, Field(ge=1e-3, le=3.2e9)] | None = None


def explain_routes(kind: type[AnyObject]) -> APIRouter:
    """Return the explain route of a kind that is or owns tasks."""
    router = APIRouter(prefix=collection_path(kind, in_project=True), route_class=GuardedRoute, tags=[kind.PLURAL])

    @router.get("/{name}/explain", operation_id=f"{kind.KIND}.explain")
    def explain_object(gate: Gate, name: str) -> Explanation:
        """Tell why the newest task of this object runs where it does, or why it waits."""
        thing = changes.find(gate, kind, name, in_project=True)
        tasks = [thing] if isinstance(thing, Task) else gate.core.store.owned(Task, thing.id)
        shown = next((task for task in tasks if not task.is_final()), tasks[-1] if tasks else None)
        if not isinstance(shown, Task):
            standing = Standing.ENDED if thing.is_final() else Standing.WAITING
            return Explanation(task_id="", name=thing.name, standing=standing, reason=thing.status.reason)
        return _explain(gate, shown)

    return router


def routes(*, has_jobs: bool) -> list[APIRouter]:
    """Return the routes of the queue and of advice, and the one of results where there are jobs."""
    routers = [_queue(), _advice()]
    return [*routers, _results()] if has_jobs else routers


def _queue() -> APIRouter:
    router = APIRouter(prefix="/api/v1/projects/{project}/queue", route_class=GuardedRoute, tags=["scheduling"])

    @router.get("", operation_id="queue.list", responses={200: {"model": Listing[QueueEntry]}})
    def list_queue(gate: Gate) -> dict[str, Any]:
        """Return this project's waiting tasks; their ranks count everybody's."""
        tasks = {t.id: t for t in gate.core.live(Task, gate.project)}
        waits = sorted(gate.core.placing.outlook().waits, key=lambda wait: wait.rank)
        return {"items": [_entry(tasks[wait.task_id], wait) for wait in waits if _still_waits(tasks, wait.task_id)]}

    return router


def _advice() -> APIRouter:
    router = APIRouter(prefix="/api/v1/projects/{project}", route_class=GuardedRoute, tags=["scheduling"])

    @router.post(
        "/optimal-resource", operation_id="scheduling.resource", responses={200: {"model": Listing[ResourceChoice]}}
    )
    def best_resource(gate: Gate, question: Question) -> dict[str, Any]:
        """Rank the resource classes for a task by how long it would take on them, with what it would cost."""
        trial = _task(gate, question.spec)
        snapshot, view = _with_trial(gate, trial)
        speeds = gate.core.estimates.speeds(trial, classes_for(snapshot.nodes, view))
        ranked = rank_classes(snapshot, view, gate.core.placing.policy, speeds)
        if not ranked:
            why = why_never(snapshot, view, gate.core.placing.policy)
            raise Conflict(f"No node could run this task: {why}.", hint="See what there is: lepton resources")
        return {"items": ranked}

    @router.post("/profile", operation_id="scheduling.profile", status_code=204)
    def keep_speed(gate: Gate, measured: Measured) -> None:
        """Keep what a probe measured of such a task on one resource class; `lepton profile` sends it."""
        _require_class(measured.resource_class, classes(_snapshot(gate).nodes))
        trial, estimates = _task(gate, measured.spec), gate.core.estimates
        probed = estimates.probed(trial, measured.resource_class, measured.unit, measured.seconds_per_unit)
        changes.commit(gate, probed)
        if measured.whole_seconds is not None:
            _keep_run(gate, trial, measured.resource_class, measured.whole_seconds)
        estimates.reread()

    @router.post("/optimal-allocation", operation_id="scheduling.allocation")
    def best_allocation(gate: Gate, question: Question) -> dict[str, Any]:
        """Place a task on one resource class without holding anything."""
        trial = _task(gate, question.spec)
        snapshot, view = _with_trial(gate, trial)
        _require_class(question.resource_class, classes(snapshot.nodes))
        plan = place_on(snapshot, view, question.resource_class, gate.core.placing.policy)
        if plan.placements:
            placed = plan.placements[0]
            return {"allocations": placed.allocations, "sentence": placed.sentence, "expected_start": snapshot.now}
        wait = plan.waits[0]
        if wait.expected_start is None and wait.refusal in FOR_EVER:
            raise Conflict(wait.sentence, hint="See what there is: lepton resources")
        return {
            "allocations": (),
            "sentence": as_seen(wait.sentence, gate.project),
            "expected_start": wait.expected_start,
        }

    return router


def _keep_run(gate: Access, trial: Task, resource_class: str, seconds: float) -> None:
    """Keep how long such a task took, as if it had run; the loop may be writing the same estimates right now."""
    for left in reversed(range(KEEP_TRIES)):
        try:
            changes.commit(gate, *gate.core.estimates.ran(trial, resource_class, seconds))
            return
        except changes.Lost:
            if not left:
                raise


def _require_class(name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise InvalidInput(
            f"There is no resource class {name!r} for this task.",
            hint=f"Known: {', '.join(known) or 'none, since no node answers'}.",
        )


def _results() -> APIRouter:
    router = APIRouter(prefix="/api/v1/projects/{project}/jobs", route_class=GuardedRoute, tags=["jobs"])

    @router.get("/{name}/result", operation_id="job.result")
    def read_result(gate: Gate, name: str, index: Annotated[int, Query(ge=0, le=ARRAY_MAX)] = 0) -> Response:
        """Return what the job's function returned, as `node/function_runner` pickled it."""
        job = changes.find(gate, Job, name, in_project=True)
        tasks = [task for task in gate.core.store.owned(Task, job.id) if task.spec.index == index]
        newest = max(tasks, key=lambda task: task.spec.attempt, default=None)
        payload = gate.core.runtime.read_result(newest.replica_id(0)) if newest else None
        if payload is None:
            raise NotFound(
                f"Job {name!r} has no result: it is {job.status.state.value}. {job.status.reason}",
                hint=f"See: lepton job logs {name}" if job.spec.function else "Only functions return values.",
            )
        return Response(payload, media_type="application/octet-stream")

    return router


def _explain(gate: Access, task: Task) -> Explanation:
    status = task.status
    if task.is_final():
        return ended(task)
    snapshot = _snapshot(gate)
    if status.state is TaskState.WAITING:
        found = _told(task, explain(task.id, snapshot, schedule(snapshot, gate.core.placing.policy)))
        coming = coming_for(task.id, gate.core.live(NodeGroup), snapshot.now)
        sentence = f"{found.reason} {coming}".strip()
        return found.replace(reason=found.reason.replace(sentence=sentence)) if coming else found
    stored = Placement(task.id, status.allocations, status.expected_seconds, status.placement, status.terms)
    return _told(task, explain(task.id, snapshot, Plan(placements=(stored,))))


def _told(task: Task, found: Explanation) -> Explanation:
    """Return an explanation as the task's own project may read it."""
    reason = found.reason.replace(sentence=as_seen(found.reason.sentence, task.project))
    return found.replace(name=task.spec.owner_name, reason=reason)


def _snapshot(gate: Access) -> Snapshot:
    core = gate.core
    return core.snapshots.build(core.live(Node), core.live(Task), core.clock.now(), (), core.live(Project))


def _with_trial(gate: Access, trial: Task) -> tuple[Snapshot, WaitingTask]:
    core = gate.core
    tasks = [*core.live(Task), trial]
    snapshot = core.snapshots.build(core.live(Node), tasks, core.clock.now(), (), core.live(Project))
    return snapshot, next(view for view in snapshot.waiting if view.id == trial.id)


def _task(gate: Access, spec: Trial) -> Task:
    now = gate.core.clock.now()
    metadata = Metadata(id=new_id("job", now), name="trial", project=gate.project, created_by=gate.caller.user)
    labels = {"function": spec.function} if spec.function else {}
    words = JobSpec(command=spec.command or ("function",), resources=spec.resources, replicas=spec.replicas)
    job = Job(metadata=metadata.replace(labels=labels, created_at=now), spec=words)
    return Task(
        metadata=metadata.replace(id=new_id("task", now), created_at=now),
        spec=TaskSpec(
            owner_kind=Job.KIND,
            owner_name="this task",
            task_kind=job.task_kind() if spec.command else job.replace(spec=words.replace(command=())).task_kind(),
            program=Program(command=spec.command or ("function",)),
            resources=spec.resources,
            size=spec.replicas,
            per_node=spec.replicas_per_node,
            priority=spec.priority,
            expected_duration=spec.expected_duration,
            max_cost=spec.max_cost,
        ),
        status=TaskStatus(submitted_at=now),
    )


def _still_waits(tasks: dict[str, Task], task_id: str) -> bool:
    return task_id in tasks and tasks[task_id].status.state is TaskState.WAITING


def _entry(task: Task, wait: Wait) -> QueueEntry:
    return QueueEntry(
        rank=wait.rank,
        task=task.id,
        owner_kind=task.spec.owner_kind,
        owner_name=task.spec.owner_name,
        weight=weight_of(task),
        refusal=wait.refusal,
        sentence=as_seen(wait.sentence, task.project),
        expected_start=wait.expected_start,
    )
