"""What the ended tasks of each project have used up."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table; what ended before counts for nothing."""
    op.create_table(
        "spent",
        sa.Column("project", sa.String(64), primary_key=True),
        sa.Column("device_seconds", sa.Float(53), nullable=False),
        sa.Column("money", sa.Float(53), nullable=False),
    )
