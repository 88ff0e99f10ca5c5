"""The first tables: owners, decisions and outcomes, stream positions and rejects, consent events, whitelist.

Written out rather than taken from ``tables``: a migration says what was true on its day.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    big_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    small_id = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "owners",
        sa.Column("id", small_id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_owners"),
        sa.UniqueConstraint("name", name="uq_owners_name"),
    )
    op.create_table(
        "decisions",
        sa.Column("id", big_id, autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("system_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("command_status", sa.BigInteger(), nullable=False),
        sa.Column("enforced", sa.Boolean(), nullable=False),
        sa.Column("score", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("data_coding", sa.SmallInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("findings", sa.Text()),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("worker", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
    )
    op.create_table(
        "outcomes",
        sa.Column("decision_id", big_id, autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("command_status", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("decision_id", name="pk_outcomes"),
    )
    op.create_table(
        "stream_positions",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("last_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("stream", name="pk_stream_positions"),
    )
    op.create_table(
        "stream_rejects",
        sa.Column("id", big_id, nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stream_rejects"),
        sa.UniqueConstraint("stream", "entry_id", name="uq_stream_rejects_stream_entry_id"),
    )
    op.create_table(
        "consent_events",
        sa.Column("id", big_id, nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("owner_id", small_id, nullable=False),
        sa.Column("topic", sa.Text()),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("event_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("received_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("text_version", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_consent_events"),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name="fk_consent_events_owner_id"),
        sa.CheckConstraint("event IN ('granted', 'refused', 'withdrawn')", name=op.f("ck_consent_events_event")),
    )
    op.create_index(
        "ix_consent_events_recipient_owner_id_event_at_ms_event",
        "consent_events",
        ["recipient", "owner_id", "event_at_ms", "event"],
    )
    op.create_table(
        "whitelist",
        sa.Column("id", big_id, nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text()),
        sa.Column("recipients", sa.JSON()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at_ms", sa.BigInteger()),
        sa.Column("created_by", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_whitelist"),
        sa.CheckConstraint("scope IN ('sender', 'sender-recipients', 'owner')", name=op.f("ck_whitelist_scope")),
    )


def downgrade() -> None:
    """Drop them, and every record with them."""
    for table in (
        "whitelist",
        "consent_events",
        "stream_rejects",
        "stream_positions",
        "outcomes",
        "decisions",
        "owners",
    ):
        op.drop_table(table)
