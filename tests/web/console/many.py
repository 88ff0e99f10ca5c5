"""Every page over many decisions: how long each takes, and by which index.

    python -m tests.web.console.many --rows 10000000                    SQLite
    python -m tests.web.console.many --rows 10000000 --postgresql       a private PostgreSQL

The rows are made by the database itself: 30 days of messages of 50 owners, 1,000 senders and 5,000,000 recipients,
three of ten refused, one cause much rarer than the others. Kept with ``--folder`` they are not made again.
"""

# ruff: noqa: T201 - it tells what it measured

from __future__ import annotations

import argparse
import contextlib
import logging
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis
import redis.asyncio
import structlog
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event, text

from smsc_filter.policy.record import id_to_text
from smsc_filter.records.audit import Actor
from smsc_filter.records.database import open_database
from smsc_filter.records.recent import KEPT_SECONDS
from smsc_filter.records.users import Role, add_user
from smsc_filter.service.build_web import web_context
from smsc_filter.web.app import make_app
from tests.records.postgres import running_postgres
from tests.records.valkey import running_valkey
from tests.web.console.conftest import PASSWORD, Person, csrf_in, settings_for

NOW = 1_767_225_600
DAYS = 30
RUNS = 15

INDEXES = {
    "ix_decisions_recipient": "(recipient, id)",
    "ix_decisions_source": "(source, id)",
    "ix_decisions_cause": "(cause, id) WHERE cause <> ''",
    "ix_decisions_owner": "(owner, id) WHERE cause <> ''",
}

FINDINGS = '[["consent","no-consent","NONE for shop-ltd","Draft 2020, Art. 16"]]'

INSERT = """
INSERT INTO decisions (id, at_ms, system_id, owner, source, recipient, purpose, cause, command_status, enforced, score,
    kind, part, data_coding, text, findings, model, profile, worker)
SELECT {at} * 1048576 + n % 1000, {at}, 'shop', 'owner-' || (n * 7919 % 1000 % 50), '10690' || (1000 + n * 7919 % 1000),
    '86138' || (10000000 + (n * 48271) % 5000000),
    CASE n % 3 WHEN 0 THEN 'commercial' WHEN 1 THEN 'service' ELSE 'person' END,
    CASE WHEN n % 100000 = 7 THEN 'prohibited' WHEN n % 10 = 0 THEN 'no-consent' WHEN n % 10 = 1 THEN 'quota-spent'
        WHEN n % 10 = 2 THEN 'consent-refused' ELSE '' END,
    CASE WHEN n % 10 < 3 THEN 1040 ELSE 0 END, {true}, (n * 16807) % 10001, 'commercial', '', 8,
    '【云上商城】尊敬的会员' || n || '，周末全场五折，满二百减五十，快来抢购！拒收请回复TD',
    CASE WHEN n % 10 < 3 THEN '{findings}' END, 'default-1@2c9cb504', 'cn-2020-draft', 1
FROM {numbers}
"""

OUTCOMES = """
INSERT INTO outcomes (decision_id, at_ms, command_status, message_id)
SELECT id, at_ms + 3 + id % 20, 0, 'm' || id FROM decisions WHERE cause = '' ORDER BY id
"""

PAGES = {
    "overview": "/",
    "overview, live part": "/live",
    "decisions, newest": "/decisions",
    "decisions of a recipient": "/decisions?number=8613810048271",
    "decisions of a busy sender": "/decisions?sender=106901042",
    "decisions of a common cause": "/decisions?cause=no-consent",
    "decisions of a rare cause": "/decisions?cause=prohibited",
    "refusals of an owner": "/decisions?owner=owner-7&cause=refused",
    "an owner, admitted and refused": "/decisions?owner=owner-7",
    "an owner that sent nothing": "/decisions?owner=nobody",
    "a score that is rare": "/decisions?least=0.50001&most=0.50001",
    "a recipient, a sender, a cause": "/decisions?number=8613810048271&sender=106901042&cause=quota-spent",
    "a sender with a rare cause": "/decisions?sender=106901042&cause=prohibited",
    "a day in the middle": "/decisions?from=2025-12-15T00:00:00&to=2025-12-16T00:00:00&cause=quota-spent",
    "deep in the past": "/decisions?before={old}",
    "deep in the past of a sender": "/decisions?sender=106901042&before={old}",
    "one decision": "/decisions/{one}",
    "owners": "/senders",
    "an owner": "/owners/owner-7",
    "rules": "/rules",
    "rules, what if": "/rules?threshold.person=0.8{n}",
    "lists": "/lists",
    "models": "/models",
    "consents": "/consents",
    "audit": "/audit",
    "account": "/account",
    "users": "/users",
    "appeals": "/appeals",
    "complaints": "/complaints",
    "provider": "provider:/provider",
    "provider, refusals": "provider:/provider/decisions",
    "provider, a rare cause": "provider:/provider/decisions?cause=prohibited",
    "provider, appeals": "provider:/provider/appeals",
    "provider, consents": "provider:/provider/consents",
}

KEEPING = ("/rules", "/owners/", "/provider")
"""Pages that look at the newest decisions, which are kept for some seconds."""


def fill(engine: Engine, rows: int) -> None:
    """Make ``rows`` decisions, without the indexes, and then these."""
    step = max(1, DAYS * 86_400_000 // rows)
    at = f"({(NOW - DAYS * 86_400) * 1000} + CAST(n AS BIGINT) * {step})"
    is_sqlite = engine.dialect.name == "sqlite"
    numbers = (
        f"(WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < {rows - 1}) SELECT n FROM c)"
        if is_sqlite
        else f"generate_series(0::bigint, {rows - 1}) AS s(n)"
    )
    with engine.connect() as connection:
        if is_sqlite:
            connection.exec_driver_sql("PRAGMA cache_size = -400000")
        else:
            connection.execute(text("SET maintenance_work_mem = '512MB'"))
        for name in INDEXES:
            connection.execute(text(f"DROP INDEX IF EXISTS {name}"))
        insert = INSERT.format(at=at, true="1" if is_sqlite else "true", findings=FINDINGS, numbers=numbers)
        connection.execute(text(insert))
        for name, columns in INDEXES.items():
            connection.execute(text(f"CREATE INDEX {name} ON decisions {columns}"))
        connection.execute(text(OUTCOMES))
        for table, unit, key in (("verdict_minutes", 60_000, ""), ("verdict_hours", 3_600_000, "owner, ")):
            name = "minute" if not key else "hour"
            connection.exec_driver_sql(
                f"INSERT INTO {table} ({name}, {key}cause, count) SELECT at_ms / {unit}, {key}cause, count(*) "
                f"FROM decisions GROUP BY at_ms / {unit}, {key}cause"
            )
        connection.commit()


@contextlib.contextmanager
def database(options: argparse.Namespace) -> Iterator[Engine]:
    """A database with the rows in it."""
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = ""
        if options.postgresql:
            url = stack.enter_context(running_postgres()).format(name="postgres")
        engine = open_database(url, folder)
        stack.callback(engine.dispose)
        with engine.connect() as connection:
            there = connection.execute(text("SELECT count(*) FROM (SELECT id FROM decisions LIMIT 1) AS one")).scalar()
        if not there:
            began = time.monotonic()
            fill(engine, options.rows)
            print(f"{options.rows:,} rows made in {time.monotonic() - began:.0f} s")
        if options.postgresql:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE"))
        yield engine


class Asked:
    """The statements that pages put to the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seen: dict[tuple[str, str], Any] = {}
        event.listen(engine, "before_cursor_execute", self._note)

    def _note(self, _connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT") and (found := TABLES.search(statement)):
            self._seen.setdefault((found[0], statement), parameters)

    def take(self) -> list[tuple[str, str, Any]]:
        """(table, statement, parameters) since this was last called."""
        taken = [(table, statement, parameters) for (table, statement), parameters in self._seen.items()]
        self._seen.clear()
        return taken

    def roads(self, taken: list[tuple[str, str, Any]]) -> list[str]:
        """By which index the database finds the rows of the great tables."""
        is_sqlite = self._engine.dialect.name == "sqlite"
        found = []
        with self._engine.connect() as connection:
            for _, statement, parameters in taken:
                rows = connection.exec_driver_sql(
                    f"EXPLAIN {'QUERY PLAN' if is_sqlite else ''} {statement}", parameters
                ).all()
                self._seen.clear()
                found += [road for row in rows if (road := road_of(str(row[-1]), bounded="LIMIT" in statement))]
        return sorted(set(found))


TABLES = re.compile(r"\b(decisions|outcomes|verdict_minutes|verdict_hours)\b")


def road_of(step: str, *, bounded: bool) -> str:
    """One step of a plan as "table: index"; "" where it is about something else."""
    if sqlite_step := re.search(
        r"(SCAN|SEARCH) (\w+)(?: AS \w+)?(?: USING (?:COVERING )?(INDEX \w+|INTEGER PRIMARY KEY|PRIMARY KEY))?", step
    ):
        how, table, index = sqlite_step.groups()
        if not TABLES.fullmatch(table):
            return ""
        if index is None:
            # A table of SQLite lies in the order of its key: with a limit this reads its newest rows.
            return f"{table}: key, newest rows" if bounded else f"{table}: ALL ROWS"
        return f"{table}: {index.removeprefix('INDEX ')}".replace("INTEGER PRIMARY KEY", "key").replace(
            "PRIMARY KEY", "key"
        )
    if pg_bitmap := re.search(r"Bitmap Index Scan on (\w+)", step):
        return f"bitmap of {pg_bitmap[1]}"
    if pg_step := re.search(r"(Seq|Index|Index Only) Scan(?: Backward)?(?: using (\w+))? on (\w+)", step):
        how, index, table = pg_step.groups()
        if not TABLES.fullmatch(table):
            return ""
        return f"{table}: {'ALL ROWS' if how == 'Seq' else index.replace(f'pk_{table}', 'key')}"
    return ""


def main() -> None:
    """Fill, measure, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the SQLite file is kept")
    parser.add_argument("--fill-only", action="store_true")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with database(options) as engine, running_valkey() as socket, tempfile.TemporaryDirectory() as folder:
        if options.fill_only:
            return
        measure(engine, socket, Path(folder), options.rows)


def measure(engine: Engine, socket: Path, folder: Path, rows: int) -> None:
    """Ask every page ``RUNS`` times."""
    writer = redis.Redis(unix_socket_path=str(socket))
    store = redis.asyncio.Redis(unix_socket_path=str(socket))
    step = max(1, DAYS * 86_400_000 // rows)
    end = (NOW - DAYS * 86_400) + rows * step / 1000
    context = web_context(settings_for(folder, f"unix://{socket}"), engine, store, writer, lambda: end)
    ids = {
        "old": id_to_text(((NOW - DAYS * 86_400) * 1000 + 1_000_000) << 20),
        "one": id_to_text((((NOW - DAYS * 86_400) * 1000 + step * (rows // 2)) << 20) + rows // 2 % 1000),
    }
    people: dict[str, Person] = {}
    with TestClient(make_app(context)) as client:
        for role, owner in ((Role.ADMIN, None), (Role.PROVIDER, "owner-7")):
            name = f"{role.value}-{time.time_ns() % 10**9}"
            add_user(engine, name=name, role=role, owner=owner, password=PASSWORD, actor=Actor("test"), now=end)
            person = people[role.value] = Person(TestClient(client.app, headers={"Accept-Language": "en"}))
            page = person.client.get("/console/login")
            data = {"csrf": csrf_in(page.text), "name": name, "password": PASSWORD}
            assert person.client.post("/console/login", data=data, follow_redirects=False).status_code == 303
        print(f"{'page':<34}{'median ms':>10}{'first':>8}{'slowest':>9}  rows are found by")
        worst, asked = 0.0, Asked(engine)
        for name, path in PAGES.items():
            who, _, path = path.rpartition(":") if path.startswith("provider:") else ("admin", "", path)
            took = []
            # What was kept of recent decisions is too old by then, so that the first one has to read.
            time.sleep(KEPT_SECONDS if path.startswith(KEEPING) else 0)
            asked.take()
            for number in range(RUNS):
                began = time.perf_counter()
                answer = people[who].get(path.format(**ids, n=number))
                took.append((time.perf_counter() - began) * 1000)
                assert answer.status_code == 200, (name, answer.status_code)
            worst = max(worst, statistics.median(took))
            roads = "; ".join(asked.roads(asked.take()))
            print(f"{name:<34}{statistics.median(took):>10.1f}{took[0]:>8.1f}{max(took):>9.1f}  {roads}", flush=True)
        print(f"slowest median {worst:.1f} ms over {rows:,} decisions on {engine.dialect.name}")


if __name__ == "__main__":
    main()
