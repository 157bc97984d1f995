"""Samples of what hosts and containers need, for the capacity that preflight judges."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create their table."""
    op.create_table(
        "samples",
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("container", sa.Text, nullable=False),
        sa.Column("memory_bytes", sa.BigInteger),
        sa.Column("cpu_s", sa.Float),
    )
    op.create_index("ix_samples_at", "samples", ["at"])
