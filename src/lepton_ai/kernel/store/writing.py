"""Writes the rows of changes: many with few statements, or one by one where one of them may lose a race."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from lepton_ai.kernel.change import Change, Verb
from lepton_ai.kernel.store import rows, statements
from lepton_ai.types.base import AnyObject

TOGETHER_MIN = 4  # below, the savepoint costs more than it spares


class Stamp(NamedTuple):
    """What all rows of one commit have in common."""

    revision: int
    now: datetime
    actor: str


def write(connection: sa.Connection, changes: Sequence[Change], stamp: Stamp) -> Sequence[AnyObject | None]:
    """Write the rows and return the objects as stored, in order; None for each change that lost a race.

    Creates go before updates, which differs from one by one only where that makes one of them lose: then all is taken
    back and done one by one. Deletions free names for creates that follow, so they are never brought forward.
    """
    stored = [_as_stored(change, stamp) for change in changes]
    made = [_row(change, thing, stamp) for change, thing in zip(changes, stored, strict=True)]
    verbs = [change.verb for change in changes]
    if len(changes) >= TOGETHER_MIN and Verb.DELETE not in verbs:
        with connection.begin_nested() as savepoint:
            for thing, row in zip(stored, made, strict=True):
                rows.settle(connection, thing, row, stamp.now)
            if all(_together(connection, verb, _of(verb, verbs, made)) for verb in (Verb.CREATE, Verb.UPDATE)):
                return stored
            savepoint.rollback()
    return [
        thing if _alone(connection, verb, (thing, row), stamp) else None
        for verb, thing, row in zip(verbs, stored, made, strict=True)
    ]


def _alone(connection: sa.Connection, verb: Verb, made: tuple[AnyObject, Mapping[str, object]], stamp: Stamp) -> bool:
    thing, row = made
    rows.settle(connection, thing, row, stamp.now)
    return connection.execute(_statement(connection, verb), row).rowcount == 1


def _of(verb: Verb, verbs: Sequence[Verb], made: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    return [row for one, row in zip(verbs, made, strict=True) if one is verb]


def _together(connection: sa.Connection, verb: Verb, made: Sequence[Mapping[str, object]]) -> bool:
    """Write rows of one verb; tell whether each of them was written."""
    return not made or connection.execute(_statement(connection, verb), made).rowcount == len(made)


def _statement(connection: sa.Connection, verb: Verb) -> sa.Executable:
    if verb is Verb.CREATE:
        return statements.insert(connection.dialect.name)
    return statements.UPDATE if verb is Verb.UPDATE else statements.DELETE


def _as_stored(change: Change, stamp: Stamp) -> AnyObject:
    before = change.object.metadata
    if change.verb is Verb.CREATE:
        by = before.created_by or stamp.actor
        metadata = before.replace(version=1, created_at=stamp.now, updated_at=stamp.now, created_by=by)
        return change.object.replace(metadata=metadata)
    thing = change.object.replace(metadata=before.replace(version=before.version + 1, updated_at=stamp.now))
    return rows.emptied(thing) if change.verb is Verb.DELETE else thing


def _row(change: Change, thing: AnyObject, stamp: Stamp) -> Mapping[str, object]:
    row = rows.object_row(thing, stamp.revision, is_deleted=change.verb is Verb.DELETE)
    if change.verb is Verb.CREATE:
        return row | {"idempotency_key": change.idempotency_key or None}
    return row | {"key_id": thing.id, "key_version": change.object.metadata.version}
