"""What the web needs: tokens, jobs, and the decline register with its versions.

Written out rather than taken from the modules: a migration says what was true on its day.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    small_id = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
    )
    op.create_index("ix_tokens_owner", "tokens", ["owner"])
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("node", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("octets", sa.BigInteger(), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("owner", "kind", "key", name="uq_jobs_owner_kind_key"),
    )
    op.create_table(
        "decline_lists",
        sa.Column("id", small_id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_decline_lists"),
        sa.UniqueConstraint("name", name="uq_decline_lists_name"),
    )
    op.create_table(
        "decline_versions",
        sa.Column("list_id", small_id, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("base", sa.BigInteger()),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("synced_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("list_id", "version", name="pk_decline_versions"),
        sa.ForeignKeyConstraint(["list_id"], ["decline_lists.id"], name="fk_decline_versions_list_id"),
    )
    op.create_table(
        "decline_wishes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("spelling", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_decline_wishes"),
        sa.UniqueConstraint("spelling", name="uq_decline_wishes_spelling"),
    )
    op.create_table(
        "declines",
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("list_id", small_id, nullable=False),
        sa.Column("wish_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("number", "list_id", name="pk_declines"),
        sa.ForeignKeyConstraint(["list_id"], ["decline_lists.id"], name="fk_declines_list_id"),
        sa.ForeignKeyConstraint(["wish_id"], ["decline_wishes.id"], name="fk_declines_wish_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "decline_staged",
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("wish_id", sa.Integer()),
        sa.PrimaryKeyConstraint("sync", "number", name="pk_decline_staged"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "decline_pages",
        sa.Column("page", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("page", name="pk_decline_pages"),
    )


def downgrade() -> None:
    """Drop them."""
    for table in (
        *("decline_pages", "decline_staged", "declines", "decline_wishes", "decline_versions", "decline_lists"),
        *("jobs", "tokens"),
    ):
        op.drop_table(table)
