"""The platform itself: status, nodes, resources, events, audit, and its end."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse

from lepton_ai.api import changes, sse
from lepton_ai.api.access import Access, GuardedRoute
from lepton_ai.api.kinds import PAGE, After, Gate, Limit, Version, event_page, reading_routes
from lepton_ai.api.merge_patch import Patch
from lepton_ai.api.openapi import Listing
from lepton_ai.api.resources import resources
from lepton_ai.api.standby import lease_status
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.kernel.usage import usages
from lepton_ai.types.base import Model
from lepton_ai.types.event import AuditRecord, Event
from lepton_ai.types.identity import Project
from lepton_ai.types.node import Node
from lepton_ai.types.operation import may
from lepton_ai.types.resource_view import ResourceView
from lepton_ai.types.share import ProjectUsage
from lepton_ai.types.task import Task, TaskState
from lepton_ai.version import VERSION

_MADE = frozenset({"created", "submitted"})  # how the story of an object begins; old events are dropped some day


class Draining(Model):
    """How many seconds what runs on a node has to leave it; what is left then is stopped."""

    seconds: Annotated[float, Field(ge=0, le=30 * 86400)] = 3600.0


class Shutdown(Model):
    """How to end: replicas may run on under their supervisors, or be stopped first."""

    stop_replicas: bool = True


def routes() -> list[APIRouter]:
    """Return the routes of the platform."""
    return [_about(), reading_routes(Node, in_project=False), _nodes(), _events(), _end()]


def _about() -> APIRouter:
    router = APIRouter(prefix="/api/v1", route_class=GuardedRoute, tags=["platform"])

    @router.get("/status", operation_id="status.get")
    def status(gate: Gate) -> dict[str, Any]:
        """Tell how the core and its data plane are, and how much waits and runs."""
        core = gate.core
        tasks = core.live(Task)
        waiting = sum(task.status.state is TaskState.WAITING for task in tasks)
        return {
            "url": core.url,
            "version": VERSION,
            "core": {"pid": core.pid, "started_at": core.started_at, "state": "ready"},
            "data_plane": core.data_plane_state(),
            "database": core.store.dialect,
            "services": sorted(core.services),
            "counts": {
                "nodes": len(core.live(Node)),
                "tasks_waiting": waiting,
                "tasks_running": len(tasks) - waiting,
            },
            "home": str(core.home),
            "lease": lease_status(core.lease) if core.lease is not None else None,
        }

    @router.get("/whoami", operation_id="whoami.get")
    def whoami(gate: Gate) -> dict[str, Any]:
        """Tell who the token speaks for, and their roles."""
        return {"user": gate.caller.user, "roles": gate.caller.roles}

    @router.get("/resources", operation_id="resource.list", responses={200: {"model": Listing[ResourceView]}})
    def list_resources(gate: Gate) -> dict[str, Any]:
        """Return every node's CPUs and devices, with what is measured and what is allocated of them."""
        return {"items": resources(gate.core, gate.caller)}

    @router.get("/usage", operation_id="project.usage", responses={200: {"model": Listing[ProjectUsage]}})
    def list_usage(gate: Gate) -> dict[str, Any]:
        """Return what each project holds, may hold and has used up, by name; those below it count in it."""
        core = gate.core
        world = (core.live(Project), core.live(Task), core.live(Node))
        items = usages(*world, core.store.spent(), core.clock.now())
        return {"items": [one for one in items if may(gate.caller.roles, "event.list", one.project)]}

    @router.get("/audit", operation_id="audit.list", responses={200: {"model": Listing[AuditRecord]}})
    def list_audit(gate: Gate, after: After = 0, limit: Limit = PAGE) -> dict[str, Any]:
        """Return who changed what and who was refused, oldest first."""
        records = gate.core.store.audit_records(after=after, limit=limit)
        return {"items": records, "next": str(records[-1].seq) if len(records) == limit else ""}

    return router


def _nodes() -> APIRouter:
    router = APIRouter(prefix="/api/v1/nodes", route_class=GuardedRoute, tags=["nodes"])

    @router.patch("/{name}", operation_id="node.update")
    def patch_node(gate: Gate, name: str, patch: dict[str, Any], version: Version = 0) -> Node:
        """Cordon a node, so that it gets nothing new, or take that back."""
        return changes.patch(gate, Node, name, Patch(patch, version), in_project=False)

    @router.post("/{name}/drain", operation_id="node.drain")
    def drain_node(gate: Gate, name: str, wish: Draining | None = None) -> Node:
        """Give a node nothing new and have what runs there leave; a patch of `drain_by` to null takes that back."""
        by = gate.core.clock.now() + timedelta(seconds=(wish or Draining()).seconds)
        wanted = Patch({"spec": {"cordoned": True, "drain_by": by.isoformat()}}, 0)
        return changes.patch(gate, Node, name, wanted, in_project=False)

    return router


def _events() -> APIRouter:
    router = APIRouter(prefix="/api/v1/projects/{project}/events", route_class=GuardedRoute, tags=["events"])

    @router.get("", operation_id="event.list", response_model=None, responses={200: {"model": Listing[Event]}})
    def list_events(
        gate: Gate,
        after: After = 0,
        limit: Limit = PAGE,
        newest: bool = False,
        follow: bool = False,
    ) -> dict[str, Any] | StreamingResponse:
        """Return what happened in the project, oldest first; with `follow`, as server-sent events for ever."""
        after = max(after, _beginning(gate))
        if follow:
            return sse.respond(sse.follow_events(gate.core, gate.project, after), gate)
        return event_page(list(gate.core.store.events(gate.project, after=after, limit=limit, newest=newest)), limit)

    return router


def _beginning(gate: Access) -> int:
    """Return the cursor at which the project began: an earlier one of that name is not this one's to tell of."""
    project = gate.core.store.look_up(Project, PLATFORM_PROJECT, gate.project)
    first = gate.core.store.events(object_id=project.id, limit=1) if project else ()
    return first[0].seq if first and first[0].code in _MADE else 0


def _end() -> APIRouter:
    router = APIRouter(prefix="/api/v1/shutdown", route_class=GuardedRoute, tags=["platform"])

    @router.post("", operation_id="platform.shutdown", status_code=202)
    def shut_down(gate: Gate, wish: Shutdown | None = None) -> JSONResponse:
        """End the platform; replicas are stopped first, or run on under their supervisors."""
        wish = wish or Shutdown()
        detail = "with replicas" if wish.stop_replicas else "replicas run on"
        gate.core.store.record([gate.audit("platform", "core", detail)])
        task = BackgroundTask(gate.core.shut_down, wish.stop_replicas)
        return JSONResponse({"state": "stopping"}, status_code=202, background=task)

    return router
