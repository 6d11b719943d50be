"""The control plane as the core builds it, over fakes, so that it can be thrown away and built again at any moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import sqlalchemy as sa

from lepton_ai.errors import NotFound
from lepton_ai.kernel.change import Change, Committed
from lepton_ai.kernel.clock import Clock
from lepton_ai.kernel.data_plane import DataPlane
from lepton_ai.kernel.dispatch import Unseal
from lepton_ai.kernel.estimates import Estimates
from lepton_ai.kernel.placing import Placing
from lepton_ai.kernel.queue import SnapshotBuilder
from lepton_ai.kernel.reconcile import Loop, Parts
from lepton_ai.kernel.registry import Door, OpenService, Service
from lepton_ai.kernel.runtime import Runtime
from lepton_ai.kernel.scheduling.snapshot import Policy
from lepton_ai.kernel.store import Store
from lepton_ai.kernel.store.engine import open_engine
from lepton_ai.kernel.store.schema import lease, metadata, revision
from lepton_ai.settings import Settings
from lepton_ai.testing.fakes import FakeObjectStores
from lepton_ai.testing.faults import Faults
from lepton_ai.types.base import AnyObject
from lepton_ai.types.estimate import EstimateRecord
from lepton_ai.types.event import AuditRecord
from lepton_ai.types.identity import Project, Secret, Token, User
from lepton_ai.types.membership import Member
from lepton_ai.types.node import Node
from lepton_ai.types.task import Task

KERNEL_KINDS: tuple[type[AnyObject], ...] = (Task, Node, Member, Project, User, Token, Secret, EstimateRecord)
SETTINGS = Settings(home=Path("/nowhere"), memory_reserved_bytes=0)


def empty_engine(engine: sa.Engine | None = None) -> sa.Engine:
    """Return a database in memory with current tables and no rows. To empty the `engine` of before is fast."""
    if engine is None:
        return open_engine("sqlite://")
    with engine.execution_options(writes=True).begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(sa.delete(table))
        connection.execute(sa.insert(revision).values(last=0))
        connection.execute(sa.insert(lease).values(epoch=0, holder="", url="", expires_at=0.0, key_hash=""))
    return engine


class FaultyStore(Store):
    """The real store, before and after whose commits the core may die."""

    def __init__(self, engine: sa.Engine, clock: Clock, kinds: Iterable[type[AnyObject]], faults: Faults) -> None:
        super().__init__(engine, clock, kinds)
        self._faults = faults
        self.on_commit: Callable[[Sequence[Change], Committed], None] = lambda _changes, _done: None

    def commit(
        self, changes: Sequence[Change], *, actor: str, audit: Sequence[AuditRecord] = (), strict: bool = True
    ) -> Committed:
        self._faults.commit()
        done = super().commit(changes, actor=actor, audit=audit, strict=strict)
        self.on_commit(changes, done)
        self._faults.step()
        return done


class Core:
    """Everything that dies with the core: the loop with its memory, and the services."""

    def __init__(self, store: Store, clock: Clock, runtime: Runtime, secrets: Mapping[str, str] | None = None) -> None:
        estimates = Estimates(store)
        # Work of a simulation lasts seconds: it would never be old enough to be preempted.
        policy = Policy(preemption_pause=2.0, preemption_gain=1.5)
        placing = Placing(SnapshotBuilder(SETTINGS, estimates.expect, estimates.remaining), policy, clock)
        self.placing = placing
        self.store = store
        self._clock = clock
        self.loop = Loop(Parts(store, runtime, clock, placing, estimates, _unseal(secrets or {})))
        self.opened: dict[str, OpenService] = {}
        store.on_change(self.loop.wake)
        runtime.on_change(self.loop.wake)

    def use(self, services: Sequence[Service], data_plane: DataPlane) -> None:
        """Open the services and give them to the loop."""
        door = Door(SETTINGS, self._clock, data_plane, FakeObjectStores(), self.loop.wake, lambda: self.placing.last)
        self.opened = {service.name: service.open(door) for service in services}
        self.loop.use({kind.KIND: self.opened[service.name] for service in services for kind in service.kinds})

    def close(self) -> None:
        """Let go of the services' threads."""
        for service in self.opened.values():
            service.close()


def _unseal(secrets: Mapping[str, str]) -> Unseal:
    def unseal(project: str, name: str) -> str:
        if name not in secrets:
            raise NotFound(f"There is no secret {name!r} in project {project!r}.", hint="See: lepton secret list")
        return secrets[name]

    return unseal
