"""What the verbs do to the store: check, merge, commit together with the audit record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from lepton_ai.api import admission, merge_patch
from lepton_ai.api.access import Access
from lepton_ai.api.drafts import AnyDraft, DraftMetadata
from lepton_ai.api.merge_patch import Patch
from lepton_ai.errors import Conflict, InvalidInput, NotFound
from lepton_ai.kernel import change
from lepton_ai.kernel.change import Change, Note
from lepton_ai.kernel.identifiers import new_id, new_name
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.types.base import NAME_MAX_LENGTH, NAME_PATTERN, AnyObject, Metadata
from lepton_ai.types.event import AuditRecord
from lepton_ai.types.identity import Project
from lepton_ai.types.task import Task

T = TypeVar("T", bound=AnyObject)

DELETED_AT_ONCE_MAX = 500  # tasks gone in one transaction: 500 x 0.3 ms = 0.15 s
ATTEMPTS = 5  # a patch without a version is tried again when the loop changed the status meanwhile


def find(gate: Access, kind: type[T], name: str, *, in_project: bool) -> T:
    """Return the object of that name or id; raises NotFound."""
    found = _look_up(gate, kind, name, in_project=in_project)
    if found is None:
        raise missing(gate, kind, name, in_project=in_project)
    return found


def missing(gate: Access, kind: type[AnyObject], name: str, *, in_project: bool) -> NotFound:
    """Return the error that says that there is no such object."""
    where = f" in project {gate.project!r}" if in_project else ""
    return NotFound(f"There is no {kind.KIND} {name[:80]!r}{where}.", hint=f"See: lepton {kind.KIND} list")


def create(gate: Access, kind: type[T], draft: AnyDraft, key: str, *, in_project: bool) -> tuple[T, bool]:
    """Store a new object; return it, and False if an earlier request with the same key did so already."""
    core, project = gate.core, gate.project if in_project else PLATFORM_PROJECT
    if key:
        known = core.store.by_idempotency_key(kind, project, key)
        if known is not None:
            return known, False
    thing, more = prepare(gate, kind, draft, project)
    try:
        stored: T = commit(gate, submission(gate, thing, key), *more)
    except Lost:
        known = core.store.by_idempotency_key(kind, project, key) if key else None
        if known is None:
            raise
        return known, False
    return stored, True


def prepare(gate: Access, kind: type[T], draft: AnyDraft, project: str) -> tuple[T, Sequence[Change]]:
    """Return the new object, and what must be committed with it; raises InvalidInput for what cannot be."""
    _check_kind(kind, draft)
    thing = _admit(gate, build(gate, kind, draft.spec, project, draft.metadata), None)
    thing = thing if thing.name else thing.replace(metadata=thing.metadata.replace(name=_make_name(gate, thing)))
    return thing, admission.admit(gate, thing, None)


def submission(gate: Access, thing: AnyObject, key: str) -> Change:
    """Return the change that stores a new object; the same `key` makes no second one."""
    return change.create(thing, Note("submitted", f"Submitted by {gate.caller.user}."), idempotency_key=key)


def build(gate: Access, kind: type[T], spec: Any, project: str, draft: DraftMetadata) -> T:
    """Return a new object with an id, and with a name only if the draft has one."""
    now = gate.core.clock.now()
    metadata = Metadata(
        id=new_id(kind.KIND, now),
        name=draft.name or "",
        project=project,
        labels=dict(draft.labels),
        created_by=gate.caller.user,
    )
    thing = kind(metadata=metadata, spec=spec)  # type: ignore[call-arg]  # each kind brings its first status
    return thing.with_status(submitted_at=now) if hasattr(thing.status, "submitted_at") else thing


def apply(gate: Access, kind: type[T], name: str, draft: AnyDraft, *, in_project: bool) -> tuple[T, bool]:
    """Create the object, or bring the live one of that name to the draft; tell whether it is new."""
    if draft.metadata.name not in {None, name}:
        raise InvalidInput(f"The URL names {name!r}, the body {draft.metadata.name!r}.", hint="Make them equal.")
    for _ in range(ATTEMPTS):
        before = _look_up(gate, kind, name, in_project=in_project)
        _check_kind(kind, draft)
        try:
            if before is None or before.is_final():
                named = draft.replace(metadata=draft.metadata.replace(name=name))
                return create(gate, kind, named, "", in_project=in_project)
            metadata = before.metadata.replace(labels=dict(draft.metadata.labels))
            return _put(gate, before, before.replace(spec=draft.spec, metadata=metadata)), False
        except Lost:
            continue
    raise _busy(kind, name)


def patch(gate: Access, kind: type[T], name: str, wanted: Patch, *, in_project: bool) -> T:
    """Merge the patch into the object and store it, only if it still has the version where one is given."""
    merge_patch.check(wanted)
    for _ in range(ATTEMPTS):
        before = find(gate, kind, name, in_project=in_project)
        if wanted.version not in {0, before.metadata.version}:
            raise Conflict(
                f"The {kind.KIND} {name!r} has version {before.metadata.version}, not {wanted.version}.",
                hint="Read it again.",
            )
        _refuse_ended(before)
        try:
            return _put(gate, before, merge_patch.merged(before, wanted))
        except Lost:
            if wanted.version:
                raise
    raise _busy(kind, name)


def request_deletion(gate: Access, kind: type[T], name: str, *, in_project: bool) -> T:
    """Mark the object for deletion, for its service to take down; objects without a service go at once."""
    service = next((one for one in gate.core.services.values() if kind in one.kinds), None)
    for _ in range(ATTEMPTS):
        before = find(gate, kind, name, in_project=in_project)
        if before.metadata.deletion_requested_at is not None:
            return before
        more = admission.release(gate, before)
        after = before.replace(metadata=before.metadata.replace(deletion_requested_at=gate.core.clock.now()))
        # Something that has ended has nothing to take down, unless it left something outside.
        at_once = service is None or (before.is_final() and not service.leaves_outside(before))
        note = Note("deleted" if at_once else "deleting", f"Deleted by {gate.caller.user}.")
        if kind is Project:
            gate.core.keyring.condemn(before.id)
        try:
            if not at_once:
                ended = _tasks_gone(gate, before) if before.is_final() else ()
                marked: T = commit(gate, change.update(after, note), *ended)
                return marked
            gone: T = commit(gate, change.delete(after, note), *_tasks_gone(gate, before), *more)
        except Lost:
            continue
        if kind is Project:
            gate.core.uploads.forget(gone.name)
            gate.core.keyring.shred(gone.id)
        return gone
    raise _busy(kind, name)


def commit(gate: Access, first: Change, *more: Change) -> Any:
    """Store the changes with one audit record about the first; return the first object as stored."""
    return commit_all(gate, [first, *more], gate.audit(first.object.KIND, first.object.name))[0]


def commit_all(gate: Access, wanted: Sequence[Change], audit: AuditRecord) -> Sequence[AnyObject]:
    """Store the changes, all or none, with the audit record of the request; return the objects as stored."""
    try:
        return gate.core.store.commit(wanted, actor=gate.caller.user, audit=[audit]).objects
    except Conflict as error:
        raise Lost(error.message, hint=error.hint) from error


class Lost(Conflict):
    """Somebody else's commit came first. Other conflicts are refusals, which trying again does not mend."""


def _look_up(gate: Access, kind: type[T], name: str, *, in_project: bool) -> T | None:
    """Return the object of that name or id; what cannot be a name is nothing's, and no database is asked for it."""
    if len(name) > NAME_MAX_LENGTH or not NAME_PATTERN.fullmatch(name):
        return None
    return gate.core.store.look_up(kind, gate.project if in_project else PLATFORM_PROJECT, name)


def _put(gate: Access, before: T, wanted: T) -> T:
    """Store `wanted` in the place of `before`; raises Lost if that has changed."""
    if before.metadata.deletion_requested_at is not None:
        raise Conflict(f"The {before.KIND} {before.name!r} is being deleted.", hint="Wait until it is gone.")
    after = _admit(gate, wanted, before)
    if after == before:
        return before
    more = admission.admit(gate, after, before)
    stored: T = commit(gate, change.update(after, Note("changed", f"Changed by {gate.caller.user}.")), *more)
    return stored


def _tasks_gone(gate: Access, thing: AnyObject) -> list[Change]:
    """Return the deletions of the last tasks of an ended object, after those of the others of a long array."""
    gone = [change.delete(task) for task in gate.core.store.owned(Task, thing.id)]
    while len(gone) > DELETED_AT_ONCE_MAX:
        gate.core.store.commit(gone[:DELETED_AT_ONCE_MAX], actor=gate.caller.user, strict=False)
        gone = gone[DELETED_AT_ONCE_MAX:]
    return gone


def _admit(gate: Access, thing: T, before: T | None) -> T:
    for service in gate.core.services.values():
        if type(thing) in service.kinds:
            return service.admit(thing, before, gate.core)  # type: ignore[return-value]
    return thing


def _make_name(gate: Access, thing: AnyObject) -> str:
    for service in gate.core.services.values():
        if type(thing) in service.kinds:
            return new_name(service.name_stem(thing))
    return new_name(thing.KIND)


def _check_kind(kind: type[AnyObject], draft: AnyDraft) -> None:
    if draft.kind and draft.kind != kind.KIND:
        raise InvalidInput(f"The body is of kind {draft.kind!r}, the URL takes {kind.KIND!r}.")


def _refuse_ended(thing: AnyObject) -> None:
    if thing.is_final():
        raise Conflict(
            f"The {thing.KIND} {thing.name!r} has ended ({thing.status.state.value}); there is nothing to change.",
            hint=f"See: lepton {thing.KIND} get {thing.name}",
        )


def _busy(kind: type[AnyObject], name: str) -> Conflict:
    return Conflict(f"The {kind.KIND} {name!r} changes faster than this request can.", hint="Try again.")
