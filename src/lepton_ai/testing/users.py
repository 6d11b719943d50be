"""The users of a simulation: they submit, change, stop and delete at random, and remember what was acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from random import Random
from typing import Any, TypeVar

from lepton_ai.kernel.change import Note, create, delete, update
from lepton_ai.kernel.clock import Clock
from lepton_ai.kernel.registry import Service
from lepton_ai.kernel.store import Store
from lepton_ai.testing.behaviour import Behaviour
from lepton_ai.types.base import DEFAULT_PROJECT, AnyObject, Metadata
from lepton_ai.types.endpoint import Endpoint, EndpointSpec, EndpointStatus
from lepton_ai.types.job import Job, JobSpec, JobStatus, Retries
from lepton_ai.types.node import Node
from lepton_ai.types.resources import AcceleratorRequest, Resources
from lepton_ai.types.task import Preemptible, Task

GB = 10**9
ACTOR = "ada"
PREEMPTIBLE = tuple(Preemptible(resumes=resumes, restart=timedelta(seconds=1)) for resumes in (False, True))
JOBS_MAX = 10
ENDPOINTS_MAX = 3
T = TypeVar("T", bound=AnyObject)


class Users:
    """Speaks to the store as the API does: read, admit, commit if unchanged."""

    def __init__(self, random: Random, clock: Clock, services: dict[str, Service]) -> None:
        self._random = random
        self._clock = clock
        self._services = {kind: service for service in services.values() for kind in service.kinds}
        self._count = 0
        self.jobs: dict[str, Job] = {}  # as acknowledged
        self.endpoints: dict[str, Endpoint] = {}
        self.deleted: set[str] = set()
        self.stopped: set[str] = set()

    def act(self, store: Store) -> None:
        """Do one thing."""
        acts: list[tuple[int, Callable[[Store], None]]] = []
        if Job in self._services:
            acts += [(8, self._submit), (2, self._stop_job), (2, self._delete_job)]
        if Endpoint in self._services:
            acts += [(2, self._create_endpoint), (3, self._change_endpoint), (1, self._delete_endpoint)]
        acts.append((1, self._cordon))
        weights, choices = zip(*acts, strict=True)
        self._random.choices(choices, weights)[0](store)

    def uncordon(self, store: Store) -> None:
        """Let every node take work again."""
        for node in sorted(store.page(Node), key=lambda node: node.name):  # their ids are another in each replay
            if not node.spec.takes_work:
                self._put(store, node.replace(spec=node.spec.replace(cordoned=False, drain_by=None)))

    def mend_endpoints(self, store: Store) -> bool:
        """Give every endpoint a program that serves; tell whether any needed one."""
        served = {"command": Behaviour(seconds=0).command(), "idle_timeout": None}
        mended = False
        for endpoint in store.page(Endpoint, live_only=True) if Endpoint in self._services else ():
            after = endpoint.replace(spec=endpoint.spec.replace(**served))
            if endpoint.metadata.deletion_requested_at is None and after != endpoint:
                self._put(store, after)
                mended = True
        return mended

    def delete_endpoints(self, store: Store) -> None:
        """Take down every endpoint, so that jobs get the room."""
        for endpoint in store.page(Endpoint, live_only=True) if Endpoint in self._services else ():
            self._request_deletion(store, endpoint)

    def _submit(self, store: Store) -> None:
        if len(self.jobs) >= JOBS_MAX:
            return
        draw = self._random
        gang, names = draw.choice((1, 1, 1, 2, 3, 4)), self._names()
        spec = JobSpec(
            command=self._job_behaviour(gang).command(),
            resources=self._resources(),
            replicas=gang,
            array=draw.choice((0, 0, 0, 0, 3, 5)) if gang == 1 else 0,
            priority=draw.choice((10, 50, 50, 90)),
            expected_duration=draw.choice((None, timedelta(seconds=10))),
            retries=Retries(failed=draw.choice((0, 0, 2)), out_of_memory=draw.choice((0, 1)), lost_node=8),
            timeout=draw.choice((None, None, timedelta(seconds=8))),
            grace=timedelta(seconds=draw.choice((0, 1, 10))),
            after=tuple(draw.sample(names, 1)) if names and draw.random() < 0.2 else (),
            preemptible=draw.choice((None, None, *PREEMPTIBLE)),
            due=draw.choice((None, None, timedelta(seconds=20))),
        )
        self._count += 1
        metadata = Metadata(
            id=f"job-{self._count:04}", name=f"j{self._count:04}", project=DEFAULT_PROJECT, created_by=ACTOR
        )
        job = Job(metadata=metadata, spec=spec, status=JobStatus(submitted_at=self._clock.now()))
        self.jobs[job.id] = self._create(store, job)

    def _names(self) -> list[str]:
        return [job.name for job in self.jobs.values() if job.id not in self.deleted]

    def _job_behaviour(self, gang: int) -> Behaviour:
        draw = self._random
        return draw.choice(
            (
                Behaviour(seconds=draw.randint(1, 40)),
                Behaviour(seconds=draw.randint(1, 40)),
                Behaviour(seconds=draw.randint(1, 40), is_stubborn=1),
                Behaviour(seconds=draw.randint(1, 10), exit_code=3, bad_rank=draw.choice((-1, gang - 1))),
                Behaviour(seconds=draw.randint(1, 10), exit_code=4, bad_attempts=draw.randint(1, 3)),
                Behaviour(seconds=draw.randint(1, 10), runs_out_of_memory=1, bad_attempts=draw.randint(0, 1)),
                Behaviour(cannot_start=1),
            )
        )

    def _resources(self) -> Resources:
        draw = self._random
        accelerator = draw.choice(
            (None, None, AcceleratorRequest(), AcceleratorRequest(count=2), AcceleratorRequest(share_milli=400))
        )
        where = draw.choice(((), (), (), ("node!=node-1",), ("node=node-1|node-2",)))
        cpu, memory = draw.choice((0.5, 1, 2)), draw.choice((1, 4, 6)) * GB
        return Resources(cpu=cpu, memory=memory, accelerator=accelerator, where=where)

    def _stop_job(self, store: Store) -> None:
        job = self._any(store, Job)
        if job is not None and not job.is_final() and job.metadata.deletion_requested_at is None:
            self.stopped.add(job.id)
            self._put(store, job.replace(spec=job.spec.replace(stop_requested=True)))

    def _delete_job(self, store: Store) -> None:
        job = self._any(store, Job)
        if job is not None:
            self._request_deletion(store, job)

    def _create_endpoint(self, store: Store) -> None:
        if len(self.endpoints) >= ENDPOINTS_MAX:
            return
        draw = self._random
        self._count += 1
        spec = EndpointSpec(
            command=self._server().command(),
            resources=Resources(cpu=draw.choice((0.5, 1)), memory=GB),
            replicas=draw.choice((1, 1, 2, 3)),
            idle_timeout=draw.choice((None, None, timedelta(seconds=30))),
            start_timeout=timedelta(seconds=draw.choice((10, 300))),
            grace=timedelta(seconds=draw.choice((1, 10))),
        )
        name = f"e{self._count:04}"
        metadata = Metadata(id=f"endpoint-{self._count:04}", name=name, project=DEFAULT_PROJECT, created_by=ACTOR)
        endpoint = Endpoint(metadata=metadata, spec=spec, status=EndpointStatus(submitted_at=self._clock.now()))
        self.endpoints[endpoint.id] = self._create(store, endpoint)

    def _server(self) -> Behaviour:
        good = Behaviour(seconds=0, warm_up=self._random.randint(0, 4))
        return self._random.choice((good, good, good, Behaviour(seconds=1, exit_code=1), Behaviour(0, warm_up=20)))

    def _change_endpoint(self, store: Store) -> None:
        endpoint = self._any(store, Endpoint)
        if endpoint is None or endpoint.metadata.deletion_requested_at is not None:
            return
        changes: dict[str, Any] = self._random.choice(
            (
                {"replicas": self._random.randint(0, 4)},
                {"command": self._server().command()},
                {"env": {"VERSION": str(self._random.randint(1, 9))}},
            )
        )
        self._put(store, endpoint.replace(spec=endpoint.spec.replace(**changes)))

    def _delete_endpoint(self, store: Store) -> None:
        endpoint = self._any(store, Endpoint)
        if endpoint is not None:
            self._request_deletion(store, endpoint)

    def _cordon(self, store: Store) -> None:
        node = self._any(store, Node)
        if node is not None:
            by = self._clock.now() + timedelta(seconds=self._random.choice((0, 5, 60)))
            drain_by = self._random.choice((None, by)) if node.spec.takes_work else None
            wanted = node.spec.replace(cordoned=node.spec.takes_work, drain_by=drain_by)
            self._put(store, node.replace(spec=wanted))

    def _any(self, store: Store, kind: type[T]) -> T | None:
        found = sorted(store.page(kind), key=lambda thing: thing.name)
        return self._random.choice(found) if found else None

    def _create(self, store: Store, thing: T) -> T:
        admitted = self._services[type(thing)].admit(thing, None, Desk(store))
        (stored,) = Store.commit(store, [create(admitted, Note("submitted", "Submitted."))], actor=ACTOR).objects
        assert isinstance(stored, type(thing))
        return stored

    def _request_deletion(self, store: Store, thing: AnyObject) -> None:
        self.deleted.add(thing.id)
        if thing.is_final():
            owned = [delete(task) for task in store.owned(Task, thing.id)]
            self._commit(store, delete(thing, Note("deleted", "Deleted.")), *owned)
        elif thing.metadata.deletion_requested_at is None:
            metadata = thing.metadata.replace(deletion_requested_at=self._clock.now())
            self._commit(store, update(thing.replace(metadata=metadata), Note("deleting", "Deleted.")))

    def _put(self, store: Store, thing: AnyObject) -> None:
        self._commit(store, update(thing, Note("changed", "Changed.")))

    def _commit(self, store: Store, *changes: Any) -> None:
        # Past the faults: whether a user's request is refused is for the tests of the API.
        Store.commit(store, changes, actor=ACTOR)


class Desk:
    """What a service may look up while it admits an object; every upload is there."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def look_up(self, kind: type[T], project: str, name: str) -> T | None:
        return self._store.look_up(kind, project, name)

    def live(self, kind: type[T], project: str | None = None) -> Sequence[T]:
        return self._store.page(kind, project, live_only=True)

    def has_blob(self, project: str, digest: str) -> bool:
        return True
