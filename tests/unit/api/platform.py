"""The whole control plane in this process: real store, loop and API; fake clock, runtime and data plane."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from lepton_ai.api.application import create_api
from lepton_ai.api.bell import Bell
from lepton_ai.api.core import Core
from lepton_ai.backends.blobs import BlobStore
from lepton_ai.backends.object_stores.local import LocalStores
from lepton_ai.backends.uploads import ProjectUploads
from lepton_ai.kernel import auth
from lepton_ai.kernel.auth import Gatekeeper
from lepton_ai.kernel.bootstrap import bootstrap
from lepton_ai.kernel.change import Note, create
from lepton_ai.kernel.estimates import Estimates
from lepton_ai.kernel.identifiers import new_id
from lepton_ai.kernel.keyring import Keyring
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.kernel.placing import Placing
from lepton_ai.kernel.queue import SnapshotBuilder
from lepton_ai.kernel.reconcile import Loop, Parts
from lepton_ai.kernel.registry import Door, load_services
from lepton_ai.kernel.roster import Roster
from lepton_ai.kernel.scheduling.snapshot import Policy
from lepton_ai.kernel.secret_box import SecretBox
from lepton_ai.kernel.store import Store
from lepton_ai.kernel.store.engine import open_engine
from lepton_ai.settings import Settings
from lepton_ai.types.base import AnyObject, Metadata
from lepton_ai.types.estimate import EstimateRecord
from lepton_ai.types.event import AuditRecord, Event
from lepton_ai.types.identity import Project, Role, Secret, Token, TokenSpec, User, UserSpec
from lepton_ai.types.membership import Member
from lepton_ai.types.node import Node
from lepton_ai.types.task import Task
from tests.unit.api.fakes import PaperCluster, PaperPlane, PaperRuntime, SetClock
from tests.unit.api.streams import Opening, Stream, cut_off

JOBS = "/api/v1/projects/default/jobs"
KERNEL_KINDS: tuple[type[AnyObject], ...] = (Task, Node, Member, Project, User, Token, Secret, EstimateRecord)
BODY_MAX = 4 * 1024 * 1024
BUNDLE_MAX = 100_000
JOB: Mapping[str, Any] = {"spec": {"command": ["true"]}}


class Platform:
    """One platform with a project `default`, an administrator `admin`, and whatever a test adds."""

    def __init__(self, folder: Path) -> None:
        self.clock = SetClock()
        self.runtime = PaperRuntime(self.clock)
        self.plane = PaperPlane()
        self.shutdowns: list[bool] = []
        self.runner = asyncio.Runner()
        services = load_services()
        kinds: list[type[AnyObject]] = [kind for service in services.values() for kind in service.kinds]
        self.settings = Settings(home=folder, body_bytes_max=BODY_MAX, bundle_bytes_max=BUNDLE_MAX)
        self.store = Store(open_engine(f"sqlite:///{folder}/lepton.db"), self.clock, (*KERNEL_KINDS, *kinds))
        bootstrap(self.store, self.clock, folder / "admin.token")
        self.cluster = PaperCluster(folder / "tls", self.clock, Roster("head", self._members))
        self.admin = (folder / "admin.token").read_text().strip()
        box = SecretBox(folder / "secret.key")
        estimates = Estimates(self.store)
        snapshots = SnapshotBuilder(self.settings, estimates.expect, estimates.remaining)
        placing = Placing(snapshots, Policy(), self.clock)
        unseal = partial(_unseal, self.store, box)
        self.loop = Loop(Parts(self.store, self.runtime, self.clock, placing, estimates, unseal))
        stores = LocalStores(folder / "objects")
        door = Door(self.settings, self.clock, self.plane, stores, self.loop.wake)
        self.services = {name: service.open(door) for name, service in services.items()}
        self.loop.use({kind.KIND: self.services[name] for name, s in services.items() for kind in s.kinds})
        self.bell = Bell()
        self.store.on_change(self.bell.ring)
        self.core = Core(
            settings=self.settings,
            clock=self.clock,
            store=self.store,
            gatekeeper=Gatekeeper(self.store, self.clock),
            services=services,
            runtime=self.runtime,
            placing=placing,
            snapshots=snapshots,
            estimates=estimates,
            secrets=box,
            uploads=ProjectUploads(BlobStore(folder / "blobs"), folder / "uploads", BUNDLE_MAX),
            keyring=Keyring(folder / "keyring", box),
            object_stores=stores,
            bell=self.bell,
            url="https://127.0.0.1:8443",
            pid=1,
            started_at=self.clock.now(),
            data_plane_state=lambda: {"state": "ready", "detail": ""},
            shut_down=self.shutdowns.append,
            cluster=self.cluster,
        )
        self.app = create_api(self.core)
        self.client = _client(self.app)

    def _members(self) -> list[str]:
        return [member.name for member in self.store.all_live(Member)]

    def close(self) -> None:
        """Let go of everything."""
        for service in self.services.values():
            service.close()
        self.runner.run(self.client.aclose())
        self.runner.close()

    def call(self, method: str, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        """Send one request with `token`, or with the administrator's; an empty one sends none."""
        bearer = self.admin if token is None else token
        headers = {**({"authorization": f"Bearer {bearer}"} if bearer else {}), **more.pop("headers", {})}
        return self.runner.run(self.client.request(method, path, headers=headers, **more))

    def get(self, path: str, **more: Any) -> httpx.Response:
        """Read."""
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """Create."""
        return self.call("POST", path, json=body, **more)

    def together(self, *requests: tuple[str, str, dict[str, Any]]) -> list[httpx.Response]:
        """Send several requests of the administrator at the same moment."""
        bearer = {"authorization": f"Bearer {self.admin}"}

        async def send() -> list[httpx.Response]:
            calls = [
                self.client.request(method, path, headers={**bearer, **more.pop("headers", {})}, **more)
                for method, path, more in requests
            ]
            return list(await asyncio.gather(*calls))

        return self.runner.run(send())

    @contextmanager
    def stream(self, path: str, token: str | None = None) -> Iterator[Stream]:
        """Open a stream of server-sent events; leaving hangs up."""
        opened = Stream(self.runner, self.app, Opening("GET", path, self.admin if token is None else token))
        try:
            yield opened
        finally:
            opened.hang_up()

    def settle(self) -> None:
        """Let the loop work until nothing more is to be done at this moment."""
        for _ in range(6):
            self.loop.run_pass()

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass and the loop work."""
        self.clock.turn(timedelta(seconds=seconds))
        self.settle()

    def running_job(self, name: str = "work", **spec: Any) -> str:
        """Create a job, let it start and return the id of its first replica."""
        made = self.post(JOBS, {"metadata": {"name": name}, "spec": {"command": ["true"], **spec}})
        assert made.status_code == 201, made.text
        self.settle()
        return next(task for task in self.store.owned(Task, made.json()["metadata"]["id"])).replica_id(0)

    def project(self, name: str) -> None:
        """Make a project."""
        self.store.commit([create(Project(metadata=self._metadata(Project.KIND, name)))], actor="test")

    def user(self, name: str, roles: Mapping[str, Role], expires_at: datetime | None = None) -> str:
        """Make a user with these roles and return a token of theirs."""
        plain = auth.new_token()
        spec = TokenSpec(user=name, sha256=auth.digest(plain), expires_at=expires_at)
        user = User(metadata=self._metadata(User.KIND, name), spec=UserSpec(roles=roles))
        token = Token(metadata=self._metadata(Token.KIND, name), spec=spec)
        self.store.commit([create(user, Note("created", "For a test.")), create(token)], actor="test")
        return plain

    def upload(self, data: bytes, project: str = "default") -> str:
        """Upload a blob and return its digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert self.call("PUT", f"/api/v1/projects/{project}/blobs/{digest}", content=data).status_code == 201
        return digest

    def cut_off(self, method: str, path: str, sent: bytes) -> int:
        """Send the beginning of a request, go away, and return what the API would have answered."""
        return cut_off(self.runner, self.app, Opening(method, path, self.admin, sent))

    def roles_of(self, name: str) -> Mapping[str, Role]:
        """Return the roles of a user."""
        return self.store.find(User, PLATFORM_PROJECT, name).spec.roles

    def listeners(self) -> int:
        """Return how many streams wait for news."""
        return len(self.bell._waiting)

    def audit(self) -> list[AuditRecord]:
        """Return every audit record."""
        return list(self.store.audit_records())

    def events(self, name: str) -> list[Event]:
        """Return every event about the object of that name in the project `default`."""
        return [event for event in self.store.events("default") if event.object_name == name]

    def _metadata(self, kind: str, name: str) -> Metadata:
        return Metadata(id=new_id(kind, self.clock.now()), name=name, project=PLATFORM_PROJECT)


def _unseal(store: Store, box: SecretBox, project: str, name: str) -> str:
    return box.open(store.find(Secret, project, name).spec.sealed, f"{project}/{name}")


def _client(app: FastAPI) -> httpx.AsyncClient:
    # A failure of ours shall be seen as its client sees it.
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="https://core")
