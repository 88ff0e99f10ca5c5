"""The newest decisions in figures, read once for all who ask within some seconds."""

from __future__ import annotations

from pathlib import Path

from smsc_filter.records.database import writing
from smsc_filter.records.decisions import insert_decisions
from smsc_filter.records.recent import Kept, Recent
from tests.web.console.conftest import decision_row

from .helpers import new_database


def test_a_value_is_kept_for_some_seconds_and_a_failure_is_not() -> None:
    now, values = [0.0], iter([1, 2, None, 3])

    def read() -> int:
        value = next(values)
        if value is None:
            raise RuntimeError("away")
        return value

    kept = Kept(read, 5.0, lambda: now[0])
    assert (kept.get(), kept.get()) == (1, 1)
    now[0] = 5.0
    assert kept.get() == 2
    now[0] = 10.0
    try:
        kept.get()
    except RuntimeError:
        pass
    else:
        raise AssertionError("the failure goes to whoever asks")
    assert kept.get() == 3


def test_recent_decisions_are_counted_by_score_and_by_sender(tmp_path: Path) -> None:
    now = [0.0]
    engine = new_database(tmp_path)
    recent = Recent(engine, 5.0, lambda: now[0])
    assert len(recent.scores("person").scores) == 0
    assert recent.senders("shop-ltd", 9) == {}
    rows = [decision_row(n, purpose="person", score=100 * n, source=f"10690{n % 2}") for n in range(1, 6)]
    with writing(engine) as connection:
        insert_decisions(connection, [*rows, decision_row(9, purpose="person", score=-1), decision_row(10)])
    assert len(recent.scores("person").scores) == 0, "kept for a while"
    now[0] = 5.0
    found = recent.scores("person")
    assert found.scores.tolist() == [500, 400, 300, 200, 100]
    assert found.reaching(300) == 3
    assert found.between(200, 500, 2) == [rows[3][0], rows[2][0]]
    assert found.histogram(250, 3) == [2, 2, 1]
    assert list(recent.senders("shop-ltd", 2).items()) == [("106901", 3), ("106900", 2)]
    assert recent.senders("bank-ltd", 9) == {}
    engine.dispose()
