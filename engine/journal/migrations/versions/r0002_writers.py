"""Several writers in one run: each has a chain of its own, in which a number stands once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the writer; the first version's number becomes one that it refuses, in words of its own."""
    op.add_column("records", sa.Column("writer", sa.Text, nullable=False, server_default=""))
    op.create_index("ix_records_place", "records", ["run_id", "writer", "number"], unique=True)
    op.execute("UPDATE schema_version SET version = 2")
