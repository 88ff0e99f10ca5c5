"""The decline register as a record, and its way into the hot state (CN-24)."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from smsc_filter.records.declines import (
    Sync,
    WrongBase,
    WrongFile,
    announce_all,
    list_versions,
    project,
    set_wish,
    sync,
    waiting_pages,
    wishes_of,
)
from smsc_filter.records.tables import decline_staged, declines
from smsc_filter.sms.address import Numbering

NOW = 1_767_225_600.0
A, B, C = "8613800000001", "8613800000002", "8613912345678"


class Hot:
    """The hot state, as the projection writes it."""

    def __init__(self) -> None:
        self.wishes: dict[int, str] = {}
        self.pages: dict[int, dict[int, int]] = {}

    def __call__(self, spelled: Mapping[int, str], pages: Mapping[int, Sequence[tuple[int, int]]]) -> None:
        self.wishes |= spelled
        self.pages |= {page: dict(entries) for page, entries in pages.items()}

    def everything(self) -> dict[str, str]:
        return {str(n): self.wishes[code] for page in self.pages.values() for n, code in page.items()}


def bring(engine: Engine, text: str | bytes, version: int, base: int | None = None, **changes: str) -> Sync:
    octets = text.encode() if isinstance(text, str) else text
    values = {"name": "national", "sha256": hashlib.sha256(octets).hexdigest()} | changes
    return sync(
        engine, io.BytesIO(octets), version=version, base=base, normalise_number=Numbering().msisdn, now=NOW, **values
    )


def shown(engine: Engine) -> dict[str, str]:
    hot = Hot()
    announce_all(engine)
    project(engine, hot)
    return hot.everything()


def test_a_plain_list_of_numbers_declines_everything(engine: Engine) -> None:
    done = bring(engine, f"\ufeffrecipient\n# wishes of 2026\n{A}\n\n138 0000-0002\n", 1)
    assert (done.rows, done.changed) == (2, 2)
    assert shown(engine) == {A: "sms:all voice:all", B: "sms:all voice:all"}


def test_a_delta_changes_what_it_names_and_nothing_else(engine: Engine) -> None:
    bring(engine, f"recipient,wish\n{A},voice:all\n{B},voice:all\n", 1)
    done = bring(engine, f"{A},-\n{C},sms:finance\n", 2, 1)
    assert done.changed == 2
    assert shown(engine) == {B: "voice:all", C: "sms:finance"}


def test_a_whole_list_replaces_the_one_before(engine: Engine) -> None:
    bring(engine, f"{A},voice:all\n{B},voice:all\n", 1)
    assert bring(engine, f"{B},voice:all\n{C}\n", 2).changed == 2
    assert shown(engine) == {B: "voice:all", C: "sms:all voice:all"}
    assert [(each["name"], each["version"], each["numbers"]) for each in list_versions(engine)] == [
        ("national", 2, 2),
        ("personal", 0, 0),
    ]


def test_lists_and_personal_wishes_add_up(engine: Engine) -> None:
    bring(engine, f"{A},voice:all\n", 1)
    set_wish(engine, A, "sms:all@22:00-08:00")
    bring(engine, f"{A},sms:finance\n", 1, name="bank-list")
    assert shown(engine) == {A: "sms:finance sms:all@22:00-08:00 voice:all"}
    set_wish(engine, A, None)
    assert shown(engine) == {A: "sms:finance voice:all"}
    assert wishes_of(engine, A) == {"national": "voice:all", "bank-list": "sms:finance"}


@pytest.mark.parametrize(("text", "changes", "complaint"), [
    pytest.param(f"{A}\n{B}x\n", {}, "line 2: .*not a phone number", id="malformed number"),
    pytest.param(f"{A}\n".encode() + b"\xff\xfe\n", {}, "line 2: is not UTF-8", id="encoding"),
    pytest.param(f"{A},fax:all\n", {}, "line 1: wish 'fax:all'", id="unknown channel"),
    pytest.param(f"{A}\n{B}\n{A},sms:all\n", {}, "line 3: the number stands on line 1", id="twice"),
    pytest.param(f"{A},-\n", {}, "line 1: takes a number off", id="removal in a whole list"),
    pytest.param(f"{A}\n", {"sha256": "0" * 64}, "cut short", id="half a file"),
    pytest.param("1" * 5000 + "\n", {}, "line 1: is longer", id="endless line"),
    pytest.param(f"{A}\n", {"name": "personal"}, "other than personal", id="a list for persons"),
])  # fmt: skip
def test_a_wrong_file_changes_nothing(
    engine: Engine, text: str | bytes, changes: dict[str, str], complaint: str
) -> None:
    bring(engine, f"{C}\n", 1)
    with pytest.raises(WrongFile, match=complaint):
        bring(engine, text, 2, **changes)
    assert shown(engine) == {C: "sms:all voice:all"}
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(decline_staged)).scalar_one() == 0


@pytest.mark.parametrize(("version", "base"), [
    pytest.param(3, 1, id="delta on an older base"),
    pytest.param(5, 4, id="delta on a base that never came"),
    pytest.param(2, None, id="the version it has"),
    pytest.param(1, None, id="an older version"),
])  # fmt: skip
def test_a_version_that_does_not_follow_is_refused(engine: Engine, version: int, base: int | None) -> None:
    bring(engine, f"{A}\n", 2)
    with pytest.raises(WrongBase, match="is at version 2"):
        bring(engine, f"{B}\n", version, base)
    assert shown(engine) == {A: "sms:all voice:all"}


def test_what_the_hot_state_did_not_take_stays_waiting(engine: Engine) -> None:
    def away(_spelled: object, _pages: object) -> None:
        raise redis.ConnectionError("away")

    bring(engine, f"{A}\n{C}\n", 1)
    with pytest.raises(redis.ConnectionError):
        project(engine, away)
    assert waiting_pages(engine) == 2
    hot = Hot()
    assert project(engine, hot) == 2
    assert waiting_pages(engine) == 0
    assert set(hot.everything()) == {A, C}


NUMBERS = st.integers(8_613_800_000_000, 8_613_800_000_006).map(str)
WISHES = st.sampled_from(["sms:all", "voice:all", "sms:finance"])
CHANGES: st.SearchStrategy[list[tuple[str, dict[str, str | None]]]] = st.lists(
    st.one_of(
        st.tuples(st.just("whole"), st.dictionaries(NUMBERS, WISHES, max_size=4)),
        st.tuples(st.just("delta"), st.dictionaries(NUMBERS, st.one_of(st.none(), WISHES), max_size=4)),
    ),
    max_size=6,
)  # type: ignore[assignment]


@pytest.fixture
def clean(engine: Engine) -> Iterator[Engine]:
    yield engine


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES)
def test_projected_by_and_by_it_is_what_the_files_say(
    clean: Engine, changes: list[tuple[str, dict[str, str | None]]]
) -> None:
    hot = Hot()
    version = max((each["version"] for each in list_versions(clean)), default=0)
    bring(clean, "", version := version + 1)
    project(clean, hot)
    expected: dict[str, str | None] = {}
    for kind, said in changes:
        text = "".join(f"{number},{wish or '-'}\n" for number, wish in said.items())
        bring(clean, text, version + 1, version if kind == "delta" else None)
        version += 1
        expected = said if kind == "whole" else {**expected, **said}
        project(clean, hot)
        there = {number: wish for number, wish in expected.items() if wish is not None}
        assert hot.everything() == there
    with clean.connect() as connection:
        stored = connection.execute(select(func.count()).select_from(declines)).scalar_one()
    assert stored == len([wish for wish in expected.values() if wish is not None])
