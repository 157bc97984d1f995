"""Salts for the names of data, so that fingerprints can be compared without telling whose data it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create their table."""
    op.create_table("salts", sa.Column("name", sa.Text, primary_key=True), sa.Column("salt", sa.Text, nullable=False))
