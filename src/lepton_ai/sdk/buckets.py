"""The buckets of a project: create, list, delete, and hold one."""

from __future__ import annotations

import builtins
from typing import cast

from pydantic import JsonValue

from lepton_ai.sdk.bucket_handle import BucketHandle
from lepton_ai.sdk.collection import Collection, project_path, read
from lepton_ai.sdk.connection import Call, Connection
from lepton_ai.sdk.identities import Kind
from lepton_ai.sdk.listing import Columns
from lepton_ai.types.bucket import Bucket, KeyVersion


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

    def handle(self, name: str) -> BucketHandle:
        """Return a handle of one bucket; nothing is asked before its first use."""
        return self._handles.setdefault(name, BucketHandle(self.collection, name))

    def rotate_key(self) -> int:
        """Give the project a new version of its key, for what is written from now on; return its number."""
        path = f"{project_path(self.collection.project)}/keys/rotate"
        return read(KeyVersion, self.collection.connection.fetch(Call("POST", path))).version
