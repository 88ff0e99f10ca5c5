"""Who said it: names of events tell an owner's word from the subscriber's; claims wait for an operator's review."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

BEFORE = "event IN ('requested', 'granted', 'refused', 'withdrawn')"
AFTER = (
    "event IN ('requested', 'granted', 'claimed', 'listed', 'refused', 'refused-reported', 'withdrawn',"
    " 'withdrawn-reported')"
)
COLUMNS = (
    "id, recipient, owner_id, topic, event, event_at_ms, received_at_ms, expires_at_ms, source, reference,"
    " text_version, evidence, evidence_name, salt, proof_salt, proof_digest, digest, chain, mark"
)


def upgrade() -> None:
    """Let events have the new names, and make the table of claims."""
    _check(AFTER)
    big_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    small_id = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "consent_claims",
        sa.Column("event_id", big_id, autoincrement=False, nullable=False),
        sa.Column("owner_id", small_id, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False, server_default=""),
        sa.Column("by", sa.Text(), nullable=False, server_default=""),
        sa.Column("reason", sa.Text(), nullable=False, server_default=""),
        sa.Column("decided_at_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_consent_claims")),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name=op.f("fk_consent_claims_owner_id")),
        sa.CheckConstraint("verdict IN ('', 'accepted', 'rejected')", name=op.f("ck_consent_claims_verdict")),
    )
    op.create_index("ix_consent_claims_open", "consent_claims", ["verdict", "event_id"])
    op.add_column("imports", sa.Column("held", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Go back; fails where an event has one of the new names, since what was sealed cannot be renamed."""
    op.drop_column("imports", "held")
    op.drop_table("consent_claims")
    _check(BEFORE)


def _check(condition: str) -> None:
    if op.get_context().dialect.name != "sqlite":
        op.drop_constraint(op.f("ck_consent_events_event"), "consent_events", type_="check")
        op.create_check_constraint(op.f("ck_consent_events_event"), "consent_events", condition)
        return
    # SQLite changes no constraint in place.
    op.drop_index("ix_consent_events_pair", "consent_events")
    op.drop_index("ix_consent_events_mark", "consent_events")
    op.rename_table("consent_events", "consent_events_before")
    op.create_table(
        "consent_events",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("recipient", sa.Text()),
        sa.Column("owner_id", sa.Integer()),
        *(sa.Column(name, sa.Text()) for name in ("topic", "event")),
        *(sa.Column(name, sa.BigInteger()) for name in ("event_at_ms", "received_at_ms", "expires_at_ms")),
        *(sa.Column(name, sa.Text()) for name in ("source", "reference", "text_version", "evidence", "evidence_name")),
        *(sa.Column(name, sa.LargeBinary()) for name in ("salt", "proof_salt", "proof_digest", "digest")),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.Column("mark", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_events")),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name=op.f("fk_consent_events_owner_id")),
        sa.CheckConstraint(condition, name=op.f("ck_consent_events_event")),
    )
    op.execute(f"INSERT INTO consent_events ({COLUMNS}) SELECT {COLUMNS} FROM consent_events_before ORDER BY id")  # noqa: S608 - our names
    op.drop_table("consent_events_before")
    op.create_index(
        "ix_consent_events_pair",
        "consent_events",
        ["recipient", "owner_id", "event_at_ms", "event", "topic", "expires_at_ms"],
    )
    op.create_index("ix_consent_events_mark", "consent_events", ["mark"], sqlite_where=sa.text("mark IS NOT NULL"))
