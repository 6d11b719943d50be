"""`LeptonAI`: the whole platform as one Python object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar, Unpack, overload

from pydantic import JsonValue

from lepton_ai.errors import NotFound
from lepton_ai.sdk import overview
from lepton_ai.sdk.advice import Advisor, TaskLike
from lepton_ai.sdk.apply import Handle, Wanted, apply
from lepton_ai.sdk.buckets import Buckets
from lepton_ai.sdk.collection import PAGE, Collection, read
from lepton_ai.sdk.connection import Call, Connection
from lepton_ai.sdk.endpoints import Endpoints
from lepton_ai.sdk.function import RemoteFunction
from lepton_ai.sdk.identities import Nodes, Projects, Secrets, Tokens, Users
from lepton_ai.sdk.job_handle import JobHandle
from lepton_ai.sdk.jobs import Jobs
from lepton_ai.sdk.listing import Listing
from lepton_ai.sdk.node_groups import NodeGroups
from lepton_ai.sdk.profiles import Target, resolve
from lepton_ai.sdk.profiling import profile
from lepton_ai.sdk.task_request import JobOptions, TaskRequest, check_options
from lepton_ai.types.allocation_plan import AllocationPlan
from lepton_ai.types.event import AuditRecord, Event
from lepton_ai.types.explanation import Explanation
from lepton_ai.types.platform_status import Identity, PlatformStatus
from lepton_ai.types.probe import Profile
from lepton_ai.types.resource_view import QueueEntry, ResourceChoice, ResourceView
from lepton_ai.types.task import Task

if TYPE_CHECKING:
    from lepton_ai.sdk.bucket_handle import BucketHandle

P = ParamSpec("P")
R = TypeVar("R")


class LeptonAI:
    """A connection to one instance, as one user, in one project.

    `LeptonAI()` speaks to the instance that `lepton up` started here. `instance` is the name of a profile or an
    `https://` URL; what is left out comes from LEPTON_INSTANCE, LEPTON_TOKEN and LEPTON_PROJECT, then the profile.
    Nothing is sent before the first call. Safe to share between threads; close it, or use `with`, when done.
    """

    def __init__(self, instance: str = "", token: str = "", *, project: str = "") -> None:
        self._use(Connection(resolve(instance, token, project)))

    @classmethod
    def over(cls, connection: Connection) -> Self:
        """Return a client that speaks over a connection which was made elsewhere."""
        client = cls.__new__(cls)
        client._use(connection)
        return client

    def _use(self, connection: Connection) -> None:
        project = connection.target.project
        self._connection = connection
        self.project = project
        self.jobs = Jobs(connection, project)
        self.endpoints = Endpoints(connection, project)
        self.buckets = Buckets(connection, project)
        self.secrets = Secrets(connection, project)
        self.nodes = Nodes(connection)
        self.node_groups = NodeGroups(connection)
        self.tokens = Tokens(connection)
        self.users = Users(connection)
        self.projects = Projects(connection)
        self._advisor = Advisor(connection, project, self.jobs)

    @property
    def target(self) -> Target:
        """What it speaks to, and where its token came from."""
        return self._connection.target

    @property
    def url(self) -> str:
        return self._connection.url

    @overload
    def function(self, function: Callable[P, R], /) -> RemoteFunction[P, R]: ...
    @overload
    def function(self, **options: Unpack[JobOptions]) -> Callable[[Callable[P, R]], RemoteFunction[P, R]]: ...
    def function(  # type: ignore[misc]  # mypy 2 does not match an unpacked TypedDict behind a positional parameter
        self, function: Callable[P, R] | None = None, /, **options: Unpack[JobOptions]
    ) -> RemoteFunction[P, R] | Callable[[Callable[P, R]], RemoteFunction[P, R]]:
        """Make a function that runs on the platform: `@lepton.function(resources={"cpu": 4})`.

        Calling it runs it here, as ever; `.submit(...)` returns a job, `.remote(...)` the value, `.map(values)` the
        value for each. `TaskRequest` says what each option means.
        """
        check_options(options)
        if function is not None:
            return RemoteFunction(self.jobs, function, options)
        return lambda decorated: RemoteFunction(self.jobs, decorated, options)

    def apply(self, wanted: Wanted) -> list[Handle]:
        """Create or change jobs and endpoints that are written down as {"kind", "metadata", "spec"}."""
        return apply(self._connection, self.project, wanted)

    def bucket(self, name: str) -> BucketHandle:
        """Return one bucket, to put, get, list and open objects in it. Nothing is asked before its first use."""
        return self.buckets.handle(name)

    def status(self) -> PlatformStatus:
        """Return how the platform is; raises Unavailable if it does not answer."""
        return read(PlatformStatus, self._connection.fetch(Call("GET", "/api/v1/status")))

    def whoami(self) -> Identity:
        """Return for whom the token speaks, and their roles."""
        return read(Identity, self._connection.fetch(Call("GET", "/api/v1/whoami")))

    def resources(self) -> Listing[ResourceView]:
        """Return every CPU and device: its measured utilisation (-1: not measured), and how much of it is allocated."""
        return overview.list_resources(self._connection)

    def queue(self) -> Listing[QueueEntry]:
        """Return what waits, in the order in which it would start, each with its reason."""
        return overview.list_queue(self._connection, self.project)

    def tasks(self) -> Iterator[Task]:
        """Yield what the scheduler placed for the project, newest first: each attempt, index and endpoint replica."""
        return Collection(self._connection, Task, self.project).each()

    @overload
    def events(
        self, *, after: int = 0, limit: int = PAGE, newest: bool = False, follow: Literal[False] = False
    ) -> Listing[Event]: ...
    @overload
    def events(
        self, *, after: int = 0, limit: int = PAGE, newest: bool = False, follow: Literal[True]
    ) -> Iterator[Event]: ...
    def events(
        self, *, after: int = 0, limit: int = PAGE, newest: bool = False, follow: bool = False
    ) -> Listing[Event] | Iterator[Event]:
        """Return what happened in the project after the event number `after`; `follow` goes on for ever."""
        if follow:
            return overview.follow_events(self._connection, self.project, after)
        return overview.list_events(self._connection, self.project, after, limit, newest=newest)

    def audit(self, *, after: int = 0, limit: int = PAGE) -> Listing[AuditRecord]:
        """Return who changed what or was refused, oldest first; for administrators of the platform."""
        return overview.list_audit(self._connection, after, limit)

    def explain(self, name: str) -> Explanation:
        """Tell why a job, an endpoint or a task (by name or id) waits, or runs where it runs."""
        kinds: list[Collection[Any]] = [
            self.jobs.collection,
            self.endpoints.collection,
            Collection(self._connection, Task, self.project),
        ]
        # An id tells its kind; a name may be a job's, or else an endpoint's.
        for kind in [kind for kind in kinds if name.startswith(f"{kind.kind.KIND}-")] + kinds[:2]:
            try:
                found = kind.get(name)
            except NotFound:
                continue
            return kind.explain(found.id)
        raise NotFound(
            f"There is no job, endpoint or task {name!r} in project {self.project!r}.",
            hint="See: lepton job list, lepton endpoint list",
        )

    def get_optimal_resource(self, task: TaskLike) -> ResourceChoice:
        """Return the resource class on which `task` is expected to end first.

        Estimated: `expected_seconds` and `p80_seconds`. `source` says from what: "measured" (this kind of task ran on
        that class), "stated" (by its owner), "inferred" (from similar ones) or "guessed". Raises Conflict if no node
        could ever run the task.
        """
        return self._advisor.resource(task)

    def profile(self, task: TaskRequest | str | Sequence[str], *, seconds: float = 30.0) -> Profile:
        """Measure how fast a command is on each class of resource, by probes of at most `seconds` each.

        Each probe is a job. The program may write the number of steps that it has done into the file that the variable
        LEPTON_PROGRESS names; one that does not is timed as a whole if it ends in time. The platform keeps what was
        measured, and expects the task's duration on each class by it.
        """
        request = task if isinstance(task, TaskRequest) else TaskRequest(task)
        return profile(self.jobs, self._advisor, request, seconds)

    def get_optimal_allocation(self, resource: ResourceChoice | str, task: TaskLike) -> AllocationPlan:
        """Return which nodes and devices of that class the scheduler would give `task` now.

        A dry run on the present state of the machines: nothing is held. Without allocations the task would wait;
        `sentence` says why, `expected_start` until when (estimated).
        """
        return self._advisor.allocation(resource, task)

    def execute_task(self, allocation: AllocationPlan, task: TaskLike) -> JobHandle:
        """Submit `task`, wait for its end, and return its job; raises JobFailed unless it succeeded.

        The plan is not a reservation: the scheduler decides again when the task is submitted. A task that asks for
        an accelerator is held to the plan's class; node and device may differ from the plan if others came first.
        """
        return self._advisor.execute(allocation, task)

    def get_task_duration(self, task: TaskLike) -> timedelta:
        """Return how long `task` took, or is expected to take.

        Measured, from start to end without the wait in the queue, if this client executed the same task before (its
        last execution counts); otherwise estimated as in `get_optimal_resource`.
        """
        return self._advisor.duration(task)

    def get_resource_utilization(self, resource: ResourceChoice | str, allocation: AllocationPlan) -> float:
        """Return how much of what `allocation` names is in use now, 0..1: the mean over its CPUs or devices.

        Measured by the nodes over their last sampling interval, whoever uses it; nothing is estimated. An allocation
        that names nothing gives the mean over the whole class. Raises Unavailable if the driver does not tell.
        """
        return self._advisor.utilisation(resource, allocation)

    def shutdown(self, *, stop_replicas: bool = True) -> None:
        """End the platform: `lepton down`. Without `stop_replicas`, jobs and endpoints run on until it is up again."""
        body: JsonValue = {"stop_replicas": stop_replicas}
        self._connection.send(Call("POST", "/api/v1/shutdown", body=body))

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LeptonAI {self.url}, project {self.project}>"

    def __reduce__(self) -> str:
        # A pickle of this would carry the token into the blob store.
        raise TypeError("a LeptonAI holds a token and open connections: make a new one inside the function")
