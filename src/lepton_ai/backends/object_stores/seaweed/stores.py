"""Buckets in an embedded SeaweedFS: started with the first of them, watched, and brought back when it dies."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

from lepton_ai.backends.object_stores.seaweed import config
from lepton_ai.backends.object_stores.seaweed.certificate import make_certificate
from lepton_ai.backends.object_stores.seaweed.process import WeedProcess, free_ports
from lepton_ai.backends.process_end import await_end
from lepton_ai.errors import LeptonError, StorageFailed, Unavailable
from lepton_ai.kernel.clock import Clock
from lepton_ai.object_store.opening import OpenStore
from lepton_ai.types.bucket import StoreKind, StoreTarget

log = logging.getLogger(__name__)

DELETED_AT_ONCE_MAX = 10_000  # objects in one call of `empty`: about 10 s
KNOWN_SECONDS_MAX = 10.0  # until a new identity is known to the gateway, which reads them again when told
POLL_SECONDS = 0.05


class SeaweedStores:
    """One SeaweedFS for a state folder. Its state is made with the first bucket, and it runs from then on."""

    def __init__(self, folder: Path, sockets: Path, clock: Clock) -> None:
        self._folder = folder
        self._state_file = folder / "seaweed.json"
        self._process = WeedProcess(folder, sockets)
        self._clock = clock
        self._lock = threading.Lock()
        self._wakes: list[Callable[[], None]] = []
        self._watched = 0
        self._is_stopped = False

    def target(self, project_id: str, bucket_id: str, *, may_write: bool) -> StoreTarget:
        """Return where the bucket's objects lie, and a key that opens the project's buckets and no others."""
        with self._lock:
            state = self._with_project(self._running(), project_id)
        return _target(state, config.project_key(state, project_id, may_write=may_write), project_id, bucket_id)

    def empty(self, project_id: str, bucket_id: str) -> bool:
        """Delete objects of the bucket; tell whether none is left."""
        if self._read() is None:
            return True
        store = OpenStore(self.target(project_id, bucket_id, may_write=True))
        names = [one.name for one in islice(store.each(), DELETED_AT_ONCE_MAX)]
        store.delete(names)
        return next(store.each(), None) is None

    def tend(self) -> None:
        """Start it if it should run and does not, or does not answer."""
        with self._lock:
            if self._read() is not None and not self._is_stopped:
                self._running()

    def on_death(self, wake: Callable[[], None]) -> None:
        """Call `wake`, from a thread of our own, when SeaweedFS has ended."""
        self._wakes.append(wake)

    def stop(self) -> None:
        """End SeaweedFS, for as long as this object lives."""
        with self._lock:
            self._is_stopped = True
            self._process.stop()

    def _running(self) -> config.State:
        """Return the state of a store that runs; a new one is made if there is none."""
        if self._is_stopped:
            raise Unavailable("The platform goes down, and its store with it.", hint="Start it: lepton up")
        state = self._read() or self._make()
        if not self._process.is_running(state):
            self._process.stop()
            self._process.start(state)
        self._watch()
        return state

    def _with_project(self, state: config.State, project_id: str) -> config.State:
        """Give a project its identities and its place, once."""
        if project_id in state.projects:
            return state
        added = replace(state, projects=(*state.projects, project_id))
        self._write("s3.json", config.identities(added))
        self._process.reload()
        place = OpenStore(_target(added, config.admin_key(added), project_id, "platform"))
        place.put("made", bytearray())  # SeaweedFS makes the bucket of S3 with the first object that its admin puts
        self._await_identity(added, project_id)
        self._write("seaweed.json", config.write_state(added))
        return added

    def _await_identity(self, state: config.State, project_id: str) -> None:
        key = config.project_key(state, project_id, may_write=True)
        store = OpenStore(_target(state, key, project_id, "platform"))
        deadline = time.monotonic() + KNOWN_SECONDS_MAX
        while True:
            try:
                store.put("known", bytearray())
            except LeptonError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)
            else:
                return

    def _read(self) -> config.State | None:
        try:
            return config.read_state(self._state_file.read_text(), self._state_file)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refused(self._state_file, error) from error

    def _make(self) -> config.State:
        state = config.new_state(free_ports(4))
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise _refused(self._folder, error) from error
        certificate, key = make_certificate(self._clock.now())
        self._write("certificate.pem", certificate)
        self._write("certificate.key", key)
        self._write("s3.json", config.identities(state))
        self._write("seaweed.json", config.write_state(state))  # last: with it, the store is made
        return state

    def _write(self, name: str, text: str) -> None:
        """Replace a file (0600) in one step, durably."""
        path = self._folder / name
        partial = path.with_name(f"{name}.new")
        try:
            partial.unlink(missing_ok=True)
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            raise _refused(path, error) from error

    def _watch(self) -> None:
        pid = self._process.pid()
        if pid is not None and pid != self._watched:
            self._watched = pid
            threading.Thread(target=self._await_end, args=(pid,), name="seaweed-watch", daemon=True).start()

    def _await_end(self, pid: int) -> None:
        await_end(pid)
        if not self._is_stopped:
            log.warning("seaweed_ended pid=%s", pid)
            for wake in self._wakes:
                wake()


def _target(state: config.State, key: config.KeyPair, project_id: str, bucket_id: str) -> StoreTarget:
    return StoreTarget(
        kind=StoreKind.S3,
        location=state.url,
        prefix=bucket_id,
        s3_bucket=config.s3_bucket(project_id),
        access_key_id=key.access_key_id,
        secret_access_key=key.secret_access_key,
    )


def _refused(path: Path, error: OSError) -> StorageFailed:
    return StorageFailed(
        f"The folder of the store cannot be written: {path}: {error.strerror or error}.",
        hint="Check its owner, its mode and the disk's free space.",
    )
