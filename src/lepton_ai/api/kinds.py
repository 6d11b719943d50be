"""The same verbs for every kind: create, get, list, update, delete, stop, watch, events."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse

from lepton_ai.api import changes, sse
from lepton_ai.api.access import Access, GuardedRoute, access_of
from lepton_ai.api.batch import batch_routes
from lepton_ai.api.core import Core
from lepton_ai.api.drafts import Draft, NewName
from lepton_ai.api.merge_patch import Patch
from lepton_ai.api.openapi import Listing
from lepton_ai.types.base import AnyObject
from lepton_ai.types.event import Event
from lepton_ai.types.identity import Project
from lepton_ai.types.operation import may

PAGE = 100
PAGE_MAX = 1000
KEY_MAX = 128
NUMBER_MAX = 2**63 - 1  # the largest that databases hold

Gate = Annotated[Access, Depends(access_of)]
IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", max_length=KEY_MAX)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
After = Annotated[int, Query(ge=0, le=NUMBER_MAX)]
Before = Annotated[str, Query(pattern="^[a-z0-9-]{0,64}$")]
Since = Annotated[int, Query(ge=-1, le=NUMBER_MAX)]
Version = Annotated[int, Query(ge=0, le=NUMBER_MAX)]


def collection_path(kind: type[AnyObject], *, in_project: bool) -> str:
    """Return the URL of all objects of a kind."""
    return f"/api/v1/projects/{{project}}/{kind.PLURAL}" if in_project else f"/api/v1/{kind.PLURAL}"


def reading_routes(kind: type[AnyObject], *, in_project: bool) -> APIRouter:
    """Return get, list, watch and events of a kind."""
    path = collection_path(kind, in_project=in_project)
    router = APIRouter(prefix=path, route_class=GuardedRoute, tags=[kind.PLURAL])

    page: Any = Listing[kind]  # type: ignore[valid-type]

    @router.get("", operation_id=f"{kind.KIND}.list", responses={200: {"model": page}})
    def list_objects(gate: Gate, limit: Limit = PAGE, before: Before = "") -> dict[str, Any]:
        """Return one page, newest first."""
        items = gate.core.store.page(kind, project_of(gate, in_project=in_project), before=before, limit=limit)
        return {
            "items": [shown(item) for item in items if is_visible(gate, item)],
            "next": items[-1].id if len(items) == limit else "",
        }

    @router.get("/watch", operation_id=f"{kind.KIND}.watch")
    async def watch_objects(gate: Gate, since: Since = -1, name: Before = "") -> StreamingResponse:
        """Send every object, or the one of a name or id, as it is put or deleted; without `since`, first the live."""

        def is_asked_for(thing: AnyObject) -> bool:
            return name in {"", thing.name, thing.id} and is_visible(gate, thing)

        scope = sse.Watched(kind, project_of(gate, in_project=in_project), is_asked_for)
        return sse.respond(sse.watch(gate.core, scope, since, shown), gate)

    @router.get("/{name}", operation_id=f"{kind.KIND}.get", response_model=kind)
    def get_object(gate: Gate, name: str) -> Any:
        """Return one by name or id; of several with that name, the live one or else the newest."""
        return shown(find_visible(gate, kind, name, in_project=in_project))

    if kind is Project:
        return router  # `/projects/{project}/events` tells what happened in the project, which says more

    @router.get("/{name}/events", operation_id=f"{kind.KIND}.events", responses={200: {"model": Listing[Event]}})
    def list_object_events(gate: Gate, name: str, after: After = 0, limit: Limit = PAGE_MAX) -> dict[str, Any]:
        """Return what happened to it, oldest first."""
        thing = changes.find(gate, kind, name, in_project=in_project)
        return event_page(list(gate.core.store.events(object_id=thing.id, after=after, limit=limit)), limit)

    return router


def changing_routes(kind: type[AnyObject], *, in_project: bool, may_stop: bool = False) -> APIRouter:
    """Return update of a kind, and stop for those whose spec has `stop_requested`."""
    path = collection_path(kind, in_project=in_project)
    router = APIRouter(prefix=path, route_class=GuardedRoute, tags=[kind.PLURAL])

    @router.patch("/{name}", operation_id=f"{kind.KIND}.update", response_model=kind)
    def patch_object(gate: Gate, name: str, patch: dict[str, Any], version: Version = 0) -> Any:
        """Merge into spec and labels (RFC 7396); with `version`, only if it was not changed since."""
        return shown(changes.patch(gate, kind, name, Patch(patch, version), in_project=in_project))

    if may_stop:

        @router.post("/{name}/stop", operation_id=f"{kind.KIND}.stop", status_code=202, response_model=kind)
        def stop_object(gate: Gate, name: str) -> Any:
            """Ask for a graceful end; it stays to be looked at."""
            patch = Patch({"spec": {"stop_requested": True}})
            return shown(changes.patch(gate, kind, name, patch, in_project=in_project))

    return router


def deleting_routes(kind: type[AnyObject], *, in_project: bool) -> APIRouter:
    """Return delete of a kind."""
    path = collection_path(kind, in_project=in_project)
    router = APIRouter(prefix=path, route_class=GuardedRoute, tags=[kind.PLURAL])

    @router.delete("/{name}", operation_id=f"{kind.KIND}.delete", status_code=202, response_model=kind)
    def delete_object(gate: Gate, name: str) -> Any:
        """Ask for its end and removal; it goes away once nothing of it runs."""
        return shown(changes.request_deletion(gate, kind, name, in_project=in_project))

    return router


def creating_routes(kind: type[AnyObject], *, in_project: bool) -> APIRouter:
    """Return create and apply of a kind."""
    path = collection_path(kind, in_project=in_project)
    router = APIRouter(prefix=path, route_class=GuardedRoute, tags=[kind.PLURAL])
    spec: Any = kind.model_fields["spec"].annotation

    @router.post("", operation_id=f"{kind.KIND}.create", status_code=201, response_model=kind)
    def create_object(gate: Gate, draft: Draft[spec], response: Response, key: IdempotencyKey = "") -> Any:
        """Make one. The same Idempotency-Key makes no second one."""
        thing, is_new = changes.create(gate, kind, draft, key, in_project=in_project)
        response.status_code = 201 if is_new else 200
        return shown(thing)

    @router.put("/{name}", operation_id=f"{kind.KIND}.apply", response_model=kind)
    def apply_object(gate: Gate, name: NewName, draft: Draft[spec], response: Response) -> Any:
        """Make it, or bring the live one of that name to the draft."""
        thing, is_new = changes.apply(gate, kind, name, draft, in_project=in_project)
        response.status_code = 201 if is_new else 200
        return shown(thing)

    return router


def project_of(gate: Access, *, in_project: bool) -> str | None:
    """Return the project to look in; None looks in all."""
    return gate.project if in_project else None


def is_visible(gate: Access, thing: AnyObject) -> bool:
    """Tell whether the caller may know of it: of projects, only those in which they hold a role."""
    return not isinstance(thing, Project) or may(gate.caller.roles, "event.list", thing.name)


def find_visible(gate: Access, kind: type[AnyObject], name: str, *, in_project: bool) -> Any:
    """Return the object; raises NotFound, in the same words, if there is none or the caller may not know of it."""
    found = changes.find(gate, kind, name, in_project=in_project)
    if not is_visible(gate, found):
        raise changes.missing(gate, kind, name, in_project=in_project)
    return found


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
            in_project = service.in_project
            routers.append(reading_routes(kind, in_project=in_project))
            routers.append(creating_routes(kind, in_project=in_project))
            if in_project:
                routers.append(batch_routes(kind, shown))
            routers.append(changing_routes(kind, in_project=in_project, may_stop=may_stop))
            routers.append(deleting_routes(kind, in_project=in_project))
    return routers
