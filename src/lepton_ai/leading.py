"""Lead or stand by: of several cores on one PostgreSQL one leads, and the next takes over when it is gone."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import uvicorn

from lepton_ai.api.standby import STATE, create_standby_api
from lepton_ai.backends.haproxy.door import HaproxyDoor
from lepton_ai.backends.home import Home
from lepton_ai.backends.shared_folder import check_shared_folder
from lepton_ai.errors import InvalidInput, LeptonError
from lepton_ai.kernel.clock import Clock, SystemClock
from lepton_ai.kernel.fencing import FencedRuntime, OwnRuntime
from lepton_ai.kernel.secret_box import SecretBox, fingerprint_of_key
from lepton_ai.kernel.store import Store
from lepton_ai.kernel.store.engine import migrate, open_engine
from lepton_ai.kernel.store.lease import LEASE_SECONDS, LOOK_SECONDS, RENEW_SECONDS, Candidate, Lease
from lepton_ai.settings import Settings
from lepton_ai.types.base import AnyObject
from lepton_ai.types.identity import Project, Token, User
from lepton_ai.version import VERSION

log = logging.getLogger(__name__)

KINDS: tuple[type[AnyObject], ...] = (Token, User, Project)  # what a core needs that only looks at tokens
SHUTDOWN_SECONDS = 1


def open_leading(settings: Settings, home: Home, open_door: Callable[[], HaproxyDoor]) -> Leading | None:
    """Return this core's part in who leads, where its database can say that; raises InvalidInput where it cannot."""
    if settings.has_lease:
        return Leading(settings, home, open_door)
    if settings.standby:
        raise InvalidInput(
            "A core can only stand by on PostgreSQL; this one's database is SQLite.",
            hint="Set LEPTON_DATABASE=postgresql+psycopg://USER@HOST/NAME, the same for each core.",
        )
    return None


def open_store(settings: Settings, leading: Leading | None, clock: Clock, kinds: Iterable[type[AnyObject]]) -> Store:
    """Return the store of a core that leads, or of one that is alone."""
    if leading is None:
        return Store(open_engine(settings.database_url), clock, kinds)
    return Store(leading.engine, clock, kinds, epoch=leading.lease.epoch)


def fenced(runtime: OwnRuntime, leading: Leading | None) -> OwnRuntime:
    """Return a runtime that obeys this core only while it leads."""
    return runtime if leading is None else FencedRuntime(runtime, leading.lease.check)


class Leading:
    """One core's place among those that share its database, from its start to its end."""

    def __init__(self, settings: Settings, home: Home, open_door: Callable[[], HaproxyDoor]) -> None:
        """Find out whether this core may lead at all; raises InvalidInput, StorageFailed."""
        _check_settings(settings)
        self.engine = open_engine(settings.database_url, core_id=home.core_id(), migrates=False)
        self._settings, self._home = settings, home
        key_hash = fingerprint_of_key(home.secret_key)
        lease = Lease(self.engine, Candidate(home.core_id(), "", key_hash))
        lease.check_key()
        key_hash = SecretBox(home.secret_key).fingerprint
        check_shared_folder(
            settings.shared_folder, key_hash, is_new=not lease.has_led(), is_one_machine=_is_one(settings)
        )
        self.door = open_door()
        self.lease = Lease(self.engine, Candidate(home.core_id(), self.door.base_url, key_hash))
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="lease", daemon=True)

    def begin(self) -> bool:
        """Lead; if another core does, stand by until it is gone. False if this core was told to end before that."""
        if not self._lead_soon() and not self._stand_by():
            return False
        log.info("core_leads epoch=%s", self.lease.epoch)
        self.door.lead()
        self._keeper.start()
        # The server gives a signal back that ended it; without a handler, the lease would run out instead of ending.
        signal.signal(signal.SIGTERM, lambda *_: None)
        migrate(self.engine)
        return True

    def close(self) -> None:
        """Let another core lead at once."""
        self._ended.set()
        try:
            self.lease.give_back()
        except LeptonError as error:
            log.warning("lease_not_given_back error=%s", error)

    def _lead_soon(self) -> bool:
        """Tell whether this core leads now; one that may not stand by waits for a lease that nobody renews."""
        if self.lease.try_take():
            return True
        if self._settings.standby:
            return False
        if self._ended.wait(LEASE_SECONDS) or self.lease.try_take():
            return not self._ended.is_set()
        raise InvalidInput(
            f"Another core leads the platform in that database: {self.lease.look().url}.",
            hint="To stand by for it: lepton up --standby; or give this one a database of its own.",
        )

    def _stand_by(self) -> bool:
        """Answer that another core leads, until this one does."""
        self.door.ensure(stands_by=True)
        clock, url = SystemClock(), self.door.base_url
        api = create_standby_api(
            self.lease, Store(self.engine, clock, KINDS), clock, url, lambda: str(self.door.state()["state"])
        )
        server = _server(api, self.door.core_socket)
        watch = threading.Thread(target=self._watch, args=(server,), name="standby", daemon=True)
        announced = {"pid": os.getpid(), "url": url, "started_at": clock.now().isoformat(), "version": VERSION}
        self._home.announce(json.dumps(announced | {"state": STATE, "leader": self.lease.look().url}))
        log.info("core_stands_by url=%s leader=%s", url, self.lease.look().url)
        watch.start()
        asyncio.run(server.serve())
        self._ended.set()
        watch.join()
        self._home.withdraw()
        leads = self.lease.epoch > 0
        self._ended.clear()
        return leads

    def _watch(self, server: uvicorn.Server) -> None:
        """Look again and again whether the lease is free; what keeps us from it may be over at the next look."""
        while not self._ended.wait(LOOK_SECONDS):
            _collect_children()
            try:
                if self.lease.look().seconds_left <= 0 and self.lease.try_take():
                    server.should_exit = True
                    return
            except LeptonError as error:
                log.warning("lease_not_looked_at error=%s", error)

    def _keep(self) -> None:
        """Renew the lease; once another core leads, become a core that has just started."""
        while not self._ended.wait(RENEW_SECONDS):
            try:
                is_ours = self.lease.renew()
            except LeptonError as error:
                log.warning("lease_not_renewed error=%s", error)
                continue
            if not is_ours and not self._ended.is_set():
                log.warning("core_deposed epoch=%s", self.lease.epoch)
                self._home.withdraw()
                _start_anew()


def _start_anew() -> None:
    """Become a new core in the same process, as if this one had been killed and started; work runs on."""
    log.warning("core_starts_anew")
    os.execv(sys.executable, [sys.executable, "-m", "lepton_ai.app"])  # noqa: S606 - no shell is wanted


def _check_settings(settings: Settings) -> None:
    if settings.standby and not settings.shared:
        raise InvalidInput(
            "A core that stands by needs a folder that all cores of the platform reach, and none is named.",
            hint="Set LEPTON_SHARED, or shared in config.toml, to the same folder for each of them.",
        )
    if settings.shared and settings.storage == "seaweedfs":
        raise InvalidInput(
            'The server of storage = "seaweedfs" belongs to one core and cannot be taken over by another.',
            hint='Several cores need storage = "local" in a folder that they share.',
        )


def _is_one(settings: Settings) -> bool:
    """Tell whether what runs is bound to this machine: its own replicas, or the head of its own cluster."""
    return not settings.ray_address


def _server(api: object, socket: Path) -> uvicorn.Server:
    config = uvicorn.Config(
        api,  # type: ignore[arg-type]  # an ASGI application
        uds=str(socket),
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        timeout_keep_alive=75,
    )
    return uvicorn.Server(config)


def _collect_children() -> None:
    """Collect supervisors that this process began when it led, and that have ended since."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
