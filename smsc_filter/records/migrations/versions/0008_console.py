"""Users, sessions, audit, labels, rule versions; tallies of verdicts, and the indexes decisions are searched by."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_decisions_recipient", "recipient", None),
    ("ix_decisions_source", "source", None),
    ("ix_decisions_cause", "cause", sa.text("cause <> ''")),
    ("ix_decisions_owner", "owner", sa.text("cause <> ''")),
)


def upgrade() -> None:
    """Make the tables; count what is on record, and index it: about a minute for ten million decisions."""
    big_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "users",
        sa.Column("id", big_id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
        sa.CheckConstraint(
            "role IN ('viewer', 'operator', 'reviewer', 'admin', 'provider')", name=op.f("ck_users_role")
        ),
        sa.CheckConstraint("(role = 'provider') = (owner IS NOT NULL)", name=op.f("ck_users_owner")),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", big_id, nullable=False),
        sa.Column("csrf", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_sessions"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_table(
        "audit",
        sa.Column("id", big_id, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("before", sa.JSON()),
        sa.Column("after", sa.JSON()),
        sa.Column("address", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_table(
        "labels",
        sa.Column("id", big_id, nullable=False),
        sa.Column("decision_id", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_labels"),
    )
    op.create_index("ix_labels_decision_id", "labels", ["decision_id"])
    op.create_table(
        "rule_versions",
        sa.Column("id", big_id, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("based_on", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rule_versions"),
    )
    op.create_table(
        "verdict_minutes",
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("minute", "cause", name="pk_verdict_minutes"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "verdict_hours",
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "owner", "cause", name="pk_verdict_hours"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO verdict_minutes (minute, cause, count)"
        " SELECT at_ms / 60000, cause, count(*) FROM decisions GROUP BY 1, 2"
    )
    op.execute(
        "INSERT INTO verdict_hours (hour, owner, cause, count)"
        " SELECT at_ms / 3600000, owner, cause, count(*) FROM decisions GROUP BY 1, 2, 3"
    )
    for name, column, condition in INDEXES:
        op.create_index(name, "decisions", [column, "id"], sqlite_where=condition, postgresql_where=condition)


def downgrade() -> None:
    """Drop them, and every record with them."""
    for name, _, _ in INDEXES:
        op.drop_index(name, "decisions")
    for table in ("verdict_hours", "verdict_minutes", "rule_versions", "labels", "audit", "sessions", "users"):
        op.drop_table(table)
