"""The buckets of a project: create, list, delete, and hold one."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, cast

from pydantic import JsonValue

from lepton_ai.sdk.collection import Collection, project_path, read
from lepton_ai.sdk.connection import Call, Connection
from lepton_ai.sdk.identities import Kind
from lepton_ai.sdk.listing import Columns
from lepton_ai.types.bucket import Bucket, KeyVersion

if TYPE_CHECKING:
    from lepton_ai.sdk.bucket_handle import BucketHandle


class Buckets(Kind[Bucket]):
    """`lepton.buckets`."""

    def __init__(self, connection: Connection, project: str) -> None:
        columns: Columns[Bucket] = Columns(
            ("bucket", "state", "what for"), lambda one: (one.name, one.status.state.value, one.spec.description)
        )
        super().__init__(Collection(connection, Bucket, project), columns)
        self._handles: builtins.dict[str, BucketHandle] = {}

    def create(self, name: str, *, description: str = "") -> Bucket:
        """Make a bucket; raises Conflict if the project has one of that name."""
        draft = {"metadata": {"name": name}, "spec": {"description": description}}
        return self.collection.create(cast(JsonValue, draft))

    def delete(self, name: str) -> Bucket:
        """Delete the bucket and all that it holds, for good, and return it as it was."""
        self._handles.pop(name, None)  # it knows the place of the bucket that goes, not of a later one of that name
        return super().delete(name)

    def handle(self, name: str) -> BucketHandle:
        """Return a handle of one bucket; nothing is asked before its first use."""
        from lepton_ai.sdk.bucket_handle import BucketHandle  # brings the cipher: 30 ms that most programs never need

        return self._handles.setdefault(name, BucketHandle(self.collection, name))

    def rotate_key(self) -> int:
        """Give the project a new version of its key, for what is written from now on; return its number."""
        path = f"{project_path(self.collection.project)}/keys/rotate"
        return read(KeyVersion, self.collection.connection.fetch(Call("POST", path))).version
