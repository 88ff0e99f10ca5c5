"""Appeals with their codes and whitelist entries for a cluster of texts, cases for models, complaints."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    big_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    _widen_whitelist("'sender', 'sender-recipients', 'owner', 'cluster'", sketch=True)
    op.create_table(
        "appeal_codes",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("issued_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("code", name="pk_appeal_codes"),
        sa.UniqueConstraint("kind", "subject", "party", name="uq_appeal_codes_kind_subject_party"),
    )
    op.create_table(
        "appeals",
        sa.Column("id", big_id, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("appellant_kind", sa.Text(), nullable=False),
        sa.Column("appellant", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("opened_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_at_ms", sa.BigInteger()),
        sa.Column("due_certain", sa.Boolean(), nullable=False),
        sa.Column("told", sa.Text(), nullable=False),
        sa.Column("decided_at_ms", sa.BigInteger()),
        sa.Column("decided_by", sa.Text()),
        sa.Column("decision", sa.Text()),
        sa.Column("whitelist_id", big_id),
        sa.CheckConstraint("appellant_kind IN ('owner', 'person', 'operator')", name=op.f("ck_appeals_appellant_kind")),
        sa.CheckConstraint(
            "state IN ('open', 'needs-information', 'granted', 'refused', 'withdrawn', 'expired')",
            name=op.f("ck_appeals_state"),
        ),
        sa.CheckConstraint("told IN ('', 'reminded', 'overdue')", name=op.f("ck_appeals_told")),
        sa.ForeignKeyConstraint(["whitelist_id"], ["whitelist.id"], name="fk_appeals_whitelist_id"),
        sa.PrimaryKeyConstraint("id", name="pk_appeals"),
    )
    op.create_index(
        "ix_appeals_appellant_kind_appellant_opened_at_ms", "appeals", ["appellant_kind", "appellant", "opened_at_ms"]
    )
    op.create_index("ix_appeals_kind_subject", "appeals", ["kind", "subject"])
    op.create_index("ix_appeals_owner_id", "appeals", ["owner", "id"])
    op.create_index("ix_appeals_state_due_at_ms", "appeals", ["state", "due_at_ms"])
    op.create_table(
        "appeal_events",
        sa.Column("id", big_id, nullable=False),
        sa.Column("appeal_id", big_id, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("evidence", sa.JSON()),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeals.id"], name="fk_appeal_events_appeal_id"),
        sa.PrimaryKeyConstraint("id", name="pk_appeal_events"),
    )
    op.create_index("ix_appeal_events_appeal_id", "appeal_events", ["appeal_id"])
    op.create_table(
        "complaints",
        sa.Column("id", big_id, nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("complainant", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("message_at_ms", sa.BigInteger()),
        sa.Column("received_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_at_ms", sa.BigInteger()),
        sa.Column("due_certain", sa.Boolean(), nullable=False),
        sa.Column("told", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text()),
        sa.Column("outcome_note", sa.Text()),
        sa.Column("measure_id", big_id),
        sa.CheckConstraint("outcome IN ('upheld', 'unfounded', 'not-ours')", name=op.f("ck_complaints_outcome")),
        sa.CheckConstraint(
            "state IN ('received', 'forwarded', 'decided', 'told', 'withdrawn')", name=op.f("ck_complaints_state")
        ),
        sa.CheckConstraint("told IN ('', 'reminded', 'overdue')", name=op.f("ck_complaints_told")),
        sa.ForeignKeyConstraint(["measure_id"], ["measures.id"], name="fk_complaints_measure_id"),
        sa.PrimaryKeyConstraint("id", name="pk_complaints"),
        sa.UniqueConstraint("number", name="uq_complaints_number"),
    )
    op.create_index("ix_complaints_owner_id", "complaints", ["owner", "id"])
    op.create_index("ix_complaints_received_at_ms", "complaints", ["received_at_ms"])
    op.create_index("ix_complaints_state_due_at_ms", "complaints", ["state", "due_at_ms"])
    op.create_table(
        "model_cases",
        sa.Column("id", big_id, nullable=False),
        sa.Column("appeal_id", big_id),
        sa.Column("complaint_id", big_id),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("dropped_at_ms", sa.BigInteger()),
        sa.CheckConstraint("label IN ('commercial', 'other')", name=op.f("ck_model_cases_label")),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeals.id"], name="fk_model_cases_appeal_id"),
        sa.PrimaryKeyConstraint("id", name="pk_model_cases"),
    )
    op.create_table(
        "complaint_decisions",
        sa.Column("complaint_id", big_id, nullable=False),
        sa.Column("decision_id", big_id, nullable=False),
        sa.ForeignKeyConstraint(["complaint_id"], ["complaints.id"], name="fk_complaint_decisions_complaint_id"),
        sa.PrimaryKeyConstraint("complaint_id", "decision_id", name="pk_complaint_decisions"),
    )
    op.create_index("ix_complaint_decisions_decision_id", "complaint_decisions", ["decision_id"])
    op.create_table(
        "complaint_events",
        sa.Column("id", big_id, nullable=False),
        sa.Column("complaint_id", big_id, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["complaint_id"], ["complaints.id"], name="fk_complaint_events_complaint_id"),
        sa.PrimaryKeyConstraint("id", name="pk_complaint_events"),
    )
    op.create_index("ix_complaint_events_complaint_id", "complaint_events", ["complaint_id"])


def downgrade() -> None:
    """Drop them, and every record with them."""
    for table in (
        "complaint_events",
        "complaint_decisions",
        "model_cases",
        "complaints",
        "appeal_events",
        "appeals",
        "appeal_codes",
    ):
        op.drop_table(table)
    op.execute("DELETE FROM whitelist WHERE scope = 'cluster'")
    _widen_whitelist("'sender', 'sender-recipients', 'owner'", sketch=False)


def _widen_whitelist(scopes: str, *, sketch: bool) -> None:
    """Let the scope of an entry be one of ``scopes``. SQLite cannot change a constraint: the table is copied there."""
    name = op.f("ck_whitelist_scope")
    with op.batch_alter_table("whitelist", recreate="auto") as whitelist:
        whitelist.drop_constraint(name, type_="check")
        whitelist.create_check_constraint(name, f"scope IN ({scopes})")
        if sketch:
            whitelist.add_column(sa.Column("sketch", sa.LargeBinary()))
        else:
            whitelist.drop_column("sketch")
