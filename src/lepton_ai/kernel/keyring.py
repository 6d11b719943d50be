"""The key-encryption keys of projects: one sealed file each, with versions. Data keys are wrapped under them.

Rotation adds a version and rewrites nothing. To destroy a project's keys is to destroy whatever was sealed under them.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lepton_ai.errors import IntegrityFailed, StorageFailed
from lepton_ai.types.base import check_name

KEY_BYTES = 32
NONCE_BYTES = 12
WRAPPED_BYTES = 64  # version 4, nonce 12, key 32, tag 16
SUFFIX = ".keys"
CONDEMNED = ".condemned"


class Sealer(Protocol):
    """What keeps the project keys safe: `SecretBox` with the key of this machine, or a service for keys elsewhere."""

    def seal(self, plain: str, bound_to: str) -> str:
        """Return ciphertext that opens only together with the same `bound_to`."""

    def open(self, sealed: str, bound_to: str) -> str:
        """Return the plain text; raises StorageFailed if it cannot be opened."""


class Keyring:
    """Keeps project keys under `folder`. Safe for any number of threads of one process."""

    def __init__(self, folder: Path, sealer: Sealer) -> None:
        self._folder = folder
        self._sealer = sealer
        self._opened: dict[str, list[bytes]] = {}
        self._lock = threading.Lock()

    def make_data_key(self, project_id: str, scope: str) -> tuple[bytes, bytes]:
        """Return a fresh data key, plain and wrapped; `scope` (a bucket's id) must be named again to unwrap it."""
        with self._lock:
            keys = self._load(project_id) or self._add_version(project_id)
        plain, nonce = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
        version = struct.pack(">I", len(keys))
        return plain, version + nonce + AESGCM(keys[-1]).encrypt(nonce, plain, _bound_to(project_id, scope, version))

    def unwrap(self, project_id: str, scope: str, wrapped: bytes) -> bytes:
        """Return the plain data key; raises IntegrityFailed if it was not wrapped here for that project and scope."""
        with self._lock:
            keys = self._load(project_id)
        version = int.from_bytes(wrapped[:4], "big")
        if len(wrapped) != WRAPPED_BYTES or not 1 <= version <= len(keys):
            raise _foreign()
        nonce, sealed = wrapped[4 : 4 + NONCE_BYTES], wrapped[4 + NONCE_BYTES :]
        try:
            return AESGCM(keys[version - 1]).decrypt(nonce, sealed, _bound_to(project_id, scope, wrapped[:4]))
        except InvalidTag as error:
            raise _foreign() from error

    def rotate(self, project_id: str) -> int:
        """Add a version, which wraps from now on, and return its number. Older ones go on unwrapping."""
        with self._lock:
            return len(self._add_version(project_id))

    def condemn(self, project_id: str) -> None:
        """Mark a project's keys for destruction: call `shred` once its deletion is committed."""
        with _translated(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self._folder / f"{check_name(project_id)}{CONDEMNED}").touch(mode=0o600)

    def shred(self, project_id: str) -> None:
        """Destroy a project's keys for ever; nothing if it has none."""
        path = self._path(project_id)
        with self._lock, _translated(path):
            self._opened.pop(project_id, None)
            with contextlib.suppress(FileNotFoundError):
                size = path.stat().st_size
                with path.open("r+b") as file:  # before the name goes: some file systems write in place
                    file.write(bytes(size))
                    file.flush()
                    os.fsync(file.fileno())
                path.unlink()
                _sync_folder(self._folder)
            (self._folder / f"{project_id}{CONDEMNED}").unlink(missing_ok=True)

    def settle(self, is_live: Callable[[str], bool]) -> None:
        """Finish what a dying core left: shred the condemned whose projects are gone, pardon the others."""
        for mark in self._folder.glob(f"*{CONDEMNED}"):
            project_id = mark.name.removesuffix(CONDEMNED)
            if is_live(project_id):
                mark.unlink(missing_ok=True)
            else:
                self.shred(project_id)

    def _load(self, project_id: str) -> list[bytes]:
        """Return the project's keys, oldest first; none if it never had any."""
        if project_id not in self._opened:
            path = self._path(project_id)
            with _translated(path):
                try:
                    sealed = json.loads(path.read_text())
                except FileNotFoundError:
                    return []
                except ValueError as error:
                    raise StorageFailed(f"{path} is damaged.", hint="Restore it from a backup.") from error
            opened = [self._sealer.open(one, _sealed_as(project_id, nth)) for nth, one in enumerate(sealed, 1)]
            self._opened[project_id] = [base64.b64decode(one) for one in opened]
        return self._opened[project_id]

    def _add_version(self, project_id: str) -> list[bytes]:
        """Make one key more, on the disk before it is used."""
        keys = [*self._load(project_id), os.urandom(KEY_BYTES)]
        path = self._path(project_id)
        sealed = [
            self._sealer.seal(base64.b64encode(key).decode(), _sealed_as(project_id, nth))
            for nth, key in enumerate(keys, 1)
        ]
        partial = path.with_name(f"{path.name}.new")
        with _translated(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial.unlink(missing_ok=True)
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(json.dumps(sealed))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            _sync_folder(path.parent)
        self._opened[project_id] = keys
        return keys

    def _path(self, project_id: str) -> Path:
        return self._folder / f"{check_name(project_id)}{SUFFIX}"


def _bound_to(project_id: str, scope: str, version: bytes) -> bytes:
    return f"lepton-ai data key\0{project_id}\0{scope}\0".encode() + version


def _sealed_as(project_id: str, version: int) -> str:
    return f"keyring/{project_id}/{version}"


def _foreign() -> IntegrityFailed:
    return IntegrityFailed(
        "The key in the object's header is not one of its bucket's: the object was changed or moved, or its keys were "
        "destroyed.",
        hint="Restore the object from a copy; after a restore of the state folder, restore `keyring` with it.",
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageFailed(
            f"The keys {path} cannot be kept or read: {error.strerror or error}.",
            hint="Check the owner, the mode and the free space of its folder.",
        ) from error
