"""Versions of checkpoints in the object store, sealed with the project's key: each is there once its manifest is."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from lepton_ai.errors import StorageFailed
from lepton_ai.kernel.keyring import Keyring
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.kernel.object_stores import ObjectStores
from lepton_ai.kernel.store import Store
from lepton_ai.object_store.opening import OpenStore
from lepton_ai.object_store.reading import ObjectFile, read_whole
from lepton_ai.sealing.header import SALT_BYTES, VERSION_BYTES, DataKey, Place
from lepton_ai.sealing.sealer import PART_BYTES, Sealer
from lepton_ai.types.checkpoint import FoundFile, Manifest, StoredFile
from lepton_ai.types.identity import Project
from lepton_ai.types.task import Task

NUMBER_DIGITS = 9  # so that names of manifests sort as their numbers do


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose versions: those of one of an owner's tasks, through all its attempts."""

    project: str
    owner_id: str
    index: int

    @property
    def manifests(self) -> str:
        return f"{self.index}/manifests/"

    @property
    def content(self) -> str:
        return f"{self.index}/content/"

    def manifest_name(self, number: int) -> str:
        """Return the name of the object that makes version `number` complete."""
        return f"{self.manifests}{number:0{NUMBER_DIGITS}d}"


def scope_of(task: Task) -> Scope:
    """Return where the versions of a task are kept."""
    return Scope(task.project, task.metadata.owner_id, task.spec.index)


class Vault:
    """Puts and gets versions. An owner's versions lie in the store as a bucket's objects do, under the owner's id."""

    def __init__(self, keyring: Keyring, stores: ObjectStores, store: Store) -> None:
        self._keyring = keyring
        self._stores = stores
        self._store = store

    def manifests(self, scope: Scope) -> list[Manifest]:
        """Return the complete versions, oldest first; raises StorageFailed, IntegrityFailed."""
        access = self._access(scope, may_write=False)
        names = sorted(one.name for one in access.store.each(scope.manifests))
        return [_manifest(access, name) for name in names]

    def manifest(self, scope: Scope, number: int) -> Manifest:
        """Return one complete version; raises NotFound, IntegrityFailed, StorageFailed."""
        return _manifest(self._access(scope, may_write=False), scope.manifest_name(number))

    def put_files(
        self, scope: Scope, files: Sequence[FoundFile], open_file: Callable[[FoundFile], BinaryIO]
    ) -> tuple[StoredFile, ...]:
        """Store the content of a version under names that nobody else has; it is nothing without a manifest."""
        access = self._access(scope, may_write=True)
        upload = uuid.uuid4().hex
        return tuple(
            self._put_file(access, f"{scope.content}{upload}/{nth}", file, open_file) for nth, file in enumerate(files)
        )

    def put_manifest(self, scope: Scope, manifest: Manifest) -> None:
        """Make a version complete; raises Conflict if another one has its number."""
        access = self._access(scope, may_write=True)
        name = scope.manifest_name(manifest.checkpoint.number)
        sealed, _ = access.sealer(name)
        access.store.put_new(name, sealed.seal(manifest.model_dump_json().encode()))

    def open(self, scope: Scope, file: StoredFile) -> BinaryIO:
        """Return one file of a version to read; raises NotFound, IntegrityFailed, Conflict, StorageFailed."""
        access = self._access(scope, may_write=False)
        opened = ObjectFile(access, file.object_name, file.object_version)
        if opened.size != file.size:
            raise StorageFailed(f"{file.path!r} has {opened.size} bytes in the store, not {file.size}.")
        return io.BufferedReader(opened, buffer_size=PART_BYTES)

    def prune(self, scope: Scope, kept: Sequence[Manifest]) -> None:
        """Delete every version but these, and whatever was put without ever becoming one.

        Manifests go first, so that no version is ever offered of which something is gone.
        """
        store = self._access(scope, may_write=True).store
        wanted = {scope.manifest_name(one.checkpoint.number) for one in kept}
        contents = {file.object_name for one in kept for file in one.files}
        store.delete([one.name for one in store.each(scope.manifests) if one.name not in wanted])
        store.delete([one.name for one in store.each(scope.content) if one.name not in contents])

    def _put_file(
        self, access: _Access, name: str, file: FoundFile, open_file: Callable[[FoundFile], BinaryIO]
    ) -> StoredFile:
        sealer, version = access.sealer(name)
        with open_file(file) as source:
            parts = sealer.parts(source)
            # One part goes in one request; more than one never lie in memory as a whole.
            access.store.put(name, bytearray().join(parts) if file.size <= PART_BYTES else parts)
        return StoredFile(path=file.path, size=file.size, object_name=name, object_version=version.hex())

    def _access(self, scope: Scope, *, may_write: bool) -> _Access:
        project_id = self._store.find(Project, PLATFORM_PROJECT, scope.project).id
        target = self._stores.target(project_id, scope.owner_id, may_write=may_write)
        return _Access(self._keyring, project_id, scope.owner_id, OpenStore(target))


@dataclass(frozen=True, slots=True)
class _Access:
    """The core's own way to the objects of one owner: it has the keys at hand."""

    keyring: Keyring
    project_id: str
    owner_id: str
    store: OpenStore

    def place(self, name: str) -> Place:
        return Place(self.project_id, self.owner_id, name)

    def plain_key(self, wrapped: bytes, name: str) -> bytes:
        return self.keyring.unwrap(self.project_id, self.owner_id, wrapped)

    def sealer(self, name: str) -> tuple[Sealer, bytes]:
        """Return what seals a new object, and the version that it will have."""
        plain, wrapped = self.keyring.make_data_key(self.project_id, self.owner_id)
        version = os.urandom(VERSION_BYTES)
        key = DataKey(wrapped, plain)
        return Sealer(key, self.place(name), version=version, salt=os.urandom(SALT_BYTES)), version


def _manifest(access: _Access, name: str) -> Manifest:
    try:
        return Manifest.model_validate_json(read_whole(access, name, ""))
    except ValueError as error:
        raise StorageFailed(f"The manifest {name} of a checkpoint cannot be read: {error}.") from error
