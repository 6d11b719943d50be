"""All objects of one kind, with the verbs that every kind has: written once, for all of them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, JsonValue, ValidationError

from lepton_ai.errors import InvalidInput, Unavailable
from lepton_ai.sdk.connection import Call, Connection
from lepton_ai.sdk.follow import follow
from lepton_ai.sdk.listing import Columns, Listing
from lepton_ai.sdk.server_events import OPENED, PING, ServerEvent
from lepton_ai.types.base import AnyObject
from lepton_ai.types.event import Event
from lepton_ai.types.explanation import Explanation

PAGE = 100
PAGE_MAX = 1000
NAME_MAX = 255
BATCH_MAX = 500  # 500 x 2 kB = 1 MB, a quarter of what a core takes by default
EVENT_COLUMNS: Columns[Event] = Columns(
    ("at", "object", "event", "what happened"),
    lambda event: (f"{event.at:%H:%M:%S}", f"{event.kind} {event.object_name}", event.code, event.sentence),
)

K = TypeVar("K", bound=AnyObject)
M = TypeVar("M", bound=BaseModel)


class ChangeKind(StrEnum):
    """What happened to an object that is watched."""

    PUT = "put"  # made or changed
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Change(Generic[K]):
    """One change of one object. `revision` is the cursor to watch on from."""

    kind: ChangeKind
    object: K
    revision: str


class Collection(Generic[K]):
    """The objects of one kind, in one project or (`project` empty) over the whole platform."""

    def __init__(self, connection: Connection, kind: type[K], project: str = "") -> None:
        self.connection = connection
        self.kind = kind
        self.project = project
        self.path = f"{project_path(project)}/{kind.PLURAL}" if project else f"/api/v1/{kind.PLURAL}"

    def path_of(self, name: str, *more: str) -> str:
        """Return the URL path of one object, by name or id; raises InvalidInput for what cannot be a name."""
        return "/".join((self.path, segment(name, self.kind.KIND), *more))

    def get(self, name: str) -> K:
        """Return one object by name or id; raises NotFound."""
        return self._fetch(Call("GET", self.path_of(name)))

    def page(self, *, limit: int = PAGE, before: str = "") -> tuple[Sequence[K], str]:
        """Return at most `limit` objects, newest first, and the cursor of the next page (empty at the end)."""
        params: dict[str, str | int] = {"limit": limit, **({"before": before} if before else {})}
        items, following = read_page(self.connection, Call("GET", self.path, params))
        return [read(self.kind, item) for item in items], following

    def each(self) -> Iterator[K]:
        """Yield every object, newest first, page by page."""
        cursor = ""
        while True:
            items, cursor = self.page(limit=PAGE_MAX, before=cursor)
            yield from items
            if not cursor:
                return

    def create(self, draft: JsonValue) -> K:
        """Make an object. The request carries a fresh idempotency key, so that a repeat makes no second one."""
        return self._fetch(Call("POST", self.path, body=draft, key=new_key()))

    def create_many(self, drafts: Sequence[JsonValue]) -> list[K]:
        """Make objects, at most BATCH_MAX in one transaction: of each such part, all are made or none."""
        made: list[K] = []
        for start in range(0, len(drafts), BATCH_MAX):
            body: JsonValue = {"items": list(drafts[start : start + BATCH_MAX])}
            items, _ = read_page(self.connection, Call("POST", f"{self.path}:batch", body=body, key=new_key()))
            made += [read(self.kind, item) for item in items]
        return made

    def put(self, name: str, draft: JsonValue) -> K:
        """Create the object, or bring the one of that name to `draft`."""
        return self._fetch(Call("PUT", self.path_of(name), body=draft))

    def update(self, name: str, patch: JsonValue, *, version: int = 0) -> K:
        """Merge `patch` (RFC 7396) into the object; with a `version`, only if nobody changed it since."""
        params: Mapping[str, str | int] = {"version": version} if version else {}
        return self._fetch(Call("PATCH", self.path_of(name), params, body=patch))

    def delete(self, name: str) -> K:
        """Ask for the object's end; it goes away once nothing of it runs."""
        return self._fetch(Call("DELETE", self.path_of(name)))

    def stop(self, name: str) -> K:
        """Ask for a graceful end; the object stays."""
        return self._fetch(Call("POST", self.path_of(name, "stop"), key=new_key()))

    def watch(self, since: str = "") -> Iterator[Change[K]]:
        """Yield changes as they happen, for ever; without `since`, first every live object."""

        def open_at(cursor: str, silence_seconds_max: float) -> Call:
            params = {"since": cursor} if cursor else {}
            return Call("GET", f"{self.path}/watch", params, answer_seconds_max=silence_seconds_max)

        for event in follow(self.connection, open_at, cursor=since):
            if event.event not in {OPENED, PING}:
                yield self.change_of(event)

    def change_of(self, event: ServerEvent) -> Change[K]:
        """Return what one event of a watch tells of."""
        return Change(ChangeKind(event.event), read_text(self.kind, event.data), event.id)

    def events(self, name: str, *, after: int = 0, limit: int = PAGE_MAX) -> Listing[Event]:
        """Return what happened to one object, oldest first."""
        params: Mapping[str, str | int] = {"after": after, "limit": limit}
        items, following = read_page(self.connection, Call("GET", self.path_of(name, "events"), params))
        return Listing(tuple(read(Event, item) for item in items), EVENT_COLUMNS, following)

    def explain(self, name: str) -> Explanation:
        """Tell why the object's newest task runs where it does, or why it waits."""
        return read(Explanation, self.connection.fetch(Call("GET", self.path_of(name, "explain"))))

    def _fetch(self, call: Call) -> K:
        return read(self.kind, self.connection.fetch(call))


def new_key() -> str:
    """Return a fresh idempotency key: one for each thing that is wanted, however often the request is sent."""
    return secrets.token_urlsafe(24)


def segment(name: str, noun: str) -> str:
    """Return `name` as one part of a path; raises InvalidInput for what would lead elsewhere."""
    if not name or len(name) > NAME_MAX or name in {".", ".."} or "/" in name or not name.isprintable():
        raise InvalidInput(f"{name[:80]!r} is not the name or id of a {noun}.", hint=f"See: lepton {noun} list")
    return quote(name, safe="")


def project_path(project: str) -> str:
    """Return the URL path of a project."""
    return f"/api/v1/projects/{segment(project, 'project')}"


def read(model: type[M], value: JsonValue) -> M:
    """Return `value` as `model`. Fields that this version does not know are left out: a newer core may send them."""
    return _checked(lambda: model.model_validate(value, extra="ignore"), model)


def read_text(model: type[M], text: str) -> M:
    """Return JSON text as `model`, as `read` does."""
    return _checked(lambda: model.model_validate_json(text, extra="ignore"), model)


def read_page(connection: Connection, call: Call) -> tuple[list[JsonValue], str]:
    """Return the items of a page and the cursor of the next."""
    page: Any = connection.fetch(call)
    try:
        return list(page["items"]), str(page.get("next") or "")
    except (TypeError, KeyError) as error:
        raise Unavailable(f"{call.path} did not answer with a page.", hint="Is it the URL of an instance?") from error


def _checked(validate: Callable[[], M], model: type[M]) -> M:
    try:
        return validate()
    except ValidationError as error:
        first = error.errors()[0]
        raise Unavailable(
            f"The instance sent a {model.__name__} that this version cannot read: "
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}.",
            hint="Bring the client and the core to the same version.",
        ) from error
