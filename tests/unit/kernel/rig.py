"""A whole control plane on imagined machines, for tests that are about more than one part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from lepton_ai.kernel.change import Note, create, delete, update
from lepton_ai.kernel.registry import Door, OpenService, Service
from lepton_ai.kernel.runtime import Runtime
from lepton_ai.kernel.store import Store
from lepton_ai.kernel.store.engine import open_engine
from lepton_ai.services.endpoints import SERVICE as ENDPOINTS
from lepton_ai.services.endpoints.prober import Target
from lepton_ai.services.endpoints.service import Endpoints
from lepton_ai.services.jobs import SERVICE as JOBS
from lepton_ai.testing.behaviour import Behaviour
from lepton_ai.testing.fakes import FakeClock, FakeDataPlane, FakeProber
from lepton_ai.testing.machines import machine
from lepton_ai.testing.platform import KERNEL_KINDS, Core
from lepton_ai.testing.runtime import FakeNode, FakeRuntime
from lepton_ai.types.base import AnyObject, Metadata
from lepton_ai.types.endpoint import Endpoint, EndpointSpec
from lepton_ai.types.job import Job, JobSpec, JobStatus
from lepton_ai.types.task import Task

T = TypeVar("T", bound=AnyObject)
RUNS_ON = Behaviour(seconds=0).command()


class Rig:
    """Everything goes right here unless a test says otherwise."""

    def __init__(
        self,
        *nodes: FakeNode,
        services: Sequence[Service] | None = None,
        secrets: Mapping[str, str] | None = None,
        database: str = "sqlite://",
    ) -> None:
        self.clock = FakeClock()
        self.runtime = FakeRuntime(self.clock, nodes or [machine("node-1")])
        self.plane = FakeDataPlane()
        self.secrets = secrets or {}
        self.services = [JOBS, replace(ENDPOINTS, open=self._open_endpoints)] if services is None else services
        kinds: list[type[AnyObject]] = [
            *KERNEL_KINDS,
            Job,
            Endpoint,
            *(kind for service in self.services for kind in service.kinds),
        ]
        self.engine = open_engine(database)
        self.store = Store(self.engine, self.clock, kinds)
        self.prober = FakeProber(self._answers, lambda _: None)
        self.core = self.start()

    def start(self, runtime: Runtime | None = None) -> Core:
        """Start a core; the one before is gone, with all that it had in memory."""
        self.core = Core(self.store, self.clock, runtime or self.runtime, self.secrets)
        self.core.use(self.services, self.plane)
        return self.core

    def submit(
        self, name: str = "train", command: Sequence[str] = Behaviour(seconds=5).command(), **spec: object
    ) -> Job:
        metadata = Metadata(id=f"job-{name}", name=name)
        job = Job(
            metadata=metadata,
            spec=JobSpec.model_validate({"command": command, **spec}),
            status=JobStatus(submitted_at=self.clock.now()),
        )
        self.store.commit([create(job, Note("submitted", "Submitted."))], actor="ada")
        return self.job(name)

    def serve(self, name: str = "digits", command: Sequence[str] = RUNS_ON, **spec: object) -> Endpoint:
        wanted = EndpointSpec.model_validate({"command": command, **spec})
        endpoint = Endpoint(metadata=Metadata(id=f"endpoint-{name}", name=name), spec=wanted)
        self.store.commit([create(endpoint)], actor="ada")
        return self.endpoint(name)

    def change(self, thing: AnyObject, **spec: object) -> None:
        """Change an object's spec as a user does."""
        newest = self.store.get(type(thing), thing.id)
        self.store.commit([update(newest.replace(spec=newest.spec.replace(**spec)))], actor="ada")

    def delete(self, thing: AnyObject) -> None:
        """Ask for an object's deletion as a user does."""
        newest = self.store.get(type(thing), thing.id)
        metadata = newest.metadata.replace(deletion_requested_at=self.clock.now())
        self.store.commit([update(newest.replace(metadata=metadata))], actor="ada")

    def delete_ended(self, thing: AnyObject) -> None:
        """Delete something that has ended, with its tasks, as the API does."""
        gone = [delete(self.store.get(type(thing), thing.id)), *(delete(task) for task in self.tasks(thing))]
        self.store.commit(gone, actor="ada")

    def job(self, name: str = "train") -> Job:
        return self.store.find(Job, "default", name)

    def endpoint(self, name: str = "digits") -> Endpoint:
        return self.store.find(Endpoint, "default", name)

    def tasks(self, of: AnyObject) -> Sequence[Task]:
        return self.store.owned(Task, of.id)

    def work(self, seconds: float = 0, *, step: float = 0.5) -> None:
        """Let the loop work now, and then every `step` seconds for so long."""
        self._passes()
        end = self.clock.now() + timedelta(seconds=seconds)
        while self.clock.now() < end:
            self.clock.advance(timedelta(seconds=step))
            self._passes()

    def running(self) -> Sequence[str]:
        """Return the ids of the replicas that really run."""
        now = self.clock.now()
        return sorted(
            replica_id
            for node in self.runtime.fleet.values()
            for replica_id, process in node.processes.items()
            if process.holds(now)
        )

    def _passes(self) -> None:
        for _ in range(10):
            assert self.core.loop.try_pass()
            self.prober.ask_all()

    def _open_endpoints(self, door: Door) -> OpenService:
        self.prober = FakeProber(self._answers, door.wake)
        return Endpoints(door, self.prober)

    def _answers(self, target: Target) -> bool:
        now = self.clock.now()
        processes = [process for node in self.runtime.fleet.values() for process in node.processes.values()]
        return any(process.answers(now) and process.port == target.port for process in processes)
