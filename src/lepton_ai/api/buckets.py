"""What clients of a bucket get who may use it: where its objects lie, and the keys that open them. No content."""

from __future__ import annotations

import base64
from datetime import timedelta

from fastapi import APIRouter

from lepton_ai.api import changes
from lepton_ai.api.access import GuardedRoute
from lepton_ai.api.kinds import Gate
from lepton_ai.errors import Conflict, IntegrityFailed
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.types.bucket import Bucket, Grant, KeyVersion, PlainKeys, WrappedKey, WrappedKeys
from lepton_ai.types.identity import Project

LIFETIME = timedelta(minutes=15)  # bounds what one key opens, and what a role that was withdrawn still reaches


def routes() -> APIRouter:
    """Return the routes of grants and keys."""
    router = APIRouter(prefix="/api/v1/projects/{project}", route_class=GuardedRoute, tags=["buckets"])

    @router.post("/buckets/{name}/read", operation_id="bucket.read")
    def grant_reading(gate: Gate, name: str) -> Grant:
        """Tell where the objects of a bucket lie."""
        bucket, project_id = _find(gate, name)
        target = gate.core.object_stores.target(project_id, bucket.id, may_write=False)
        gate.core.store.record([gate.audit("bucket", bucket.name)])
        return Grant(project_id=project_id, bucket_id=bucket.id, target=target, lifetime=LIFETIME)

    @router.post("/buckets/{name}/write", operation_id="bucket.write")
    def grant_writing(gate: Gate, name: str) -> Grant:
        """Tell where the objects of a bucket lie, and give a fresh data key to seal more with."""
        bucket, project_id = _find(gate, name)
        if bucket.metadata.deletion_requested_at is not None:
            raise Conflict(f"The bucket {bucket.name!r} is being deleted.", hint="Wait until it is gone.")
        target = gate.core.object_stores.target(project_id, bucket.id, may_write=True)
        plain, wrapped = gate.core.keyring.make_data_key(project_id, bucket.id)
        key = WrappedKey(wrapped=_text(wrapped), plain=_text(plain))
        gate.core.store.record([gate.audit("bucket", bucket.name)])
        return Grant(project_id=project_id, bucket_id=bucket.id, target=target, lifetime=LIFETIME, data_key=key)

    @router.post("/buckets/{name}/keys", operation_id="bucket.unwrap")
    def unwrap_keys(gate: Gate, name: str, wanted: WrappedKeys) -> PlainKeys:
        """Unwrap data keys from headers of the bucket's objects; one that is not the bucket's comes back empty."""
        bucket, project_id = _find(gate, name)
        plain = []
        for wrapped in wanted.wrapped:
            try:
                plain.append(_text(gate.core.keyring.unwrap(project_id, bucket.id, base64.b64decode(wrapped))))
            except IntegrityFailed:
                plain.append("")
        opened = sum(map(bool, plain))
        gate.core.store.record([gate.audit("bucket", bucket.name, f"{opened} of {len(plain)} keys")])
        return PlainKeys(plain=tuple(plain))

    @router.post("/keys/rotate", operation_id="key.rotate")
    def rotate_key(gate: Gate) -> KeyVersion:
        """Make a new version of the project's key for all that is written from now on; nothing is rewritten."""
        version = gate.core.keyring.rotate(_project_id(gate))
        gate.core.store.record([gate.audit("project", gate.project, f"key version {version}")])
        return KeyVersion(version=version)

    return router


def _find(gate: Gate, name: str) -> tuple[Bucket, str]:
    return changes.find(gate, Bucket, name, in_project=True), _project_id(gate)


def _project_id(gate: Gate) -> str:
    return gate.core.store.find(Project, PLATFORM_PROJECT, gate.project).id


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
