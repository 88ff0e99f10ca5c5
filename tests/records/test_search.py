"""Each search goes along an index, in the order of time: nothing is sorted, and no table is read through."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.dialects import postgresql, sqlite

from smsc_filter.records.database import writing
from smsc_filter.records.decisions import insert_decisions
from smsc_filter.records.search import Wanted, find, plan_statements
from tests.web.console.conftest import decision_row

BY_INDEX = [
    pytest.param(Wanted(), "pk_decisions", "PRIMARY KEY", id="newest"),
    pytest.param(Wanted(least_score=9000), "pk_decisions", "PRIMARY KEY", id="score"),
    pytest.param(Wanted(owner="a"), "pk_decisions", "PRIMARY KEY", id="owner"),
    pytest.param(Wanted(cause="admitted"), "pk_decisions", "PRIMARY KEY", id="admitted"),
    *(
        pytest.param(wanted, f"ix_decisions_{column}", f"ix_decisions_{column}", id=name)
        for name, wanted, column in (
            ("recipient", Wanted(recipient="1"), "recipient"),
            ("recipient-and-more", Wanted(recipient="1", source="2", cause="no-consent", least_score=1), "recipient"),
            ("sender", Wanted(source="2"), "source"),
            ("sender-admitted", Wanted(source="2", cause="admitted"), "source"),
            ("cause", Wanted(cause="no-consent"), "cause"),
            ("owner-refused", Wanted(owner="a", cause="refused"), "owner"),
        )
    ),
]


@pytest.mark.parametrize(("wanted", "on_postgresql", "on_sqlite"), BY_INDEX)
def test_a_search_goes_by_its_index(engine: Engine, wanted: Wanted, on_postgresql: str, on_sqlite: str) -> None:
    is_sqlite = engine.dialect.name == "sqlite"
    dialect = sqlite.dialect() if is_sqlite else postgresql.dialect()
    for statement in plan_statements(engine, wanted):
        sql = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        with engine.connect() as connection:
            if not is_sqlite:
                # An empty table is read through, whatever there is to go by.
                connection.execute(text("SET enable_seqscan = off"))
                connection.execute(text("SET enable_bitmapscan = off"))
                connection.execute(text("SET enable_sort = off"))
            rows = connection.exec_driver_sql(f"EXPLAIN {'QUERY PLAN' if is_sqlite else ''} {sql}").all()
        plan = "\n".join(str(row[-1]) for row in rows)
        assert (on_sqlite if is_sqlite else on_postgresql) in plan, plan
        if is_sqlite and on_sqlite.startswith("ix_"):
            assert "id>? AND id<?" in plan, plan
        assert "Sort" not in plan
        assert "TEMP B-TREE" not in plan


def test_the_index_that_leads_is_no_planner_s_choice(engine: Engine) -> None:
    """Nine of ten rows have the cause, and by the key they would be found soonest, or so it looks."""
    rows = [decision_row(number, cause="no-consent" if number % 10 else "") for number in range(5_000)]
    with writing(engine) as connection:
        insert_decisions(connection, rows)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    is_sqlite = engine.dialect.name == "sqlite"
    for statement in plan_statements(engine, Wanted(cause="no-consent")):
        sql = str(statement.compile(engine, compile_kwargs={"literal_binds": True})).replace("%%", "%")
        with engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN {'QUERY PLAN' if is_sqlite else ''} {sql}").all()
        assert "ix_decisions_cause" in str(plan) or "Seq Scan" in str(plan), plan
        assert "pk_decisions" not in str(plan), plan


def test_nothing_on_record_is_nothing_found(engine: Engine) -> None:
    found = find(engine, Wanted(recipient="1", least_score=5))
    assert (found.decisions, found.next_before) == ([], None)
