"""How many records were ever written, and the last of them: a record or a run that is taken out again shows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the table, its one row counted from what is there."""
    op.execute("DROP TABLE IF EXISTS written")
    op.create_table(
        "written",
        sa.Column("one", sa.Integer, primary_key=True),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("head", sa.Text, nullable=False),
    )
    op.execute(
        "INSERT INTO written (one, records, head) SELECT 1, COUNT(*), COALESCE((SELECT hash FROM records "
        "ORDER BY seq DESC LIMIT 1), '') FROM records"
    )
