"""The parts of the core that the API speaks to, built in `app.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from lepton_ai.api.bell import Bell
from lepton_ai.errors import InvalidInput
from lepton_ai.kernel.auth import Gatekeeper
from lepton_ai.kernel.clock import Clock
from lepton_ai.kernel.estimates import Estimates
from lepton_ai.kernel.keyring import Keyring
from lepton_ai.kernel.object_stores import ObjectStores
from lepton_ai.kernel.placing import Placing
from lepton_ai.kernel.queue import SnapshotBuilder
from lepton_ai.kernel.registry import Service
from lepton_ai.kernel.roster import Roster
from lepton_ai.kernel.runtime import Runtime
from lepton_ai.kernel.secret_box import SecretBox
from lepton_ai.kernel.store import Store
from lepton_ai.kernel.store.lease import Lease
from lepton_ai.kernel.store.store import LIST_MAX
from lepton_ai.settings import Settings
from lepton_ai.types.base import AnyObject
from lepton_ai.types.membership import CallBack, Versions

T = TypeVar("T", bound=AnyObject)


class BlobWriter(Protocol):
    """Takes one upload piece by piece."""

    def write(self, chunk: bytes) -> None:
        """Append; raises TooLarge above the limit."""


class Uploads(Protocol):
    """Bundles and calls that projects have uploaded."""

    def has(self, project: str, digest: str) -> bool:
        """Tell whether the project uploaded it, which another project's upload does not answer."""

    def receive(self, project: str, digest: str) -> AbstractContextManager[BlobWriter]:
        """Give a writer, and keep the upload on leaving if its digest is right."""

    def forget(self, project: str) -> None:
        """Forget what the project uploaded, so that a later one of that name does not have it."""


class SignedCertificate(Protocol):
    """A certificate of a node, the authority that signed it (both PEM), and when it ends."""

    @property
    def certificate(self) -> str: ...
    @property
    def authority(self) -> str: ...
    @property
    def expires_at(self) -> datetime: ...


class Cluster(Protocol):
    """What makes many machines one: who has joined, and what a machine needs to join."""

    @property
    def head(self) -> str:
        """`IP:PORT` of the cluster's head."""

    @property
    def versions(self) -> Versions:
        """What every node must have."""

    @property
    def roster(self) -> Roster:
        """Which nodes belong here."""

    def fingerprint(self) -> str:
        """Return what a machine that joins knows this instance by: the hash of the certificate that it shows."""

    def cluster_token(self) -> str:
        """Return the token that all nodes share."""

    def sign(self, request_pem: str, name: str, address: str) -> SignedCertificate:
        """Sign the key of a request, for that name and address alone; raises InvalidInput."""

    def call_back(self, address: str, call_back: CallBack) -> None:
        """Connect to a machine that joins; raises Unavailable unless it is there and proves to be it."""


@dataclass(frozen=True, slots=True)
class Core:
    """Everything behind the API. Handlers read from it and commit to its store; only the loop acts."""

    settings: Settings
    clock: Clock
    store: Store
    gatekeeper: Gatekeeper
    services: Mapping[str, Service]
    runtime: Runtime
    placing: Placing
    snapshots: SnapshotBuilder
    estimates: Estimates
    secrets: SecretBox
    uploads: Uploads
    keyring: Keyring
    object_stores: ObjectStores
    bell: Bell
    url: str
    pid: int
    started_at: datetime
    data_plane_state: Callable[[], Mapping[str, str]]
    shut_down: Callable[[bool], None]
    cluster: Cluster | None = None
    lease: Lease | None = None

    @property
    def home(self) -> Path:
        return self.settings.home

    def live(self, kind: type[T], project: str | None = None) -> list[T]:
        """Return every live object of the kind, newest first, in one project or (None) in all."""
        found: list[T] = []
        while True:
            page = self.store.page(kind, project, before=found[-1].id if found else "", live_only=True)
            found.extend(page)
            if len(page) < LIST_MAX:
                return found

    def look_up(self, kind: type[T], project: str, name: str) -> T | None:
        """Return the newest object of that name or id in the project (for admission)."""
        return self.store.look_up(kind, project, name)

    def has_blob(self, project: str, digest: str) -> bool:
        """Tell whether the project has uploaded that blob (for admission)."""
        return self.uploads.has(project, digest)

    def service_of(self, kind: str) -> Service:
        """Return the service that answers for a kind."""
        for service in self.services.values():
            if any(kind == known.KIND for known in service.kinds):
                return service
        known_kinds = sorted(known.KIND for service in self.services.values() for known in service.kinds)
        raise InvalidInput(f"{kind!r} is not a kind here.", hint=f"Known: {', '.join(known_kinds)}.")
