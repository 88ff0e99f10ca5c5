"""Consent events get proofs, ends and a hash chain; the outbox, imports and holds come.

Events of before are sealed into the chain as they are found. What the chain hashes is written out here once more:
a migration says what was true on its day.
"""

import os
from hashlib import sha256

import orjson
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BATCH_ROWS = 10_000


def upgrade() -> None:
    """Make the tables, and move the events over."""
    big_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    small_id = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")
    op.drop_index("ix_consent_events_recipient_owner_id_event_at_ms_event", "consent_events")
    op.rename_table("consent_events", "consent_events_0001")
    if op.get_bind().dialect.name == "postgresql":
        # The names of its constraints and of its sequence would be in the way of the new table's.
        for kind in ("pk_consent_events", "fk_consent_events_owner_id", "ck_consent_events_event"):
            op.execute(f"ALTER TABLE consent_events_0001 RENAME CONSTRAINT {kind} TO {kind}_0001")
    events = op.create_table(
        "consent_events",
        sa.Column("id", big_id, autoincrement=False, nullable=False),
        sa.Column("recipient", sa.Text()),
        sa.Column("owner_id", small_id),
        sa.Column("topic", sa.Text()),
        sa.Column("event", sa.Text()),
        sa.Column("event_at_ms", sa.BigInteger()),
        sa.Column("received_at_ms", sa.BigInteger()),
        sa.Column("expires_at_ms", sa.BigInteger()),
        sa.Column("source", sa.Text()),
        sa.Column("reference", sa.Text()),
        sa.Column("text_version", sa.Text()),
        sa.Column("evidence", sa.Text()),
        sa.Column("evidence_name", sa.Text()),
        sa.Column("salt", sa.LargeBinary()),
        sa.Column("proof_salt", sa.LargeBinary()),
        sa.Column("proof_digest", sa.LargeBinary()),
        sa.Column("digest", sa.LargeBinary()),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.Column("mark", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("id", name="pk_consent_events"),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name="fk_consent_events_owner_id"),
        sa.CheckConstraint(
            "event IN ('requested', 'granted', 'refused', 'withdrawn')", name=op.f("ck_consent_events_event")
        ),
    )
    heads = op.create_table(
        "chain_heads",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("projected", sa.BigInteger(), nullable=False),
        sa.Column("mark_key", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_chain_heads"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", big_id, autoincrement=False, nullable=False),
        sa.Column("first_id", sa.BigInteger()),
        sa.Column("last_id", sa.BigInteger()),
        sa.Column("pairs", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_table(
        "imports",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("started_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("finished_at_ms", sa.BigInteger()),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("stored", sa.BigInteger(), nullable=False),
        sa.Column("repeated", sa.BigInteger(), nullable=False),
        sa.Column("wrong", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_imports"),
    )
    op.create_table(
        "holds",
        sa.Column("id", big_id, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger()),
        sa.Column("released_at_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_holds"),
        sa.CheckConstraint("kind IN ('decision', 'consent', 'recipient', 'owner')", name=op.f("ck_holds_kind")),
    )
    position, chain = _seal(events)
    moved = int(position > 0)
    # Revision 1 is one the hot state has never seen: it is made anew.
    op.bulk_insert(
        heads,
        [
            {
                "name": "consents",
                "position": position,
                "chain": chain,
                "revision": moved,
                "projected": moved,
                "mark_key": os.urandom(32),
            }
        ],
    )
    op.drop_table("consent_events_0001")
    op.create_index(
        "ix_consent_events_pair",
        "consent_events",
        ["recipient", "owner_id", "event_at_ms", "event", "topic", "expires_at_ms"],
    )
    op.create_index(
        "ix_consent_events_mark",
        "consent_events",
        ["mark"],
        sqlite_where=sa.text("mark IS NOT NULL"),
        postgresql_where=sa.text("mark IS NOT NULL"),
    )


def _seal(events: sa.Table) -> tuple[int, bytes]:
    """Copy the events of before, each bound to the one before it; the end of the chain."""
    connection = op.get_bind()
    position, chain = 0, bytes(32)
    old = sa.text(
        "SELECT e.id, e.recipient, e.owner_id, o.name, e.topic, e.event, e.event_at_ms, e.received_at_ms, e.source,"
        " e.reference, e.text_version FROM consent_events_0001 e JOIN owners o ON o.id = e.owner_id"
        " WHERE e.id > :after ORDER BY e.id LIMIT :most"
    )
    while rows := connection.execute(old, {"after": position, "most": BATCH_ROWS}).all():
        values = []
        for row in rows:
            salt, proof_salt = os.urandom(16), os.urandom(16)
            core = [row.id, row.recipient, row.name, row.topic, row.event, row.event_at_ms, row.received_at_ms, None]
            proof = [row.source, row.reference, row.text_version, None, None]
            proof_digest = sha256(proof_salt + orjson.dumps(proof)).digest()
            digest = sha256(salt + proof_digest + orjson.dumps(core)).digest()
            position, chain = row.id, sha256(chain + row.id.to_bytes(8, "big") + digest).digest()
            kept = {key: value for key, value in row._mapping.items() if key != "name"}
            values.append(kept | {"salt": salt, "proof_salt": proof_salt, "chain": chain})
        connection.execute(sa.insert(events), values)
    return position, chain


def downgrade() -> None:
    """Back to events without proofs; ends, evidence and the chain are lost, and so are requests and tombstones."""
    big_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    small_id = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")
    op.drop_index("ix_consent_events_pair", "consent_events")
    op.drop_index("ix_consent_events_mark", "consent_events")
    op.rename_table("consent_events", "consent_events_0002")
    if op.get_bind().dialect.name == "postgresql":
        for kind in ("pk_consent_events", "fk_consent_events_owner_id", "ck_consent_events_event"):
            op.execute(f"ALTER TABLE consent_events_0002 RENAME CONSTRAINT {kind} TO {kind}_0002")
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
    op.execute(
        "INSERT INTO consent_events SELECT id, recipient, owner_id, topic, event, event_at_ms, received_at_ms,"
        " coalesce(source, ''), coalesce(reference, ''), coalesce(text_version, '') FROM consent_events_0002"
        " WHERE event IN ('granted', 'refused', 'withdrawn')"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "SELECT setval(pg_get_serial_sequence('consent_events', 'id'),"
            " (SELECT coalesce(max(id), 0) + 1 FROM consent_events), false)"
        )
    op.create_index(
        "ix_consent_events_recipient_owner_id_event_at_ms_event",
        "consent_events",
        ["recipient", "owner_id", "event_at_ms", "event"],
    )
    for table in ("consent_events_0002", "holds", "imports", "outbox", "chain_heads"):
        op.drop_table(table)
