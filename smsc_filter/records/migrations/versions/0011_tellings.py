"""Which measures people were told of by message."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    big_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "tellings",
        sa.Column("measure_id", big_id, autoincrement=False, nullable=False),
        sa.Column("by_message", sa.Boolean(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("measure_id", name="pk_tellings"),
        sa.ForeignKeyConstraint(["measure_id"], ["measures.id"], name="fk_tellings_measure_id"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("tellings")
