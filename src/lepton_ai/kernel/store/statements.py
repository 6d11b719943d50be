"""The statements of every commit, built once: building them anew took a fifth of the time of a write."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from lepton_ai.kernel.store.schema import events, objects, revision

_WRITTEN = [column.name for column in objects.c if column.name not in {"id", "idempotency_key"}]
_VALUES: Mapping[str, sa.BindParameter[object]] = {name: sa.bindparam(name) for name in _WRITTEN}
_SAME_VERSION = sa.and_(
    objects.c.id == sa.bindparam("key_id"),
    objects.c.version == sa.bindparam("key_version"),
    sa.not_(objects.c.is_deleted),
)

# A taken id, live name or idempotency key makes no row; the row count tells, which SQLAlchemy drops unless asked.
_COUNTED = {"preserve_rowcount": True}
INSERT: Mapping[str, sa.Insert] = {
    "sqlite": sqlite.insert(objects).on_conflict_do_nothing().execution_options(**_COUNTED),
    "postgresql": postgresql.insert(objects).on_conflict_do_nothing().execution_options(**_COUNTED),
}
UPDATE = sa.update(objects).where(_SAME_VERSION).values(_VALUES)
DELETE = sa.update(objects).where(_SAME_VERSION).values({**_VALUES, "idempotency_key": sa.null()})
LOOK_UP = (
    sa.select(objects)
    .where(
        objects.c.kind == sa.bindparam("kind"),
        objects.c.project == sa.bindparam("project"),
        sa.not_(objects.c.is_deleted),
        sa.or_(objects.c.name == sa.bindparam("name"), objects.c.id == sa.bindparam("name")),
    )
    .order_by(objects.c.is_live.desc(), objects.c.id.desc())
    .limit(1)
)
CHANGES = (
    sa.select(objects)
    .where(objects.c.revision > sa.bindparam("since"), objects.c.kind.in_(sa.bindparam("kinds", expanding=True)))
    .order_by(objects.c.revision)
    .limit(sa.bindparam("limit"))
)
CHANGES_OF_PROJECT = CHANGES.where(objects.c.project == sa.bindparam("project"))
INSERT_EVENTS = sa.insert(events)
NEXT_REVISION = sa.update(revision).values(last=revision.c.last + 1)
LAST_REVISION = sa.select(revision.c.last)
