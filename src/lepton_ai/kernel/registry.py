"""The one door for services: a manifest, found through the entry points `lepton_ai.services`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import entry_points
from typing import Any, Protocol, TypeVar

from lepton_ai.kernel.clock import Clock
from lepton_ai.kernel.data_plane import DataPlane
from lepton_ai.kernel.decision import Decision
from lepton_ai.kernel.node_providers import Members
from lepton_ai.kernel.object_stores import ObjectStores
from lepton_ai.kernel.scheduling.snapshot import Plan, Snapshot
from lepton_ai.settings import Settings
from lepton_ai.types.base import AnyObject
from lepton_ai.types.task import Task

GROUP = "lepton_ai.services"
T = TypeVar("T", bound=AnyObject)
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]  # https://asgi.readthedocs.io/en/latest/specs/main.html


class View(Protocol):
    """What a service may read while it decides. Only live objects, and what they own, are sure to be found."""

    def get(self, kind: type[T], object_id: str) -> T | None:
        """Return the object of that id."""

    def look_up(self, kind: type[T], project: str, name: str) -> T | None:
        """Return the newest object of that name or id in the project, ended ones included."""

    def all(self, kind: type[T]) -> Collection[T]:
        """Return every live object of the kind."""

    def tasks_of(self, owner_id: str) -> Sequence[Task]:
        """Return the tasks that the object owns, oldest first, finished ones included."""


class OpenService(Protocol):
    """A service at work. `decide` must not touch the world; `apply` is the place for that."""

    def decide(self, thing: AnyObject, view: View, now: datetime) -> Decision:
        """Return the steps that bring `thing` closer to what its owner asked for."""

    def apply(self, view: View, now: datetime) -> None:
        """Bring what lies outside the kernel (such as the data plane) in line with the committed objects."""

    def close(self) -> None:
        """Let go of threads and sockets; what it set up outside goes on without it."""

    @property
    def gateway(self) -> AsgiApp | None:
        """Return what answers requests that the data plane hands to the core for this service, if anything does."""


@dataclass(frozen=True, slots=True)
class Door:
    """What a service gets when it is opened. `wake` asks for a decision on one object, from any thread."""

    settings: Settings
    clock: Clock
    data_plane: DataPlane
    object_stores: ObjectStores
    wake: Callable[[str], None]
    queue: Callable[[], tuple[Snapshot, Plan] | None] = lambda: None  # the newest snapshot, and what was planned on it
    members: Members | None = None  # who may join; None where this is one machine


class Desk(Protocol):
    """What a service may look up while it checks what a user asks for."""

    def look_up(self, kind: type[T], project: str, name: str) -> T | None:
        """Return the newest object of that name or id in the project."""

    def live(self, kind: type[T], project: str | None = None) -> Sequence[T]:
        """Return every live object of the kind, in one project or (None) in all; tell nobody of those of others."""

    def has_blob(self, project: str, digest: str) -> bool:
        """Tell whether the project has uploaded that bundle or call."""


Admit = Callable[[AnyObject, AnyObject | None, Desk], AnyObject]


def admit_anything(thing: AnyObject, _before: AnyObject | None, _desk: Desk) -> AnyObject:
    """Take every object as it is."""
    return thing


@dataclass(frozen=True, slots=True)
class Service:
    """A manifest. `admit` checks and completes a new or changed object, raising InvalidInput for what cannot work."""

    name: str
    kinds: tuple[type[AnyObject], ...]
    open: Callable[[Door], OpenService]
    admit: Admit = admit_anything
    in_project: bool = True  # its objects belong to projects; otherwise to the platform, like nodes
    leaves_outside: Callable[[AnyObject], bool] = lambda _thing: False  # what `apply` must delete, even after its end
    has_tasks: bool = True  # its objects run as tasks, which have logs and can be explained
    name_stem: Callable[[AnyObject], str] = lambda thing: thing.KIND  # for objects that the user did not name


def load_services() -> Mapping[str, Service]:
    """Return the installed services by name, built-in ones and others alike."""
    services = [found.load() for found in entry_points(group=GROUP)]
    return {service.name: service for service in sorted(services, key=lambda service: service.name)}
