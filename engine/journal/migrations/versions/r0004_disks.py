"""What samples tell of disks; those that were taken before tell nothing of them, and stay."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add their column: JSON by the disk's name."""
    op.add_column("samples", sa.Column("disks", sa.Text))
