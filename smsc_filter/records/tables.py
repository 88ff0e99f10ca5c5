"""The tables of the records of law, as SQLAlchemy Core sees them; ``migrations/`` makes them.

Types are those that SQLite and PostgreSQL share. Times are epoch milliseconds (``_ms``): integers compare
alike everywhere and need no zone. Ids are 64 bits; on SQLite that must read ``INTEGER``, for only then is
the key the row id itself and an insert touches one tree instead of two.
"""

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from smsc_filter.records.sealed import SealedText

NAMING: Final = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}
"""Every constraint has a name on every database, so that a later migration can find it."""

metadata: Final = MetaData(naming_convention=NAMING)

_BIG_ID = BigInteger().with_variant(Integer(), "sqlite")
_SMALL_ID = SmallInteger().with_variant(Integer(), "sqlite")

_REFUSED = text("cause <> ''")

owners: Final = Table(
    "owners",
    metadata,
    Column("id", _SMALL_ID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
)
"""Who answers for senders. The id is small because the projection repeats it in every consent."""

decisions: Final = Table(
    "decisions",
    metadata,
    Column("id", _BIG_ID, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("system_id", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("command_status", BigInteger, nullable=False),  # 32 bits without a sign
    Column("enforced", Boolean, nullable=False),
    Column("score", SmallInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("data_coding", SmallInteger, nullable=False),
    Column("text", SealedText, nullable=False),
    Column("findings", Text),
    Column("model", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("worker", Integer, nullable=False),
    Index("ix_decisions_recipient", "recipient", "id"),
    Index("ix_decisions_source", "source", "id"),
    Index("ix_decisions_cause", "cause", "id", sqlite_where=_REFUSED, postgresql_where=_REFUSED),
    Index("ix_decisions_owner", "owner", "id", sqlite_where=_REFUSED, postgresql_where=_REFUSED),
)
"""One row a message, refused or not; ``policy.record`` says what the columns mean. Each index costs every message, so
it comes with the question that needs it (``records.search``); those of cause and owner hold refusals alone. An id
begins with the time, so that every index is in the order of time as well."""

outcomes: Final = Table(
    "outcomes",
    metadata,
    Column("decision_id", _BIG_ID, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("command_status", BigInteger, nullable=False),
    Column("message_id", Text, nullable=False),
)
"""What the SMSC answered. No foreign key: it travels on a stream of its own and may arrive first."""

stream_positions: Final = Table(
    "stream_positions",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("last_id", Text, nullable=False),
)
"""How far each stream has been moved; changes in the transaction that stores what was moved."""

stream_rejects: Final = Table(
    "stream_rejects",
    metadata,
    Column("id", _BIG_ID, primary_key=True),
    Column("stream", Text, nullable=False),
    Column("entry_id", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("error", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    UniqueConstraint("stream", "entry_id"),
)
"""Entries nobody could read, as ``spool.pack_fields`` writes them, kept until somebody looks."""

consent_events: Final = Table(
    "consent_events",
    metadata,
    Column("id", _BIG_ID, primary_key=True, autoincrement=False),
    Column("recipient", Text),
    Column("owner_id", _SMALL_ID, ForeignKey(owners.c.id)),
    Column("topic", Text),
    Column("event", Text),
    Column("event_at_ms", BigInteger),
    Column("received_at_ms", BigInteger),
    Column("expires_at_ms", BigInteger),
    Column("source", Text),
    Column("reference", Text),
    Column("text_version", Text),
    Column("evidence", Text),
    Column("evidence_name", Text),
    Column("salt", LargeBinary),
    Column("proof_salt", LargeBinary),
    Column("proof_digest", LargeBinary),
    Column("digest", LargeBinary),
    Column("chain", LargeBinary, nullable=False),
    Column("mark", LargeBinary),
    CheckConstraint(
        "event IN ('requested', 'granted', 'claimed', 'listed', 'refused', 'refused-reported', 'withdrawn',"
        " 'withdrawn-reported')",
        name="event",
    ),
    # Holds all that the state of a consent follows from: finding or rebuilding it never touches the table.
    Index(
        "ix_consent_events_pair",
        *("recipient", "owner_id", "event_at_ms", "event", "topic", "expires_at_ms"),
    ),
    Index(
        "ix_consent_events_mark",
        "mark",
        sqlite_where=text("mark IS NOT NULL"),
        postgresql_where=text("mark IS NOT NULL"),
    ),
)
"""Append-only: what a recipient told an owner, when it happened and when we learned of it.

``id`` is its place in the chain (``records.chain``). Retention takes first the proof and then the rest of a row, and
leaves what the chain needs: the digest of what has gone. ``mark`` stands for the recipient and owner of what was said
last, so that an older grant revives nothing even then (``records.retention``)."""

consent_claims: Final = Table(
    "consent_claims",
    metadata,
    Column("event_id", _BIG_ID, primary_key=True, autoincrement=False),
    Column("owner_id", _SMALL_ID, ForeignKey(owners.c.id), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("verdict", Text, nullable=False, server_default=""),
    Column("by", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Column("decided_at_ms", BigInteger),
    CheckConstraint("verdict IN ('', 'accepted', 'rejected')", name="verdict"),
    Index("ix_consent_claims_open", "verdict", "event_id"),
)
"""Grants an owner claims although the recipient had refused: ``event_id`` of each, and what an operator made of it.

``at_ms`` is when it came. Whether it is held back follows from the events alone (``policy.consent.claims``)."""

chain_heads: Final = Table(
    "chain_heads",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("chain", LargeBinary, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("projected", BigInteger, nullable=False),
    Column("mark_key", LargeBinary, nullable=False),
)
"""The end of the chain of consent events. Whoever appends holds its row until the commit, so events come one after
another and whatever is visible has no gap. ``revision`` counts the transactions that changed what consents say;
``projected`` is the one the hot state is known to have."""

outbox: Final = Table(
    "outbox",
    metadata,
    Column("id", _BIG_ID, primary_key=True, autoincrement=False),
    Column("first_id", BigInteger),
    Column("last_id", BigInteger),
    Column("pairs", JSON(none_as_null=True)),
)
"""What the hot state has yet to learn: the consents of a run of events, or a list of [recipient, owner id]. A row
comes in the transaction that makes the change and goes once it is projected. Its id is the revision that change made:
SQLite would give the id of a row that has gone to the next one, and who is late would take that away."""

imports: Final = Table(
    "imports",
    metadata,
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("finished_at_ms", BigInteger),
    Column("lines", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("repeated", BigInteger, nullable=False),
    Column("wrong", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False, server_default="0"),
)
"""How far each import has come; changes in the transaction that stores its rows."""

holds: Final = Table(
    "holds",
    metadata,
    Column("id", _BIG_ID, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("placed_at_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger),
    Column("released_at_ms", BigInteger),
    CheckConstraint("kind IN ('decision', 'consent', 'recipient', 'owner')", name="kind"),
)
"""What no purge may touch, for as long as an appeal or a complaint is open."""

whitelist: Final = Table(
    "whitelist",
    metadata,
    Column("id", _BIG_ID, primary_key=True),
    Column("scope", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("sender", Text),
    Column("recipients", JSON(none_as_null=True)),
    Column("reason", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("revoked_at_ms", BigInteger),
    Column("created_by", Text),
    Column("sketch", LargeBinary),
    CheckConstraint("scope IN ('sender', 'sender-recipients', 'owner', 'cluster')", name="scope"),
)
"""What granted appeals allow; an entry is never deleted, only revoked."""

tokens: Final = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("owner", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("revoked_at_ms", BigInteger),
    Index(None, "owner"),
)
"""Never deleted, only revoked: who could do what, and when, stays answerable."""

jobs: Final = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("node", Integer, nullable=False),
    Column("owner", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("state", Text, nullable=False),
    Column("octets", BigInteger, nullable=False),
    Column("progress", JSON, nullable=False),
    Column("error", Text),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    UniqueConstraint("owner", "kind", "key"),
)
"""``node`` is the machine that has the file of the job, and so does it."""

decline_lists: Final = Table(
    "decline_lists",
    metadata,
    Column("id", _SMALL_ID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("version", BigInteger, nullable=False),
)

decline_versions: Final = Table(
    "decline_versions",
    metadata,
    Column("list_id", _SMALL_ID, ForeignKey(decline_lists.c.id), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("base", BigInteger),
    Column("sha256", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("synced_at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("list_id", "version"),
)
"""Every sync there was; without ``base`` it was a whole list."""

decline_wishes: Final = Table(
    "decline_wishes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("spelling", Text, nullable=False, unique=True),
)
"""The id is the code in a page of the hot state, so it is never given to another wish."""

declines: Final = Table(
    "declines",
    metadata,
    Column("number", BigInteger, nullable=False),
    Column("list_id", _SMALL_ID, ForeignKey(decline_lists.c.id), nullable=False),
    Column("wish_id", Integer, ForeignKey(decline_wishes.c.id), nullable=False),
    PrimaryKeyConstraint("number", "list_id"),
    # The key is all there is: without a row id behind it a number takes one tree instead of two.
    sqlite_with_rowid=False,
)

decline_staged: Final = Table(
    "decline_staged",
    metadata,
    Column("sync", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("wish_id", Integer),
    PrimaryKeyConstraint("sync", "number"),
    sqlite_with_rowid=False,
)
"""A file while it is read. Without a wish the number leaves the list."""

decline_pages: Final = Table(
    "decline_pages",
    metadata,
    Column("page", BigInteger, primary_key=True, autoincrement=False),
)
"""Pages the hot state has to learn anew."""
alarms: Final = Table(
    "alarms",
    metadata,
    Column("id", _BIG_ID, primary_key=True),
    Column("key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("first_at_ms", BigInteger, nullable=False),
    Column("last_at_ms", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("webhook", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("try_at_ms", BigInteger, nullable=False),
    CheckConstraint("severity IN ('notice', 'warning', 'critical')", name="severity"),
    CheckConstraint("webhook IN ('', 'due', 'sent', 'given-up')", name="webhook"),
    Index(None, "key", "last_at_ms"),
    Index(None, "webhook", "try_at_ms"),
)
"""What the watcher raised: one row a key and quiet period, with how often; ``webhook`` tells its delivery."""

watch_checkpoints: Final = Table(
    "watch_checkpoints",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("last_decision_id", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
"""What the watcher knew when it last wrote it down; nothing of law, and safe to delete."""

notices: Final = Table(
    "notices",
    metadata,
    Column("id", _BIG_ID, primary_key=True),
    Column("scope", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    CheckConstraint("scope IN ('sender', 'account', 'owner')", name="scope"),
)
"""Append-only: what a party was told before it was suspended, when, how and by whom."""

measures: Final = Table(
    "measures",
    metadata,
    Column("id", _BIG_ID, primary_key=True),
    Column("step", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("article", Text, nullable=False),
    Column("notice_id", _BIG_ID, ForeignKey(notices.c.id)),
    Column("appeal_code", Text, nullable=False, unique=True),
    Column("appeal_id", Text),
    Column("per_hour", Integer),
    Column("binds", JSON(none_as_null=True)),
    Column("begins_at_ms", BigInteger, nullable=False),
    Column("ends_at_ms", BigInteger),
    Column("lifted_at_ms", BigInteger),
    CheckConstraint("step IN ('warn', 'throttle', 'no-new-resources', 'suspend')", name="step"),
    CheckConstraint("scope IN ('sender', 'account', 'owner')", name="scope"),
    CheckConstraint("step <> 'suspend' OR notice_id IS NOT NULL", name="notice"),
)
"""Measures against a party; never deleted, only lifted. The database itself refuses a suspension without notice."""

tellings: Final = Table(
    "tellings",
    metadata,
    Column("measure_id", _BIG_ID, ForeignKey(measures.c.id), primary_key=True, autoincrement=False),
    Column("by_message", Boolean, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
"""Measures somebody was told of by message, or where there was nobody to tell so: one row each."""

measure_events: Final = Table(
    "measure_events",
    metadata,
    Column("id", _BIG_ID, primary_key=True),
    Column("measure_id", _BIG_ID, ForeignKey(measures.c.id), nullable=False),
    Column("event", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("note", Text, nullable=False),
    CheckConstraint("event IN ('imposed', 'lifted', 'appealed')", name="event"),
)
"""Append-only: who did what to a measure, when and why."""

appeal_codes: Final = Table(
    "appeal_codes",
    metadata,
    Column("code", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("party", Text, nullable=False),
    Column("issued_at_ms", BigInteger, nullable=False),
    UniqueConstraint("kind", "subject", "party"),
)
"""What a party names to object to something; ``party`` is the one number that may use it, "" for whoever has it. Those
of measures stand with the measures."""

appeals: Final = Table(
    "appeals",
    metadata,
    Column("id", _BIG_ID, primary_key=True),
    Column("state", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("appellant_kind", Text, nullable=False),
    Column("appellant", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("opened_at_ms", BigInteger, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("due_at_ms", BigInteger),
    Column("due_certain", Boolean, nullable=False),
    Column("told", Text, nullable=False),
    Column("decided_at_ms", BigInteger),
    Column("decided_by", Text),
    Column("decision", Text),
    Column("whitelist_id", _BIG_ID, ForeignKey(whitelist.c.id)),
    CheckConstraint(
        "state IN ('open', 'needs-information', 'granted', 'refused', 'withdrawn', 'expired')", name="state"
    ),
    CheckConstraint("appellant_kind IN ('owner', 'person', 'operator')", name="appellant_kind"),
    CheckConstraint("told IN ('', 'reminded', 'overdue')", name="told"),
    Index(None, "state", "due_at_ms"),
    Index(None, "appellant_kind", "appellant", "opened_at_ms"),
    Index(None, "kind", "subject"),
    Index(None, "owner", "id"),
)
"""``since_ms``: from when the clock of the state runs; ``told``: what the alarms have said of it."""

appeal_events: Final = Table(
    "appeal_events",
    metadata,
    Column("id", _BIG_ID, primary_key=True),
    Column("appeal_id", _BIG_ID, ForeignKey(appeals.c.id), nullable=False),
    Column("event", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("evidence", JSON(none_as_null=True)),
    Index(None, "appeal_id"),
)
"""Append-only: who did what to an appeal, when and why. ``evidence``: SHA-256 of files, or ids of decisions."""

model_cases: Final = Table(
    "model_cases",
    metadata,
    Column("id", _BIG_ID, primary_key=True),
    Column("appeal_id", _BIG_ID, ForeignKey(appeals.c.id)),
    Column("complaint_id", _BIG_ID),
    Column("text", SealedText, nullable=False),
    Column("kind", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("dropped_at_ms", BigInteger),
    CheckConstraint("label IN ('commercial', 'other')", name="label"),
)
"""Texts whose label somebody vouches for; files of cases are written from it."""

complaints: Final = Table(
    "complaints",
    metadata,
    Column("id", _BIG_ID, primary_key=True),
    Column("number", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("complainant", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("content", SealedText, nullable=False),
    Column("category", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("message_at_ms", BigInteger),
    Column("received_at_ms", BigInteger, nullable=False),
    Column("recorded_at_ms", BigInteger, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("due_at_ms", BigInteger),
    Column("due_certain", Boolean, nullable=False),
    Column("told", Text, nullable=False),
    Column("outcome", Text),
    Column("outcome_note", Text),
    Column("measure_id", _BIG_ID, ForeignKey(measures.c.id)),
    CheckConstraint("state IN ('received', 'forwarded', 'decided', 'told', 'withdrawn')", name="state"),
    CheckConstraint("outcome IN ('upheld', 'unfounded', 'not-ours')", name="outcome"),
    CheckConstraint("told IN ('', 'reminded', 'overdue')", name="told"),
    Index(None, "state", "due_at_ms"),
    Index(None, "owner", "id"),
    Index(None, "received_at_ms"),
)
"""``number`` is whoever took the complaint in's name for it; the same again is the same complaint."""

complaint_decisions: Final = Table(
    "complaint_decisions",
    metadata,
    Column("complaint_id", _BIG_ID, ForeignKey(complaints.c.id), nullable=False),
    Column("decision_id", _BIG_ID, nullable=False),
    PrimaryKeyConstraint("complaint_id", "decision_id"),
    Index(None, "decision_id"),
)
"""Which messages a complaint is about. No foreign key: a decision may go by retention before its complaint does."""

complaint_events: Final = Table(
    "complaint_events",
    metadata,
    Column("id", _BIG_ID, primary_key=True),
    Column("complaint_id", _BIG_ID, ForeignKey(complaints.c.id), nullable=False),
    Column("event", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("note", Text, nullable=False),
    Index(None, "complaint_id"),
)
"""Append-only: who did what to a complaint, when and why."""

users: Final = Table(
    "users",
    metadata,
    Column("id", _BIG_ID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("owner", Text),
    Column("password", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("disabled_at_ms", BigInteger),
    CheckConstraint("role IN ('viewer', 'operator', 'reviewer', 'admin', 'provider')", name="role"),
    CheckConstraint("(role = 'provider') = (owner IS NOT NULL)", name="owner"),
)
"""Who may sign in to the console. ``password`` is an argon2 hash; nobody is deleted, only disabled."""

sessions: Final = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("user_id", _BIG_ID, ForeignKey(users.c.id), nullable=False),
    Column("csrf", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
    Index(None, "user_id"),
)
"""Who is signed in; of the secret in the browser only the SHA-256 is kept."""

audit: Final = Table(
    "audit",
    metadata,
    Column("id", _BIG_ID, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("before", JSON(none_as_null=True)),
    Column("after", JSON(none_as_null=True)),
    Column("address", Text, nullable=False),
)
"""Append-only: who changed what, from what to what, and from which network address."""

labels: Final = Table(
    "labels",
    metadata,
    Column("id", _BIG_ID, primary_key=True),
    Column("decision_id", BigInteger, nullable=False),
    Column("label", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index(None, "decision_id"),
)
"""Append-only: what a person says a text is; the newest counts. No foreign key: a decision may be purged first."""

rule_versions: Final = Table(
    "rule_versions",
    metadata,
    Column("id", _BIG_ID, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("based_on", BigInteger, nullable=False),
    Column("body", JSON, nullable=False),
)
"""Append-only: what an operator set over the configuration, whole each time; the newest holds. Whoever writes names
the version it is based on, so that two people do not undo each other unseen."""

verdict_minutes: Final = Table(
    "verdict_minutes",
    metadata,
    Column("minute", BigInteger, nullable=False),
    Column("cause", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    PrimaryKeyConstraint("minute", "cause"),
    sqlite_with_rowid=False,
)
"""How many verdicts of each cause ("" for admitted) fell in a minute of the epoch: counting them anew would read
every decision of a day."""

verdict_hours: Final = Table(
    "verdict_hours",
    metadata,
    Column("hour", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    PrimaryKeyConstraint("hour", "owner", "cause"),
    sqlite_with_rowid=False,
)
"""The same of each owner, by the hour."""

portal_challenges: Final = Table(
    "portal_challenges",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("recipient", Text, nullable=False),
    Column("network", Text, nullable=False),
    Column("code", LargeBinary),
    Column("asked_at_ms", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("used", Boolean, nullable=False),
    Index(None, "recipient", "asked_at_ms"),
    Index(None, "network", "asked_at_ms"),
    Index(None, "asked_at_ms"),
)
"""Who asked for a code to prove a number. ``digest`` is of the word the browser keeps, and ``code`` is the code under
that word: what is here opens nothing. Without a code none was sent, which the asker is not told. Kept for a day."""

portal_sessions: Final = Table(
    "portal_sessions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("recipient", Text, nullable=False),
    Column("began_at_ms", BigInteger, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
    Index(None, "recipient"),
    Index(None, "seen_at_ms"),
)
"""Subscribers who are signed in, by the digest of the word the browser keeps."""

changes: Final = Table(
    "changes",
    metadata,
    Column("id", _BIG_ID, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("table", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("rows", JSON, nullable=False),
    CheckConstraint("kind IN ('found', 'added', 'changed', 'removed')", name="kind"),
)
"""Append-only: which rows a statement of smsc-filter touched, [key, digest after it] each (``records.journal``)."""

row_salts: Final = Table(
    "row_salts",
    metadata,
    Column("table", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("salt", Text, nullable=False),
    PrimaryKeyConstraint("table", "key"),
)
"""What the newest digest of a row in ``changes`` was salted with; goes with the row."""

seals: Final = Table(
    "seals",
    metadata,
    Column("id", _BIG_ID, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("first_id", BigInteger, nullable=False),
    Column("last_id", BigInteger, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("found", Boolean, nullable=False),
    Column("root", Text, nullable=False),
    Column("chain", Text, nullable=False),
    Column("digests", LargeBinary),
    Column("salts", LargeBinary),
    CheckConstraint("kind IN ('decisions', 'outcomes', 'changes')", name="kind"),
    Index("ix_seals_kind_last_id", "kind", "last_id"),
)
"""The chain of segments: rows of ``kind`` from ``first_id`` to ``last_id``. ``digests`` holds id and digest of each
row, ``salts`` its salt, zeros once the row was removed or changed; both go when no row of the segment is left."""

seal_heads: Final = Table(
    "seal_heads",
    metadata,
    Column("name", Text, primary_key=True),
    Column("bound", BigInteger, nullable=False),
    Column("chain", Text, nullable=False),
)
"""Up to which id each kind is sealed; of ``seals`` the last position and its chain; of ``found`` 1 once the rows from
before the seals are in ``changes``. Who writes rows shares the row of its kind, who seals has it alone."""
