"""What a catalogue is called, where it was, its columns that mean nothing, who left it, and why it
is not obeyed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add columns that may be empty: a catalogue gets its name when it is next obeyed."""
    op.add_column("catalogue_seen", sa.Column("name", sa.Text))
    op.add_column("catalogue_seen", sa.Column("location", sa.Text))
    op.add_column("catalogue_seen", sa.Column("unknown_columns", sa.JSON))
    op.add_column("catalogue_seen", sa.Column("held", sa.Text))
    op.add_column("catalogue_seen", sa.Column("held_at", sa.Float))
    op.add_column("catalogue_product", sa.Column("left_at", sa.Float))
