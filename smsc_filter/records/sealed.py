"""A column of texts that are sealed at rest, where the database was opened with keys (``records.text_keys``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Dialect, Engine, Text
from sqlalchemy.types import TypeDecorator

from smsc_filter.policy.record import COLUMNS, DecisionRow
from smsc_filter.records.text_keys import TextKeyError, TextKeys

_keys: WeakKeyDictionary[Dialect, TextKeys] = WeakKeyDictionary()
"""By the dialect of an engine, which is all that a type hears of it."""


def use_text_keys(engine: Engine, keys: TextKeys) -> None:
    """Seal and open the texts of ``engine`` with ``keys``; before it is used for the first time."""
    _keys[engine.dialect] = keys


def text_keys_of(engine: Engine) -> TextKeys | None:
    """The keys an engine was opened with."""
    return _keys.get(engine.dialect)


class SealedText(TypeDecorator[str]):
    """Text; sealed when written and opened when read. It cannot be compared or searched in SQL."""

    impl = Text
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None] | None:
        """Seal what is written, where texts are sealed."""
        keys = _keys.get(dialect)
        if keys is None or not keys.sealing:
            return None
        seal = keys.seal
        return lambda value: None if value is None else seal(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], str | None] | None:
        """Open what is read; a text whose key is missing reads as a sentence that says so."""
        keys = _keys.get(dialect)
        return None if keys is None else lambda value: None if value is None else _opened(keys, value)


TEXT: Final = COLUMNS.index("text")


def opened_texts(rows: Sequence[DecisionRow], keys: TextKeys) -> list[DecisionRow]:
    """Rows as they came from the stream, with their texts opened."""
    return [cast(DecisionRow, (*row[:TEXT], _opened(keys, cast(str, row[TEXT])), *row[TEXT + 1 :])) for row in rows]


def _opened(keys: TextKeys, value: str) -> str:
    try:
        return keys.open(value)
    except TextKeyError as error:
        return f"({error})"
