"""Objects, events and audit records as table rows and back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType

import sqlalchemy as sa
from pydantic import ValidationError

from lepton_ai.errors import LeptonError
from lepton_ai.kernel.change import Change, Seen
from lepton_ai.kernel.store import statements
from lepton_ai.types.base import AnyObject, to_rfc3339
from lepton_ai.types.event import AuditRecord
from lepton_ai.types.identity import Project, Secret, Token
from lepton_ai.types.task import Task

log = logging.getLogger(__name__)

SENTENCE_MAX = 2000


def object_row(thing: AnyObject, revision: int, *, is_deleted: bool) -> dict[str, object]:
    """Return the row of `thing` as of `revision`."""
    meta = thing.metadata
    return {
        "id": meta.id,
        "kind": thing.KIND,
        "project": meta.project,
        "name": meta.name,
        "owner_id": meta.owner_id,
        "version": meta.version,
        "revision": revision,
        "is_live": not is_deleted and not thing.is_final(),
        "is_deleted": is_deleted,
        "body": thing.model_dump_json(),
    }


def emptied(thing: AnyObject) -> AnyObject:
    """Return the last form that watchers of a deleted object see: nothing secret stays behind."""
    if isinstance(thing, Secret):
        return thing.replace(spec=thing.spec.replace(sealed=""))
    if isinstance(thing, Token):
        return thing.replace(spec=thing.spec.replace(sha256=""))
    return thing


def settle(connection: sa.Connection, thing: AnyObject, values: Mapping[str, object], now: datetime) -> None:
    """Count what a task has used up, in the transaction that ends it and before it does; forget it with the project.

    `values` is the row that will be written; what loses its race then counts for nothing.
    """
    if isinstance(thing, Project) and values["is_deleted"]:
        connection.execute(statements.FORGET_SPENT, {"project": thing.name})
    if not isinstance(thing, Task) or values["is_live"] or "key_version" not in values:
        return
    more = thing.spent(now)
    if more.device_seconds or more.money:
        keys = {name: values[name] for name in ("key_id", "key_version")}
        connection.execute(statements.spend(connection.dialect.name), {**keys, **more.model_dump()})


def seen(kinds: Mapping[str, type[AnyObject]], found: Iterable[sa.RowMapping]) -> Sequence[Seen]:
    """Return the objects that rows hold. One that cannot be read is left out and logged: it must not stop the rest."""
    listed = []
    for row in found:
        kind = kinds.get(row["kind"])  # rows of a service that is not installed stay for the day when it is again
        try:
            thing = kind.model_validate_json(row["body"]) if kind else None
        except ValidationError as error:
            log.error("object_unreadable kind=%s id=%s errors=%s", row["kind"], row["id"], error.error_count())
            continue
        if thing is not None:
            listed.append(Seen(thing, row["revision"], row["is_live"], row["is_deleted"]))
    return listed


def event_rows(change: Change, thing: AnyObject, now: datetime, actor: str) -> list[dict[str, object]]:
    """Return one row for each note of the change."""
    return [
        {
            "at": to_rfc3339(now),
            "project": note.project or thing.project,
            "kind": thing.KIND,
            "object_id": thing.id,
            "object_name": thing.name,
            "code": note.code,
            "sentence": _text(note.sentence),
            "actor": actor,
        }
        for note in change.notes
    ]


def audit_row(record: AuditRecord) -> dict[str, object]:
    """Return the row of an audit record; the database numbers it."""
    row: dict[str, object] = record.model_dump(exclude={"seq"})
    return row | {
        "at": to_rfc3339(record.at),
        "outcome": record.outcome.value,
        "detail": _text(record.detail),
        "object_name": record.object_name[:64],
        "project": record.project[:64],
        "request_id": record.request_id[:64],
    }


def _text(sentence: str) -> str:
    """Cut a sentence to its column's length; PostgreSQL keeps no NUL, which programs may well print."""
    return sentence[:SENTENCE_MAX].replace("\0", "\N{REPLACEMENT CHARACTER}")


# What the driver says, and a pool that has run out; anything else that SQLAlchemy raises is our own mistake.
FOREIGN = (sa.exc.DBAPIError, sa.exc.TimeoutError)
Foreign = sa.exc.DBAPIError | sa.exc.TimeoutError


class Translated(AbstractContextManager[sa.Connection]):
    """A connection or transaction whose driver errors leave as LeptonError."""

    def __init__(
        self,
        open_inner: Callable[[], AbstractContextManager[sa.Connection]],
        engine: sa.Engine,
        translate: Callable[[Foreign, str], LeptonError],
    ) -> None:
        self._open_inner = open_inner
        self._url = engine.url.render_as_string(hide_password=True)
        self._translate = translate

    def __enter__(self) -> sa.Connection:
        try:
            self._inner = self._open_inner()
            return self._inner.__enter__()
        except FOREIGN as error:
            raise self._translate(error, self._url) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            self._inner.__exit__(kind, error, trace)
        except FOREIGN as failure:
            raise self._translate(failure, self._url) from failure
        if isinstance(error, FOREIGN):
            raise self._translate(error, self._url) from error
        return None
