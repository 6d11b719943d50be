"""The same verbs for every kind: create, get, list, update, delete, stop, watch, events."""

from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from lepton_ai.api import changes, sse
from lepton_ai.api.access import Access, GuardedRoute, access_of
from lepton_ai.api.core import Core
from lepton_ai.types.base import LABELS_MAX, AnyObject, Label, Model, Name
from lepton_ai.types.event import Event
from lepton_ai.types.identity import Project

PAGE = 100
PAGE_MAX = 1000
KEY_MAX = 128

S = TypeVar("S", bound=Model)
Gate = Annotated[Access, Depends(access_of)]
IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", max_length=KEY_MAX)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]


class DraftMetadata(Model):
    """What a user may say of an object's metadata. Without a name, one is made."""

    name: Name | None = None
    labels: Annotated[dict[str, Label], Field(max_length=LABELS_MAX)] = {}


class Draft(Model, Generic[S]):
    """An object as a user asks for it."""

    kind: str = ""
    metadata: DraftMetadata = DraftMetadata()
    spec: S


def collection_path(kind: type[AnyObject], *, in_project: bool) -> str:
    """Return the URL of all objects of a kind."""
    return f"/api/v1/projects/{{project}}/{kind.PLURAL}" if in_project else f"/api/v1/{kind.PLURAL}"


def reading_routes(kind: type[AnyObject], *, in_project: bool) -> APIRouter:
    """Return get, list, watch and events of a kind."""
    path = collection_path(kind, in_project=in_project)
    router = APIRouter(prefix=path, route_class=GuardedRoute, tags=[kind.PLURAL])

    @router.get("", operation_id=f"{kind.KIND}.list")
    def list_objects(gate: Gate, limit: Limit = PAGE, before: str = "") -> dict[str, Any]:
        items = gate.core.store.page(kind, project_of(gate, in_project=in_project), before=before, limit=limit)
        return {"items": [shown(item) for item in items], "next": items[-1].id if len(items) == limit else ""}

    @router.get("/watch", operation_id=f"{kind.KIND}.watch")
    async def watch_objects(gate: Gate, since: int = -1) -> StreamingResponse:
        project = project_of(gate, in_project=in_project)
        return sse.respond(sse.watch(gate.core, kind, project, since, shown))

    @router.get("/{name}", operation_id=f"{kind.KIND}.get")
    def get_object(gate: Gate, name: str) -> kind:  # type: ignore[valid-type]
        return shown(changes.find(gate, kind, name, in_project=in_project))

    if kind is Project:
        return router  # `/projects/{project}/events` tells what happened in the project, which says more

    @router.get("/{name}/events", operation_id=f"{kind.KIND}.events")
    def list_object_events(gate: Gate, name: str, after: int = 0, limit: Limit = PAGE_MAX) -> dict[str, Any]:
        thing = changes.find(gate, kind, name, in_project=in_project)
        return event_page(list(gate.core.store.events(object_id=thing.id, after=after, limit=limit)), limit)

    return router


def changing_routes(kind: type[AnyObject], *, in_project: bool, may_stop: bool = False) -> APIRouter:
    """Return update and delete of a kind, and stop for those whose spec has `stop_requested`."""
    path = collection_path(kind, in_project=in_project)
    router = APIRouter(prefix=path, route_class=GuardedRoute, tags=[kind.PLURAL])

    @router.patch("/{name}", operation_id=f"{kind.KIND}.update")
    def patch_object(gate: Gate, name: str, patch: dict[str, Any], version: int = 0) -> kind:  # type: ignore[valid-type]
        return shown(changes.patch(gate, kind, name, patch, version=version, in_project=in_project))

    @router.delete("/{name}", operation_id=f"{kind.KIND}.delete", status_code=202)
    def delete_object(gate: Gate, name: str) -> kind:  # type: ignore[valid-type]
        return shown(changes.request_deletion(gate, kind, name, in_project=in_project))

    if may_stop:

        @router.post("/{name}/stop", operation_id=f"{kind.KIND}.stop", status_code=202)
        def stop_object(gate: Gate, name: str) -> kind:  # type: ignore[valid-type]
            patch = {"spec": {"stop_requested": True}}
            return shown(changes.patch(gate, kind, name, patch, version=0, in_project=in_project))

    return router


def creating_routes(kind: type[AnyObject], *, in_project: bool) -> APIRouter:
    """Return create and apply of a kind."""
    path = collection_path(kind, in_project=in_project)
    router = APIRouter(prefix=path, route_class=GuardedRoute, tags=[kind.PLURAL])
    spec: Any = kind.model_fields["spec"].annotation

    @router.post("", operation_id=f"{kind.KIND}.create", status_code=201)
    def create_object(gate: Gate, draft: Draft[spec], response: Response, key: IdempotencyKey = "") -> kind:  # type: ignore[valid-type]
        thing, is_new = changes.create(gate, kind, draft, key, in_project=in_project)
        response.status_code = 201 if is_new else 200
        return shown(thing)

    @router.put("/{name}", operation_id=f"{kind.KIND}.update", name=f"{kind.KIND}.apply")
    def apply_object(gate: Gate, name: Name, draft: Draft[spec], response: Response) -> kind:  # type: ignore[valid-type]
        thing, is_new = changes.apply(gate, kind, name, draft, in_project=in_project)
        response.status_code = 201 if is_new else 200
        return shown(thing)

    return router


def project_of(gate: Access, *, in_project: bool) -> str | None:
    """Return the project to look in; None looks in all."""
    return gate.project if in_project else None


def event_page(events: list[Event], limit: int) -> dict[str, Any]:
    """Return a page of events; the cursor is the number of the last one."""
    return {"items": events, "next": str(events[-1].seq) if len(events) == limit else ""}


def shown(thing: Any) -> Any:
    """Return the object as users may see it: without what is secret."""
    spec = thing.spec
    for field in ("sealed", "sha256"):
        if field in type(spec).model_fields:
            spec = spec.replace(**{field: ""})
    return thing.replace(spec=spec)


def routes_of_services(core: Core) -> list[APIRouter]:
    """Return the routes of every kind that the installed services bring."""
    routers = []
    for service in core.services.values():
        for kind in service.kinds:
            may_stop = "stop_requested" in kind.model_fields["spec"].annotation.model_fields  # type: ignore[union-attr]
            routers.append(reading_routes(kind, in_project=True))
            routers.append(creating_routes(kind, in_project=True))
            routers.append(changing_routes(kind, in_project=True, may_stop=may_stop))
    return routers
