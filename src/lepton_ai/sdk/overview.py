"""What is shown of the whole platform: resources with bars, the queue, events, the audit trail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lepton_ai.sdk.collection import EVENT_COLUMNS, PAGE, project_path, read, read_page, read_text
from lepton_ai.sdk.connection import Call, Connection
from lepton_ai.sdk.follow import follow
from lepton_ai.sdk.listing import Columns, Listing
from lepton_ai.sdk.notebook import Bar
from lepton_ai.sdk.server_events import OPENED, PING
from lepton_ai.types.event import AuditRecord, Event
from lepton_ai.types.resource_view import QueueEntry, ResourceView

_AUDIT: Columns[AuditRecord] = Columns(
    ("at", "actor", "operation", "object", "outcome"),
    lambda one: (
        f"{one.at:%F %T}",
        one.actor,
        one.operation,
        f"{one.object_kind} {one.object_name}",
        one.outcome.value,
    ),
)
_QUEUE: Columns[QueueEntry] = Columns(
    ("rank", "task", "why it waits", "expected start"),
    lambda one: (
        str(one.rank),
        f"{one.owner_kind} {one.owner_name}",
        one.sentence,
        f"{one.expected_start:%F %T}" if one.expected_start else "",
    ),
)
_RESOURCES: Columns[ResourceView] = Columns(
    ("resource", "node", "class", "utilization", "allocation", "allocated", "tasks"),
    lambda one: (
        str(one.number),
        one.node,
        one.resource_class,
        Bar(one.utilisation),
        str(one.allocation),
        Bar(one.allocated),
        ", ".join(one.tasks),
    ),
)


def list_resources(connection: Connection) -> Listing[ResourceView]:
    """Return every allocatable resource with its measured use."""
    return _listing(connection, Call("GET", "/api/v1/resources"), ResourceView, _RESOURCES)


def list_queue(connection: Connection, project: str) -> Listing[QueueEntry]:
    """Return the project's waiting tasks in the order in which they would start."""
    return _listing(connection, Call("GET", f"{project_path(project)}/queue"), QueueEntry, _QUEUE)


def list_events(connection: Connection, project: str, after: int, limit: int, *, newest: bool) -> Listing[Event]:
    """Return what happened in the project."""
    params: Mapping[str, str | int] = {"after": after, "limit": limit, "newest": "true" if newest else "false"}
    return _listing(connection, Call("GET", f"{project_path(project)}/events", params), Event, EVENT_COLUMNS)


def follow_events(connection: Connection, project: str, after: int) -> Iterator[Event]:
    """Yield what happens in the project, for ever, across broken connections."""

    def open_at(cursor: str, silence_seconds_max: float) -> Call:
        params: Mapping[str, str | int] = {"follow": "true", "after": cursor or after}
        return Call("GET", f"{project_path(project)}/events", params, answer_seconds_max=silence_seconds_max)

    for event in follow(connection, open_at):
        if event.event not in {OPENED, PING}:
            yield read_text(Event, event.data)


def list_audit(connection: Connection, after: int, limit: int = PAGE) -> Listing[AuditRecord]:
    """Return audit records, oldest first."""
    return _listing(connection, Call("GET", "/api/v1/audit", {"after": after, "limit": limit}), AuditRecord, _AUDIT)


def _listing(connection: Connection, call: Call, model: type[Any], columns: Columns[Any]) -> Listing[Any]:
    items, following = read_page(connection, call)
    return Listing(tuple(read(model, item) for item in items), columns, following)
