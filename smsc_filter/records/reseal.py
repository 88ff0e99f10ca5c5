"""Brings stored texts under the newest key, or, where texts are not sealed any more, back to plain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Column, Engine, Text, bindparam, select, type_coerce, update

from smsc_filter.records.database import writing
from smsc_filter.records.journal import SAME_CONTENT
from smsc_filter.records.tables import complaints, decisions, model_cases
from smsc_filter.records.text_keys import TextKeys

ROWS: Final = 2_000
"""Rows a transaction: the write lock is held some 50 ms."""

SEALED: Final[tuple[tuple[Column[int], Column[str]], ...]] = (
    (decisions.c.id, decisions.c.text),
    (complaints.c.id, complaints.c.content),
    (model_cases.c.id, model_cases.c.text),
)
"""Key and text of every table that holds texts."""


def reseal(engine: Engine, keys: TextKeys, advance: Callable[[int], object] = lambda rows: None) -> int:
    """Seal every stored text with the newest key; how many that changed. Cut off, the rest goes the next time.

    Raises:
        SqlUnavailable: the database does not answer.
        TextKeyError: a text is sealed with a key that is not there; what went before is done.
    """
    return sum(_reseal(engine, keys, key, text, advance) for key, text in SEALED)


def _reseal(
    engine: Engine, keys: TextKeys, key: Column[int], text: Column[str], advance: Callable[[int], object]
) -> int:
    newest = keys.names[-1] if keys.sealing else ""
    stored = type_coerce(text, Text).label("stored")
    write = (
        update(text.table)
        .where(key == bindparam("which"))
        .values({text.name: bindparam("sealed", type_=Text())})
        .execution_options(synchronize_session=False, **{SAME_CONTENT: True})
    )
    after, changed = -1, 0
    while True:
        with writing(engine) as connection:
            rows = connection.execute(select(key, stored).where(key > after).order_by(key).limit(ROWS)).all()
            if not rows:
                return changed
            after = rows[-1][0]
            new = []
            for which, old in rows:
                if keys.name_of(old) != newest:
                    plain = keys.open(old)
                    new.append({"which": which, "sealed": keys.seal(plain) if keys.sealing else plain})
            if new:
                connection.execute(write, new)
        changed += len(new)
        advance(len(rows))
