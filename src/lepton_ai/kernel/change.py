"""A change as a value: what to write, with the events that tell of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeVar

from lepton_ai.types.base import AnyObject, ObjectStatus

S = TypeVar("S", bound=StrEnum)


class Verb(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Note(NamedTuple):
    """An event to be: a code for machines, a sentence for people. It is told in `project`, else in the object's own."""

    code: str
    sentence: str
    project: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """Write `object`. Update and delete hold only while the stored version equals the one in its metadata."""

    verb: Verb
    object: AnyObject
    notes: tuple[Note, ...] = ()
    idempotency_key: str = ""


def create(thing: AnyObject, *notes: Note, idempotency_key: str = "") -> Change:
    """Return the change that stores a new object; its id and name must be set."""
    return Change(Verb.CREATE, thing, notes, idempotency_key)


def update(thing: AnyObject, *notes: Note) -> Change:
    """Return the change that replaces the stored object of the same id and version."""
    return Change(Verb.UPDATE, thing, notes)


def delete(thing: AnyObject, *notes: Note) -> Change:
    """Return the change that removes the object; watchers still see its last form, marked as deleted."""
    return Change(Verb.DELETE, thing, notes)


def advance(
    thing: AnyObject, moves: Mapping[S, Collection[S]], status: ObjectStatus, *notes: Note
) -> tuple[Change, ...]:
    """Return the change to a new status, with an event where the state moves; nothing if all is as it was.

    `notes` are told besides, of whatever else has changed.
    `moves` is the table of legal moves; one that is not in it is our own mistake.
    """
    if status == thing.status:
        return ()
    before, state = thing.status.state, status.state  # type: ignore[attr-defined]
    after = thing.replace(status=status)
    if before is state:
        return (update(after, *notes),)
    assert state in moves[before], f"{thing.id}: {before} -> {state} is not a legal move"
    return (update(after, *notes, Note(state.value, status.reason.sentence)),)


@dataclass(frozen=True, slots=True)
class Seen:
    """One object as the change feed shows it."""

    object: AnyObject
    revision: int
    is_live: bool
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class Committed:
    """What one transaction did: the objects as the feed shows them now, and the changes that lost a race."""

    revision: int
    seen: tuple[Seen, ...]
    conflicts: Sequence[Change] = ()

    @property
    def objects(self) -> tuple[AnyObject, ...]:
        """The objects as stored now, in the order of the changes that made them."""
        return tuple(one.object for one in self.seen)
