"""The tables. Alembic migrations in `migrations/` make them; a test holds the two equal."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")

objects = sa.Table(
    "objects",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("project", sa.String(64), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("owner_id", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("is_live", sa.Boolean, nullable=False),  # neither final nor deleted
    sa.Column("is_deleted", sa.Boolean, nullable=False),
    sa.Column("idempotency_key", sa.String(128), nullable=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.UniqueConstraint("kind", "project", "idempotency_key", name="objects_idempotency"),
)
sa.Index("objects_revision", objects.c.revision)
sa.Index("objects_page", objects.c.kind, objects.c.project, objects.c.id)
sa.Index("objects_name", objects.c.kind, objects.c.project, objects.c.name, objects.c.is_live, objects.c.id)
sa.Index("objects_owner", objects.c.owner_id)
# The migration makes two of these of live rows alone and the third of deleted ones. `postgresql_where` here would
# import that dialect at every start.
sa.Index("objects_live", objects.c.kind, objects.c.project, objects.c.id)
sa.Index("objects_live_name", objects.c.kind, objects.c.project, objects.c.name, unique=True)
sa.Index("objects_deleted", objects.c.revision)
# SQLite uses a partial index only for a query that says the very words of its condition.
LIVE = sa.text("objects.is_live")
DELETED = sa.text("objects.is_deleted")

events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", _SEQUENCE, primary_key=True, autoincrement=True),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("project", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("object_id", sa.String(64), nullable=False),
    sa.Column("object_name", sa.String(64), nullable=False),
    sa.Column("code", sa.String(64), nullable=False),
    sa.Column("sentence", sa.Text, nullable=False),
    sa.Column("actor", sa.String(64), nullable=False),
)
sa.Index("events_project", events.c.project, events.c.seq)
sa.Index("events_object", events.c.object_id, events.c.seq)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("seq", _SEQUENCE, primary_key=True, autoincrement=True),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("actor", sa.String(64), nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("operation", sa.String(64), nullable=False),
    sa.Column("project", sa.String(64), nullable=False),
    sa.Column("object_kind", sa.String(32), nullable=False),
    sa.Column("object_name", sa.String(64), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
)

# What the ended tasks of each project have used up: added to in the transaction that ends a task, so that none counts
# twice, and kept when the tasks are deleted.
spent = sa.Table(
    "spent",
    metadata,
    sa.Column("project", sa.String(64), primary_key=True),
    sa.Column("device_seconds", sa.Float(53), nullable=False),
    sa.Column("money", sa.Float(53), nullable=False),
)

# One row: the number of the last commit. Reading and raising it inside the transaction puts commits into one order, so
# that whoever has seen revision n has seen everything up to n. A database sequence would leave holes that fill later.
# Its `epoch` is that of the core that leads: a commit raises `last` only where it still finds its own (ADR 0023).
revision = sa.Table(
    "revision",
    metadata,
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False, server_default="0"),
)

# One row: who leads, where it is reached, and until when, by the database's own clock (seconds since 1970). It is apart
# from `revision` so that a renewal never waits for a commit.
lease = sa.Table(
    "lease",
    metadata,
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("holder", sa.String(32), nullable=False),
    sa.Column("url", sa.String(255), nullable=False),
    sa.Column("expires_at", sa.Float(53), nullable=False),
    sa.Column("key_hash", sa.String(64), nullable=False),  # by which cores know that they have the platform's own key
)
