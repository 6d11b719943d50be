"""Which core leads: a lease with an epoch, which every commit checks."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table with its one row; nobody has led yet."""
    op.add_column("revision", sa.Column("epoch", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "lease",
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.String(32), nullable=False),
        sa.Column("url", sa.String(255), nullable=False),
        sa.Column("expires_at", sa.Float(53), nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
    )
    op.execute("INSERT INTO lease (epoch, holder, url, expires_at, key_hash) VALUES (0, '', '', 0, '')")
