"""What the verbs do to the store: check, merge, commit together with the audit record."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from lepton_ai.api.access import Access
from lepton_ai.errors import Conflict, InvalidInput, NotFound
from lepton_ai.kernel import change
from lepton_ai.kernel.change import Change, Note
from lepton_ai.kernel.identifiers import new_id, new_name
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.types.base import AnyObject, Metadata
from lepton_ai.types.identity import Project
from lepton_ai.types.task import Task

T = TypeVar("T", bound=AnyObject)

ATTEMPTS = 5  # a patch without a version is tried again when the loop changed the status meanwhile


class DraftLike(Protocol):
    """An object as a user asks for it."""

    @property
    def kind(self) -> str: ...
    @property
    def metadata(self) -> Any: ...
    @property
    def spec(self) -> Any: ...


def find(gate: Access, kind: type[T], name: str, *, in_project: bool) -> T:
    """Return the object of that name or id; raises NotFound."""
    return gate.core.store.find(kind, gate.project if in_project else PLATFORM_PROJECT, name)


def create(gate: Access, kind: type[T], draft: DraftLike, key: str, *, in_project: bool) -> tuple[T, bool]:
    """Store a new object; return it, and False if an earlier request with the same key did so already."""
    core, project = gate.core, gate.project if in_project else PLATFORM_PROJECT
    if key:
        known = core.store.by_idempotency_key(kind, project, key)
        if known is not None:
            return known, False
    _check_kind(kind, draft)
    if in_project and core.look_up(Project, PLATFORM_PROJECT, project) is None:
        raise NotFound(f"There is no project {project!r}.", hint="See: lepton project list")
    thing = build(gate, kind, draft.spec, project, dict(draft.metadata.labels))
    thing = _admit(gate, thing, None)
    thing = thing.replace(metadata=thing.metadata.replace(name=draft.metadata.name or _make_name(gate, thing)))
    note = Note("submitted", f"Submitted by {gate.caller.user}.")
    try:
        stored = commit(gate, change.create(thing, note, idempotency_key=key))
    except Conflict:
        known = core.store.by_idempotency_key(kind, project, key) if key else None
        if known is None:
            raise
        return known, False
    return stored, True


def build(gate: Access, kind: type[T], spec: Any, project: str, labels: dict[str, str]) -> T:
    """Return a new object with an id and without a name."""
    now = gate.core.clock.now()
    metadata = Metadata(id=new_id(kind.KIND, now), project=project, labels=labels, created_by=gate.caller.user)
    thing = kind(metadata=metadata, spec=spec)
    return thing.with_status(submitted_at=now) if hasattr(thing.status, "submitted_at") else thing


def apply(gate: Access, kind: type[T], name: str, draft: DraftLike, *, in_project: bool) -> tuple[T, bool]:
    """Create the object, or bring the live one of that name to the draft; tell whether it is new."""
    if draft.metadata.name not in {None, name}:
        raise InvalidInput(f"The URL names {name!r}, the body {draft.metadata.name!r}.", hint="Make them equal.")
    for _ in range(ATTEMPTS):
        before = gate.core.store.look_up(kind, gate.project if in_project else PLATFORM_PROJECT, name)
        if before is None or before.is_final():
            named = draft.metadata.model_copy(update={"name": name})
            draft = type(draft).model_construct(kind=draft.kind, metadata=named, spec=draft.spec)  # type: ignore[attr-defined]
            return create(gate, kind, draft, "", in_project=in_project)
        _check_kind(kind, draft)
        metadata = before.metadata.replace(labels=dict(draft.metadata.labels))
        after = _admit(gate, before.replace(spec=draft.spec, metadata=metadata), before)
        if after == before:
            return before, False
        try:
            return commit(gate, change.update(after, Note("changed", f"Changed by {gate.caller.user}."))), False
        except Conflict:
            continue
    raise _busy(kind, name)


def patch(gate: Access, kind: type[T], name: str, changes: dict[str, Any], *, version: int, in_project: bool) -> T:
    """Merge `changes` into the object (RFC 7396) and store it, only if it still has `version` where one is given."""
    unknown = changes.keys() - {"spec", "metadata"}
    unknown_metadata = dict(changes.get("metadata") or {}).keys() - {"labels"}
    if unknown or unknown_metadata:
        raise InvalidInput(
            f"{sorted(unknown or unknown_metadata)[0]!r} cannot be changed.", hint="Change spec or metadata.labels."
        )
    for _ in range(ATTEMPTS):
        before = find(gate, kind, name, in_project=in_project)
        if version and before.metadata.version != version:
            raise Conflict(
                f"The {kind.KIND} {name!r} has version {before.metadata.version}, not {version}.", hint="Read it again."
            )
        _refuse_ended(before)
        merged = merge(before.model_dump(mode="json", include={"spec": True, "metadata": {"labels"}}), changes)
        checked = kind.model_validate(before.model_dump(mode="json") | {"spec": merged["spec"]})
        metadata = before.metadata.replace(labels=merged["metadata"]["labels"])
        after = _admit(gate, before.replace(spec=checked.spec, metadata=metadata), before)
        if after == before:
            return before
        try:
            return commit(gate, change.update(after, Note("changed", f"Changed by {gate.caller.user}.")))
        except Conflict:
            if version:
                raise
    raise _busy(kind, name)


def request_deletion(gate: Access, kind: type[T], name: str, *, in_project: bool) -> T:
    """Mark the object for deletion, for its service to take down; objects without a service go at once."""
    has_service = any(kind in service.kinds for service in gate.core.services.values())
    for _ in range(ATTEMPTS):
        before = find(gate, kind, name, in_project=in_project)
        if before.metadata.deletion_requested_at is not None:
            return before
        now = gate.core.clock.now()
        after = before.replace(metadata=before.metadata.replace(deletion_requested_at=now))
        note = Note("deleting" if has_service else "deleted", f"Deleted by {gate.caller.user}.")
        # Something that has ended has nothing to take down.
        at_once = not has_service or before.is_final()
        owned = gate.core.store.owned(Task, before.id) if at_once else ()
        wanted = change.delete(after, note) if at_once else change.update(after, note)
        try:
            return commit(gate, wanted, *(change.delete(task) for task in owned))
        except Conflict:
            continue
    raise _busy(kind, name)


def commit(gate: Access, first: Change, *more: Change) -> Any:
    """Store the changes with one audit record about the first; return the first object as stored."""
    audit = gate.audit(first.object.KIND, first.object.name)
    return gate.core.store.commit([first, *more], actor=gate.caller.user, audit=[audit]).objects[0]


def merge(target: Any, changes: Any) -> Any:
    """Return `target` with `changes` merged in as RFC 7396 section 2 has it: null removes."""
    if not isinstance(changes, dict):
        return changes
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


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


def _check_kind(kind: type[AnyObject], draft: DraftLike) -> None:
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
