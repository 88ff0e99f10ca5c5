"""Texts at rest under a key that is kept elsewhere: what is stored, what is read, and how keys change."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, Text, insert, select, type_coerce

from smsc_filter.records.database import open_database, reading, writing
from smsc_filter.records.decisions import insert_decisions
from smsc_filter.records.reseal import reseal
from smsc_filter.records.sealed import opened_texts
from smsc_filter.records.tables import decisions, model_cases
from smsc_filter.records.text_keys import MARK, TextKeyError, TextKeys, add_key, drop_old_keys

from .helpers import copy_database

TEXT = "【云上银行】验证码 428913"
ROW = (
    *(7, 1_000, "shop", "shop-ltd", "106900001", "8613800000001", "service", "", 0, True, 1, "verification", "", 8),
    *(TEXT, None, "default", "cn-2020-draft", 1),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "text.keys"
    add_key(path)
    return path


def opened(path: Path, folder: Path, *, sealing: bool = True) -> Engine:
    return open_database("", folder, TextKeys(path, sealing=sealing))


def stored(engine: Engine) -> list[str]:
    """Texts of decisions as the database holds them."""
    with reading(engine) as connection:
        return list(connection.execute(select(type_coerce(decisions.c.text, Text)).order_by(decisions.c.id)).scalars())


def read(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return list(connection.execute(select(decisions.c.text).order_by(decisions.c.id)).scalars())


@given(text=st.text(st.characters(codec=None, exclude_characters="\0"), max_size=200))
def test_what_is_sealed_opens_to_the_same_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "property.keys"
    if not path.exists():
        add_key(path)
    keys = TextKeys(path, sealing=True)
    sealed = keys.seal(text)
    assert sealed.startswith(MARK)
    assert keys.open(sealed) == text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace")


def test_equal_texts_look_different_and_equal_parts_look_the_same(path: Path) -> None:
    keys = TextKeys(path, sealing=True)
    assert keys.seal(TEXT) != keys.seal(TEXT)
    assert keys.seal_octets(b"part") == keys.seal_octets(b"part") != keys.seal_octets(b"past")
    assert keys.open_octets(keys.seal_octets(b"part")) == b"part"


@pytest.mark.parametrize("text", ["", MARK, f"{MARK}cafe:***", "plain", "\x02"])
def test_a_text_that_is_not_sealed_reads_as_it_is(path: Path, text: str) -> None:
    assert TextKeys(path, sealing=True).open(text) == text


def test_a_sealed_text_that_was_changed_or_lacks_its_key_is_an_error_without_the_text(path: Path) -> None:
    keys = TextKeys(path, sealing=True)
    sealed = keys.seal(TEXT)
    head, _, body = sealed.rpartition(":")
    octets = bytearray(base64.b64decode(body))
    octets[-1] ^= 1
    with pytest.raises(TextKeyError, match="not what was sealed"):
        keys.open(f"{head}:{base64.b64encode(octets).decode()}")
    other = path.with_name("other.keys")
    add_key(other)
    with pytest.raises(TextKeyError, match=r"which is not in .*other\.keys"):
        TextKeys(other, sealing=True).open(sealed)


@pytest.mark.parametrize("content", ["", "\n", "short AAAA\n", "aabbccdd not-base64\n", "aabbccdd " + "A" * 20 + "\n"])
def test_a_file_that_holds_no_key_is_refused_and_its_lines_are_not_shown(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(TextKeyError) as caught:
        TextKeys(path, sealing=True)
    assert str(path) in str(caught.value)
    assert not content.strip() or content.strip() not in str(caught.value)


def test_a_new_key_in_the_file_is_taken_up_without_a_restart(path: Path) -> None:
    now = [0.0]
    keys = TextKeys(path, sealing=True, clock=lambda: now[0])
    before = keys.seal(TEXT)
    newest = add_key(path)
    assert keys.name_of(keys.seal(TEXT)) != newest
    now[0] += 2.0
    assert keys.name_of(keys.seal(TEXT)) == newest
    assert keys.open(before) == TEXT


def test_stored_texts_are_sealed_and_every_reader_opens_them(path: Path, tmp_path: Path) -> None:
    copy_database(tmp_path)
    engine = opened(path, tmp_path)
    with writing(engine) as connection:
        connection.execute(insert(model_cases).values(text=TEXT, kind="verification", label="other", at_ms=0))
        connection.execute(insert(decisions).values(dict(zip(decisions.columns.keys(), ROW, strict=True))))
        assert connection.execute(select(model_cases.c.text)).scalars().all() == [TEXT]
    assert read(engine) == [TEXT]
    assert TEXT not in stored(engine)[0]
    engine.dispose()
    assert all(TEXT.encode() not in file.read_bytes() for file in tmp_path.glob("records.sqlite3*"))
    without_keys = open_database("", tmp_path)
    assert read(without_keys)[0].startswith(MARK)
    without_keys.dispose()


def test_rows_of_the_stream_are_stored_as_they_come_and_opened_for_the_watchers(path: Path, tmp_path: Path) -> None:
    copy_database(tmp_path)
    engine = opened(path, tmp_path)
    keys = TextKeys(path, sealing=True)
    row = (*ROW[:14], keys.seal(TEXT), *ROW[15:])
    with writing(engine) as connection:
        insert_decisions(connection, [row])  # type: ignore[list-item]
    assert stored(engine) == [row[14]]
    assert read(engine) == [TEXT]
    assert opened_texts([row], keys) == [ROW]  # type: ignore[list-item]
    engine.dispose()


def test_a_rotation_seals_every_text_with_the_newest_key_and_drops_old_ones(path: Path, tmp_path: Path) -> None:
    copy_database(tmp_path)
    plain = open_database("", tmp_path)
    with writing(plain) as connection:
        insert_decisions(connection, [(number, *ROW[1:]) for number in (1, 2)])  # type: ignore[list-item]
    plain.dispose()
    first = TextKeys(path, sealing=True)
    engine = open_database("", tmp_path, first)
    assert reseal(engine, first) == 2
    assert {first.name_of(text) for text in stored(engine)} == set(first.names)
    for _ in range(2):
        add_key(path)
        keys = TextKeys(path, sealing=True)
        assert reseal(engine, keys) == 2
        assert {keys.name_of(text) for text in stored(engine)} == {keys.names[-1]}
    assert drop_old_keys(path) == first.names
    assert reseal(engine, TextKeys(path, sealing=True)) == 0
    assert read(engine) == [TEXT, TEXT]
    assert reseal(engine, TextKeys(path, sealing=False)) == 2
    assert stored(engine) == [TEXT, TEXT]
    engine.dispose()
