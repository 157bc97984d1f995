"""The tables of the journal: records in chains, samples of hosts, salts for the names of data, and the count of all
records.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "records",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("writer", sa.Text, nullable=False, server_default=""),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("service", sa.Text),
        sa.Column("key", sa.Text),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("previous", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    for column in ("run_id", "kind", "service"):
        op.create_index(f"ix_records_{column}", "records", [column])
    op.create_index("ix_records_place", "records", ["run_id", "writer", "number"], unique=True)
    op.create_table(
        "samples",
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("container", sa.Text, nullable=False),
        sa.Column("memory_bytes", sa.BigInteger),
        sa.Column("cpu_s", sa.Float),
        sa.Column("disks", sa.Text),
    )
    op.create_index("ix_samples_at", "samples", ["at"])
    op.create_table("salts", sa.Column("name", sa.Text, primary_key=True), sa.Column("salt", sa.Text, nullable=False))
    written = op.create_table(
        "written",
        sa.Column("one", sa.Integer, primary_key=True),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("head", sa.Text, nullable=False),
    )
    op.bulk_insert(written, [{"one": 1, "records": 0, "head": ""}])
