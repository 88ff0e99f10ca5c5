"""Codes asked for and sessions of the subscribers' portal."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "portal_challenges",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("code", sa.LargeBinary()),
        sa.Column("asked_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("used", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_portal_challenges"),
    )
    for columns in (("recipient", "asked_at_ms"), ("network", "asked_at_ms"), ("asked_at_ms",)):
        op.create_index(f"ix_portal_challenges_{'_'.join(columns)}", "portal_challenges", list(columns))
    op.create_table(
        "portal_sessions",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("began_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_portal_sessions"),
    )
    for column in ("recipient", "seen_at_ms"):
        op.create_index(f"ix_portal_sessions_{column}", "portal_sessions", [column])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("portal_sessions")
    op.drop_table("portal_challenges")
