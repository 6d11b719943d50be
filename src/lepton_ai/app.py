"""The composition root: builds the core from its parts and runs it until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import uvicorn

from lepton_ai.api.application import create_api
from lepton_ai.api.bell import Bell
from lepton_ai.api.core import Core
from lepton_ai.api.front import Front
from lepton_ai.back_ends import build_door, build_runtime, build_stores
from lepton_ai.backends.blobs import BlobStore
from lepton_ai.backends.haproxy.door import HaproxyDoor
from lepton_ai.backends.home import Home
from lepton_ai.backends.ray_cluster.head import ClusterHead
from lepton_ai.backends.ray_cluster.members import ClusterMembers
from lepton_ai.backends.ray_cluster.opening import open_head
from lepton_ai.backends.uploads import ProjectUploads
from lepton_ai.errors import LeptonError
from lepton_ai.kernel.auth import Gatekeeper
from lepton_ai.kernel.bootstrap import bootstrap
from lepton_ai.kernel.checkpoints.keeping import Keeper
from lepton_ai.kernel.checkpoints.vault import Vault
from lepton_ai.kernel.clock import SystemClock
from lepton_ai.kernel.estimates import Estimates
from lepton_ai.kernel.fencing import OwnRuntime
from lepton_ai.kernel.keyring import Keyring
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.kernel.placing import Placing
from lepton_ai.kernel.queue import SnapshotBuilder
from lepton_ai.kernel.reconcile import Loop, Parts
from lepton_ai.kernel.registry import Door, Service, load_services
from lepton_ai.kernel.scheduling.snapshot import Policy
from lepton_ai.kernel.secret_box import SecretBox
from lepton_ai.kernel.shutdown import stop_all_tasks
from lepton_ai.kernel.store import Store
from lepton_ai.leading import Leading, fenced, open_leading, open_store
from lepton_ai.serving.unread_body import CloseUnread
from lepton_ai.settings import Settings, load_settings
from lepton_ai.types.base import AnyObject
from lepton_ai.types.estimate import EstimateRecord
from lepton_ai.types.identity import Project, Secret, Token, User
from lepton_ai.types.membership import Member
from lepton_ai.types.node import Node
from lepton_ai.types.task import Task
from lepton_ai.version import VERSION

log = logging.getLogger(__name__)

KERNEL_KINDS = (Task, Node, Member, Project, User, Token, Secret, EstimateRecord)
EXIT_REFUSED = 3
SHUTDOWN_SECONDS = 2  # what open streams get before they are cut; their clients resume
STOP_TASKS_WITHIN = timedelta(seconds=60)


@dataclass(slots=True)
class Running:
    """A core at work."""

    core: Core
    loop: Loop
    front: Front
    runtime: OwnRuntime
    door: HaproxyDoor
    core_socket: Path
    closing: list[Callable[[], None]]  # what lets go of threads and sockets
    cluster: ClusterHead | None = None
    ends_cluster: bool = False  # whether Ray's head ends with the core
    server: uvicorn.Server | None = None


def main() -> int:
    """Run the core of the state folder; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    for chatty in ("httpx", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        settings = load_settings()
        home = Home(settings.home, settings.shared_folder)
        with home.locked():
            leading = open_leading(settings, home, lambda: build_door(settings, home, SystemClock()))
            if leading is None or leading.begin():
                serve(build(settings, home, leading=leading), home, leading)
    except LeptonError as error:
        print(
            f"Error: {error.message}\nHint: {error.hint}" if error.hint else f"Error: {error.message}", file=sys.stderr
        )
        return EXIT_REFUSED
    return 0


def build(settings: Settings, home: Home, runtime: OwnRuntime | None = None, leading: Leading | None = None) -> Running:
    """Build every part of the core and connect them; without a `runtime`, replicas run on this machine."""
    clock, services = SystemClock(), load_services()
    store = open_store(settings, leading, clock, (*KERNEL_KINDS, *_kinds_of(services)))
    bootstrap(store, clock, home.admin_token)
    box = SecretBox(home.secret_key)
    object_stores = build_stores(settings, home, clock)
    cluster = open_head(settings, home, store) if settings.cluster_address else None
    runtime = fenced(runtime or build_runtime(settings, home, lambda: list(running.loop.held()), cluster), leading)
    door = leading.door if leading else build_door(settings, home, clock)
    estimates = Estimates(store)
    snapshots = SnapshotBuilder(settings, estimates.expect, estimates.remaining)
    placing = Placing(snapshots, Policy(), clock)
    keyring = _open_keyring(home, box, store)
    keeper = Keeper(Vault(keyring, object_stores, store), runtime, clock)
    loop = Loop(Parts(store, runtime, clock, placing, estimates, partial(_unseal, store, box), keeper))
    members = ClusterMembers(store, clock, cluster, door.base_url) if cluster is not None else None
    door_of_services = Door(settings, clock, door, object_stores, loop.wake, lambda: placing.last, members)
    opened = {service.name: service.open(door_of_services) for service in services.values()}
    loop.use({kind.KIND: opened[service.name] for service in services.values() for kind in service.kinds})
    keeper.on_news(loop.wake)
    for on_change in (store.on_change, runtime.on_change, door.on_death):
        on_change(loop.wake)
    store.on_change((bell := Bell()).ring)
    core = Core(
        settings=settings,
        clock=clock,
        store=store,
        gatekeeper=Gatekeeper(store, clock),
        services=services,
        runtime=runtime,
        placing=placing,
        snapshots=snapshots,
        estimates=estimates,
        secrets=box,
        uploads=ProjectUploads(BlobStore(home.blobs), home.uploads, settings.bundle_bytes_max),
        keyring=keyring,
        object_stores=object_stores,
        bell=bell,
        url=door.base_url,
        pid=os.getpid(),
        started_at=clock.now(),
        data_plane_state=door.state,
        shut_down=lambda stop_replicas: _shut_down(running, stop_replicas=stop_replicas),
        cluster=cluster,
        lease=leading.lease if leading else None,
    )
    front = Front(create_api(core), [one.gateway for one in opened.values() if one.gateway], door.gateway_secret)
    closing = [*(one.close for one in opened.values()), keeper.close]
    return (running := Running(core, loop, front, runtime, door, door.core_socket, closing, cluster))


def serve(running: Running, home: Home, leading: Leading | None = None) -> None:
    """Serve until SIGTERM or a shutdown request. Replicas and the data plane outlive this."""
    running.loop.try_pass()  # What fails here is tried again by the loop; it must not keep the API from starting.
    running.door.ensure()
    thread = threading.Thread(target=running.loop.run, name="reconcile", daemon=True)
    config = uvicorn.Config(
        CloseUnread(running.front),
        uds=str(running.core_socket),
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        timeout_keep_alive=75,  # longer than the data plane keeps idle connections, so that it closes them, not we
    )
    running.server = uvicorn.Server(config)
    # What was built lives as long as the core: full collections need not walk it again and again.
    gc.freeze()
    thread.start()
    threading.Thread(target=_drop_past, args=(running,), name="past", daemon=True).start()
    try:
        asyncio.run(_serve_and_announce(running, home))
    finally:
        running.loop.stop()
        thread.join(SHUTDOWN_SECONDS)
        for close in running.closing:
            close()
        running.runtime.close()
        if running.cluster is not None:
            running.cluster.close(ends_ray=running.ends_cluster)
        home.withdraw()
        if leading is not None:
            leading.close()


async def _serve_and_announce(running: Running, home: Home) -> None:
    assert running.server is not None
    task = asyncio.ensure_future(running.server.serve())
    while not running.server.started and not task.done():
        await asyncio.sleep(0.005)
    if not task.done():
        core = running.core
        home.announce(
            json.dumps(
                {"pid": core.pid, "url": core.url, "started_at": core.started_at.isoformat(), "version": VERSION}
            )
        )
        log.info("core_ready url=%s pid=%s", core.url, core.pid)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _drop_past(running: Running) -> None:
    """Drop the logs of tasks that were deleted while no core ran; it reads every task, so nobody waits for it."""
    kept: set[str] = set()
    last = ""
    try:
        while page := running.core.store.page(Task, before=last):
            kept.update(task.replica_id(allocation.rank) for task in page for allocation in task.status.allocations)
            last = page[-1].id
        running.runtime.keep_only(kept)
    except LeptonError as error:
        log.warning("past replicas not looked through", extra={"error": str(error)})


def _shut_down(running: Running, *, stop_replicas: bool) -> None:
    """End the core from within; stop everything that runs first if that is wanted."""
    try:
        if stop_replicas:
            stop_all_tasks(running.core.store, running.core.placing, STOP_TASKS_WITHIN)
            running.door.stop()
            running.core.object_stores.stop()
            running.ends_cluster = True
    finally:
        if running.server is not None:
            running.server.should_exit = True


def _unseal(store: Store, box: SecretBox, project: str, name: str) -> str:
    return box.open(store.find(Secret, project, name).spec.sealed, f"{project}/{name}")


def _open_keyring(home: Home, box: SecretBox, store: Store) -> Keyring:
    keyring = Keyring(home.keyring, box)
    keyring.settle(lambda project_id: store.look_up(Project, PLATFORM_PROJECT, project_id) is not None)
    return keyring


def _kinds_of(services: Mapping[str, Service]) -> tuple[type[AnyObject], ...]:
    return tuple(kind for service in services.values() for kind in service.kinds)


if __name__ == "__main__":
    sys.exit(main())
