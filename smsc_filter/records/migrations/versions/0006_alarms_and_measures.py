"""Alarms and their delivery, the watcher's checkpoint; notices, measures and what happened to each."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    big_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "alarms",
        sa.Column("id", big_id, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("first_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("webhook", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("try_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alarms"),
        sa.CheckConstraint("severity IN ('notice', 'warning', 'critical')", name=op.f("ck_alarms_severity")),
        sa.CheckConstraint("webhook IN ('', 'due', 'sent', 'given-up')", name=op.f("ck_alarms_webhook")),
    )
    op.create_index("ix_alarms_key_last_at_ms", "alarms", ["key", "last_at_ms"])
    op.create_index("ix_alarms_webhook_try_at_ms", "alarms", ["webhook", "try_at_ms"])
    op.create_table(
        "watch_checkpoints",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_decision_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_watch_checkpoints"),
    )
    op.create_table(
        "notices",
        sa.Column("id", big_id, nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
        sa.CheckConstraint("scope IN ('sender', 'account', 'owner')", name=op.f("ck_notices_scope")),
    )
    op.create_table(
        "measures",
        sa.Column("id", big_id, nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("article", sa.Text(), nullable=False),
        sa.Column("notice_id", big_id),
        sa.Column("appeal_code", sa.Text(), nullable=False),
        sa.Column("appeal_id", sa.Text()),
        sa.Column("per_hour", sa.Integer()),
        sa.Column("binds", sa.JSON()),
        sa.Column("begins_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("ends_at_ms", sa.BigInteger()),
        sa.Column("lifted_at_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_measures"),
        sa.UniqueConstraint("appeal_code", name="uq_measures_appeal_code"),
        sa.ForeignKeyConstraint(["notice_id"], ["notices.id"], name="fk_measures_notice_id"),
        sa.CheckConstraint(
            "step IN ('warn', 'throttle', 'no-new-resources', 'suspend')", name=op.f("ck_measures_step")
        ),
        sa.CheckConstraint("scope IN ('sender', 'account', 'owner')", name=op.f("ck_measures_scope")),
        sa.CheckConstraint("step <> 'suspend' OR notice_id IS NOT NULL", name=op.f("ck_measures_notice")),
    )
    op.create_table(
        "measure_events",
        sa.Column("id", big_id, nullable=False),
        sa.Column("measure_id", big_id, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_measure_events"),
        sa.ForeignKeyConstraint(["measure_id"], ["measures.id"], name="fk_measure_events_measure_id"),
        sa.CheckConstraint("event IN ('imposed', 'lifted', 'appealed')", name=op.f("ck_measure_events_event")),
    )


def downgrade() -> None:
    """Drop them, and every record with them."""
    for table in ("measure_events", "measures", "notices", "watch_checkpoints", "alarms"):
        op.drop_table(table)
