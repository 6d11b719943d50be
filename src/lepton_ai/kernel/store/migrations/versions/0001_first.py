"""The first tables: objects, events, audit, revision."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables and the one row that counts commits."""
    live = sa.text("is_live")
    op.create_table(
        "objects",
        sa.Column("id", sa.String(64), primary_key=True),
        *[sa.Column(name, sa.String(size), nullable=False) for name, size in OBJECT_STRINGS],
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("is_live", sa.Boolean, nullable=False),
        sa.Column("is_deleted", sa.Boolean, nullable=False),
        sa.Column("idempotency_key", sa.String(128), nullable=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("kind", "project", "idempotency_key", name="objects_idempotency"),
    )
    op.create_index("objects_revision", "objects", ["revision"])
    op.create_index("objects_page", "objects", ["kind", "project", "id"])
    op.create_index("objects_name", "objects", ["kind", "project", "name", "is_live", "id"])
    op.create_index("objects_owner", "objects", ["owner_id"])
    op.create_index("objects_live", "objects", ["kind", "project", "id"], sqlite_where=live, postgresql_where=live)
    op.create_index(
        "objects_live_name",
        "objects",
        ["kind", "project", "name"],
        unique=True,
        sqlite_where=live,
        postgresql_where=live,
    )
    deleted = sa.text("is_deleted")
    op.create_index("objects_deleted", "objects", ["revision"], sqlite_where=deleted, postgresql_where=deleted)
    op.create_table("events", *_log_columns(EVENT_STRINGS, ("sentence",)))
    op.create_index("events_project", "events", ["project", "seq"])
    op.create_index("events_object", "events", ["object_id", "seq"])
    op.create_table("audit", *_log_columns(AUDIT_STRINGS, ("detail",)))
    op.create_table("revision", sa.Column("last", sa.BigInteger, nullable=False))
    op.execute("INSERT INTO revision (last) VALUES (0)")


OBJECT_STRINGS = (("kind", 32), ("project", 64), ("name", 64), ("owner_id", 64))
EVENT_STRINGS = (
    ("at", 32), ("project", 64), ("kind", 32), ("object_id", 64), ("object_name", 64), ("code", 64), ("actor", 64),
)  # fmt: skip
AUDIT_STRINGS = (
    ("at", 32), ("actor", 64), ("address", 64), ("operation", 64), ("project", 64), ("object_kind", 32),
    ("object_name", 64), ("outcome", 16), ("request_id", 64),
)  # fmt: skip


def _log_columns(strings: tuple[tuple[str, int], ...], texts: tuple[str, ...]) -> list[sa.Column]:  # type: ignore[type-arg]
    return [
        sa.Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
        *[sa.Column(name, sa.String(size), nullable=False) for name, size in strings],
        *[sa.Column(name, sa.Text, nullable=False) for name in texts],
    ]
