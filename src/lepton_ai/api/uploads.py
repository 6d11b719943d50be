"""Bundles and pickled calls on their way in: streamed to disk, kept only if the digest is right."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import contextmanager_in_threadpool
from starlette.concurrency import run_in_threadpool

from lepton_ai.api.access import GuardedRoute
from lepton_ai.api.kinds import Gate
from lepton_ai.errors import NotFound


def routes() -> APIRouter:
    """Return the routes of uploads."""
    router = APIRouter(prefix="/api/v1/projects/{project}/blobs", route_class=GuardedRoute, tags=["blobs"])

    @router.head("/{digest}", operation_id="blob.has")
    def has_blob(gate: Gate, digest: str) -> Response:
        """Tell whether the project has uploaded it."""
        if not gate.core.uploads.has(gate.project, digest):
            raise NotFound(f"Project {gate.project!r} has not uploaded {digest}.", hint="Upload it: PUT to this URL")
        return Response()

    @router.put("/{digest}", operation_id="blob.put", status_code=201)
    async def put_blob(gate: Gate, digest: str, request: Request) -> dict[str, str]:
        """Upload a bundle or a pickled call; it is kept only if its digest is right."""
        # In a thread: keeping a blob waits until the disk has it, and everybody else would wait with it.
        async with contextmanager_in_threadpool(gate.core.uploads.receive(gate.project, digest)) as writer:
            async for chunk in request.stream():
                await run_in_threadpool(writer.write, chunk)
        record = gate.audit("blob", digest[:20])
        await run_in_threadpool(gate.core.store.record, [record])
        return {"digest": digest}

    return router
