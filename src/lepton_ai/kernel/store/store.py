"""Get, list, commit and watch objects. One transaction holds the objects, their events and the audit record."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from lepton_ai.errors import Conflict, NotFound, NotLeading
from lepton_ai.kernel.change import Change, Committed, Seen, Verb
from lepton_ai.kernel.clock import Clock
from lepton_ai.kernel.store import rows, statements
from lepton_ai.kernel.store.engine import translate
from lepton_ai.kernel.store.recent import Recent
from lepton_ai.kernel.store.schema import audit as audit_table
from lepton_ai.kernel.store.schema import events as events_table
from lepton_ai.kernel.store.schema import objects
from lepton_ai.kernel.store.writing import Stamp, write
from lepton_ai.types.base import AnyObject
from lepton_ai.types.event import AuditRecord, Event
from lepton_ai.types.share import Spent

T = TypeVar("T", bound=AnyObject)

LIST_MAX = 1000  # 1,000 objects x 3 kB = 3 MB in one answer
CHANGES_MAX = 5000  # per read of the feed: 5,000 x 3 kB = 15 MB
EVENTS_KEPT = 1_000_000  # 1 M x 300 B = 300 MB on disk
TOMBSTONES_KEPT = 10_000  # commits; watchers that are further behind than that have lost their connection long ago
PRUNED_MAX = 5000  # rows of each sort in one transaction: 0.1 s for which nobody else can write


class Store:
    """The only door to the database. Safe to use from any thread.

    `epoch` is that of the lease under which this core leads: once another core has taken over, each write raises
    NotLeading and leaves nothing.
    """

    def __init__(self, engine: sa.Engine, clock: Clock, kinds: Iterable[type[AnyObject]], *, epoch: int = 0) -> None:
        self._engine = engine
        self._epoch = epoch
        self._writer = engine.execution_options(writes=True)
        self._lazy_writer = engine.execution_options(writes=True, is_lazy=True)
        self._clock = clock
        self._kinds: Mapping[str, type[AnyObject]] = {kind.KIND: kind for kind in kinds}
        # SQLite has one writer anyway; taking turns here spares its busy-wait.
        self._turn = threading.Lock()
        self._recent = Recent()
        self._listeners: list[Callable[[], None]] = []

    @property
    def dialect(self) -> str:
        """The kind of database: sqlite or postgresql."""
        return self._engine.dialect.name

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each commit, in the thread that committed. It must be quick and must not raise."""
        self._listeners.append(listener)

    def commit(
        self, changes: Sequence[Change], *, actor: str, audit: Sequence[AuditRecord] = (), strict: bool = True
    ) -> Committed:
        """Write all changes in one transaction.

        Strict: raises Conflict and writes nothing if any change lost a race or its name is taken. Otherwise changes
        that lost are returned in `conflicts` and the rest is written. A create with a known idempotency key loses:
        `by_idempotency_key` then tells what the first one stored.

        A strict commit is on disk when this returns. One that is not strict survives the death of any process, but a
        loss of power may take the last of them: whoever may lose a race decides again from what is seen, then too.
        """
        now = self._clock.now()
        stored: list[Seen] = []
        conflicts: list[Change] = []
        with self._turn:
            with self._transaction(is_forced=strict) as connection:
                number = self._next_revision(connection)
                events: list[Mapping[str, object]] = []
                for change, written in zip(changes, write(connection, changes, Stamp(number, now, actor)), strict=True):
                    if written is None:
                        if strict:
                            raise _conflict(change)
                        conflicts.append(change)
                        continue
                    is_gone = change.verb is Verb.DELETE
                    stored.append(Seen(written, number, not is_gone and not written.is_final(), is_gone))
                    events.extend(rows.event_rows(change, written, now, actor))
                if events:
                    connection.execute(statements.INSERT_EVENTS, events)
                if audit:
                    connection.execute(sa.insert(audit_table), [rows.audit_row(record) for record in audit])
            self._recent.add(number, stored)
        for listener in self._listeners:
            listener()
        return Committed(number, tuple(stored), conflicts)

    def record(self, audit: Sequence[AuditRecord]) -> None:
        """Write audit records that go with no change, such as refusals."""
        with self._turn, self._transaction() as connection:
            self._hold_revision(connection)
            connection.execute(sa.insert(audit_table), [rows.audit_row(record) for record in audit])

    def get(self, kind: type[T], object_id: str) -> T:
        """Return the object; raises NotFound."""
        found = self._select(kind, sa.select(objects).where(objects.c.id == object_id, sa.not_(objects.c.is_deleted)))
        if not found:
            raise NotFound(f"There is no {kind.KIND} {object_id!r}.", hint=f"See: lepton {kind.KIND} list")
        return found[0]

    def find(self, kind: type[T], project: str, name: str) -> T:
        """Return the newest object of that name, or of that id, in the project; raises NotFound."""
        found = self.look_up(kind, project, name)
        if found is None:
            raise NotFound(
                f"There is no {kind.KIND} {name[:80]!r} in project {project!r}.", hint=f"See: lepton {kind.KIND} list"
            )
        return found

    def look_up(self, kind: type[T], project: str, name: str) -> T | None:
        """Return the newest object of that name or id in the project, the live one first; None if there is none."""
        with self._reading() as connection:
            asked = {"kind": kind.KIND, "project": project, "name": name}
            row = connection.execute(statements.LOOK_UP, asked).mappings().one_or_none()
        return None if row is None else kind.model_validate_json(row["body"])

    def by_idempotency_key(self, kind: type[T], project: str, key: str) -> T | None:
        """Return what an earlier create with that key stored."""
        return self.by_idempotency_keys(kind, project, [key]).get(key)

    def by_idempotency_keys(self, kind: type[T], project: str, keys: Collection[str]) -> Mapping[str, T]:
        """Return what earlier creates with those keys stored, by key."""
        query = sa.select(objects).where(
            objects.c.kind == kind.KIND, objects.c.project == project, objects.c.idempotency_key.in_(keys)
        )
        with self._reading() as connection:
            found = connection.execute(query).mappings().all()
        return {row["idempotency_key"]: kind.model_validate_json(row["body"]) for row in found}

    def page(
        self,
        kind: type[T],
        project: str | None = None,
        *,
        before: str = "",
        limit: int = LIST_MAX,
        live_only: bool = False,
    ) -> Sequence[T]:
        """Return objects, newest first, of one project or (None) of all; `before` is the last id of the page before."""
        query = statements.page(kind.KIND, project, before, live_only=live_only).limit(min(limit, LIST_MAX))
        return self._select(kind, query)

    def all_live(self, kind: type[T]) -> list[T]:
        """Return every live object of the kind, newest first."""
        found: list[T] = []
        while page := self.page(kind, before=found[-1].id if found else "", live_only=True):
            found.extend(page)
        return found

    def owned(self, kind: type[T], owner_id: str) -> Sequence[T]:
        """Return the objects of `kind` that `owner_id` made, oldest first."""
        query = (
            sa.select(objects)
            .where(objects.c.owner_id == owner_id, objects.c.kind == kind.KIND, sa.not_(objects.c.is_deleted))
            .order_by(objects.c.id)
        )
        return self._select(kind, query)

    def load_live(self) -> tuple[int, Sequence[Seen]]:
        """Return the revision and every live object, with what live objects own: all that the loop must look at."""
        with self._reading() as connection:
            number = connection.execute(statements.LAST_REVISION).scalar() or 0
            found = connection.execute(statements.LIVE_AND_OWNED).mappings().all()
        return number, rows.seen(self._kinds, found)

    def changes(self, since: int, *, kinds: Collection[str] = (), project: str | None = None) -> Sequence[Seen]:
        """Return what changed after revision `since`, in commit order, at most CHANGES_MAX objects."""
        wanted = kinds or self._kinds
        recent = self._recent.since(since, self.revision(), wanted, project)
        if recent is not None:
            return recent[:CHANGES_MAX]
        asked = {"since": since, "kinds": list(wanted), "project": project, "limit": CHANGES_MAX}
        query = statements.CHANGES if project is None else statements.CHANGES_OF_PROJECT
        with self._reading() as connection:
            found = connection.execute(query, asked).mappings().all()
        return rows.seen(self._kinds, found)

    def revision(self) -> int:
        """Return the number of the last commit."""
        with self._reading() as connection:
            return connection.execute(statements.LAST_REVISION).scalar() or 0

    def events(
        self,
        project: str | None = None,
        *,
        object_id: str = "",
        after: int = 0,
        limit: int = LIST_MAX,
        newest: bool = False,
    ) -> Sequence[Event]:
        """Return events after the cursor, oldest first; `newest` returns the last `limit` of them instead."""
        query = sa.select(events_table).where(events_table.c.seq > after)
        if project is not None:
            query = query.where(events_table.c.project == project)
        if object_id:
            query = query.where(events_table.c.object_id == object_id)
        order = events_table.c.seq.desc() if newest else events_table.c.seq
        with self._reading() as connection:
            found = connection.execute(query.order_by(order).limit(min(limit, LIST_MAX))).mappings().all()
        listed = [Event.model_validate(dict(row)) for row in found]
        return listed[::-1] if newest else listed

    def audit_records(self, *, after: int = 0, limit: int = LIST_MAX) -> Sequence[AuditRecord]:
        """Return audit records after the cursor, oldest first."""
        query = sa.select(audit_table).where(audit_table.c.seq > after).order_by(audit_table.c.seq)
        with self._reading() as connection:
            found = connection.execute(query.limit(min(limit, LIST_MAX))).mappings().all()
        return [AuditRecord.model_validate(dict(row)) for row in found]

    def prune(self) -> bool:
        """Drop some of the oldest events beyond EVENTS_KEPT and deleted objects beyond TOMBSTONES_KEPT.

        Return whether there may be more to drop. Audit records stay.
        """
        with self._turn, self._transaction(is_forced=False) as connection:
            last = self._hold_revision(connection)
            newest = connection.execute(sa.select(sa.func.max(events_table.c.seq))).scalar() or 0
            limits = {"limit": PRUNED_MAX}
            events = connection.execute(statements.PRUNE_EVENTS, limits | {"until": newest - EVENTS_KEPT}).rowcount
            gone = connection.execute(statements.PRUNE_TOMBSTONES, limits | {"until": last - TOMBSTONES_KEPT}).rowcount
        return max(events, gone) >= PRUNED_MAX

    def spent(self) -> Mapping[str, Spent]:
        """Return what the ended tasks of each project have used up."""
        with self._reading() as connection:
            found = connection.execute(statements.SPENT).mappings().all()
        return {row["project"]: Spent(device_seconds=row["device_seconds"], money=row["money"]) for row in found}

    def _select(self, kind: type[T], query: sa.Select[Any]) -> list[T]:
        with self._reading() as connection:
            found = connection.execute(query.where(objects.c.kind == kind.KIND)).mappings().all()
        return [kind.model_validate_json(row["body"]) for row in found]

    def _transaction(self, *, is_forced: bool = True) -> rows.Translated:
        return rows.Translated((self._writer if is_forced else self._lazy_writer).begin, self._engine, translate)

    def _next_revision(self, connection: sa.Connection) -> int:
        if connection.execute(statements.NEXT_REVISION, {"our_epoch": self._epoch}).rowcount != 1:
            raise _deposed(connection, self._epoch)
        return int(connection.execute(statements.LAST_REVISION).scalar_one())

    def _hold_revision(self, connection: sa.Connection) -> int:
        """Take a turn among all writers without a number of one's own, for what is no change of an object."""
        found = connection.execute(statements.HOLD_REVISION, {"our_epoch": self._epoch}).scalar()
        if found is None:
            raise _deposed(connection, self._epoch)
        return int(found)

    def _reading(self) -> rows.Translated:
        return rows.Translated(self._engine.connect, self._engine, translate)


def _deposed(connection: sa.Connection, epoch: int) -> NotLeading:
    now = connection.execute(statements.LEASE).one()
    return NotLeading(
        f"This core does not lead any more: its epoch is {epoch}, and {now.url or 'another core'} leads with epoch "
        f"{now.epoch}. Nothing was written.",
        hint="Ask that one; a client that knows both addresses does so by itself.",
    )


def _conflict(change: Change) -> Conflict:
    kind, name = change.object.KIND, change.object.name
    if change.verb is Verb.CREATE:
        return Conflict(
            f"The {kind} {name!r} already exists in project {change.object.project!r}.",
            hint=f"Choose another name, or look at it: lepton {kind} get {name}",
        )
    return Conflict(
        f"The {kind} {name!r} was changed meanwhile: version {change.object.metadata.version} is old.",
        hint="Read it again and repeat the change.",
    )
