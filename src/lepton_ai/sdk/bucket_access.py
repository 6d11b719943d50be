"""What a client holds of one bucket: the open store, the key that it seals with, and the keys that it asked for."""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from typing import TYPE_CHECKING

from lepton_ai.errors import Forbidden, IntegrityFailed
from lepton_ai.sdk.collection import Collection, read
from lepton_ai.sdk.connection import Call
from lepton_ai.sealing.header import DataKey, Place
from lepton_ai.types.bucket import Bucket, Grant, PlainKeys

if TYPE_CHECKING:
    from lepton_ai.object_store.opening import OpenStore

KEYS_KEPT_MAX = 100_000  # unwrapped keys of 64 + 32 bytes: about 30 MB


class BucketAccess:
    """Asks the core as seldom as it can: for each grant every 15 minutes, once for each key. Safe for threads."""

    def __init__(self, collection: Collection[Bucket], bucket: str) -> None:
        self._collection = collection
        self._bucket = bucket
        self._lock = threading.Lock()
        self._grant: Grant | None = None
        self._ends_at = 0.0  # by the monotonic clock
        self._store: OpenStore | None = None
        self._data_key: DataKey | None = None
        self._plain: dict[bytes, bytes] = {}

    @property
    def store(self) -> OpenStore:
        """The open store of the bucket."""
        self._granted()
        assert self._store is not None
        return self._store

    def place(self, name: str) -> Place:
        """Return what an object of that name is bound to."""
        grant = self._granted()
        return Place(grant.project_id, grant.bucket_id, name)

    def data_key(self) -> DataKey:
        """Return the key to seal with now."""
        with self._lock:
            if self._data_key is None or self._ends_at < time.monotonic():
                self._ask("write")
            assert self._data_key is not None
            return self._data_key

    def plain_key(self, wrapped: bytes, name: str) -> bytes:
        """Return the data key that an object's header carries; raises IntegrityFailed if it is not the bucket's."""
        with self._lock:
            if wrapped not in self._plain:
                if len(self._plain) >= KEYS_KEPT_MAX:
                    self._plain.clear()
                self._plain[wrapped] = self._unwrap(wrapped)
            plain = self._plain[wrapped]
        if not plain:
            raise IntegrityFailed(
                f"The key of the object {name!r} is not one of its bucket's: it was changed or moved there.",
                hint="Restore the object from a copy.",
            )
        return plain

    def _granted(self) -> Grant:
        with self._lock:
            if self._grant is not None and self._ends_at >= time.monotonic():
                return self._grant
            if self._data_key is not None:  # some thread may be in the middle of a put
                with contextlib.suppress(Forbidden):
                    return self._ask("write")
            return self._ask("read")

    def _ask(self, access: str) -> Grant:
        from lepton_ai.object_store.opening import OpenStore

        path = self._collection.path_of(self._bucket, access)
        # Asking twice does no harm.
        grant = read(Grant, self._collection.connection.fetch(Call("POST", path, key=access)))
        if self._grant is None or self._grant.target != grant.target:
            self._store = OpenStore(grant.target)
        self._grant, self._data_key = grant, _data_key_of(grant)
        if self._data_key is not None:
            self._plain[self._data_key.wrapped] = self._data_key.plain
        self._ends_at = time.monotonic() + grant.lifetime.total_seconds()
        return grant

    def _unwrap(self, wrapped: bytes) -> bytes:
        call = Call(
            "POST",
            self._collection.path_of(self._bucket, "keys"),
            body={"wrapped": [base64.b64encode(wrapped).decode()]},
            key="keys",
        )
        return base64.b64decode(read(PlainKeys, self._collection.connection.fetch(call)).plain[0])


def _data_key_of(grant: Grant) -> DataKey | None:
    key = grant.data_key
    return None if key is None else DataKey(base64.b64decode(key.wrapped), base64.b64decode(key.plain))
