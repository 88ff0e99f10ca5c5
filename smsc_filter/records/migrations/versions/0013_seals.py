"""Seals of decisions, outcomes and changes: what was edited past smsc-filter is found."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; rows that are there already are sealed as found when the database is opened."""
    big_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "changes",
        sa.Column("id", big_id, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("table", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("rows", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_changes")),
        sa.CheckConstraint("kind IN ('found', 'added', 'changed', 'removed')", name=op.f("ck_changes_kind")),
    )
    op.create_table(
        "row_salts",
        sa.Column("table", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("salt", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("table", "key", name=op.f("pk_row_salts")),
    )
    op.create_table(
        "seals",
        sa.Column("id", big_id, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("first_id", sa.BigInteger(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("found", sa.Boolean(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("digests", sa.LargeBinary()),
        sa.Column("salts", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_seals")),
        sa.CheckConstraint("kind IN ('decisions', 'outcomes', 'changes')", name=op.f("ck_seals_kind")),
    )
    op.create_index("ix_seals_kind_last_id", "seals", ["kind", "last_id"])
    heads = op.create_table(
        "seal_heads",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("bound", sa.BigInteger(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_seal_heads")),
    )
    op.bulk_insert(
        heads,
        [
            {"name": name, "bound": bound, "chain": ""}
            for name, bound in (("seals", 0), ("decisions", -1), ("outcomes", -1), ("changes", 0), ("found", 0))
        ],
    )


def downgrade() -> None:
    """Go back: the seals are gone then, the rows stay."""
    for table in ("seal_heads", "seals", "row_salts", "changes"):
        op.drop_table(table)
