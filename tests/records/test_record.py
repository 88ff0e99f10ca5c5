"""policy.record: rows on their way through the stream, and names of decisions."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.policy.record import (
    COLUMNS,
    MAX_ID,
    ROW,
    EntryError,
    id_from_text,
    id_to_text,
    outcomes_from_entry,
    pack_batch,
    pack_outcomes,
    rows_from_entry,
)

from .helpers import AT, header, row

QUOTA = [0, "quota-spent", 88, "1,001 of 1,000 in an hour", "第十二条"]


def named(values: tuple[object, ...]) -> dict[str, object]:
    return dict(zip(COLUMNS, values, strict=True))


def test_a_row_becomes_a_row_of_the_table() -> None:
    finding = ["consent", "no-consent", "absent for shop-ltd", "第九条"]
    packed = pack_batch(header(), [row(7, cause="no-consent", command_status=0x410, findings=[finding])])
    (made,) = rows_from_entry(packed, None)
    assert named(made) == {
        "id": 7, "at_ms": 1_767_225_600_250, "system_id": "shop", "owner": "shop-ltd", "source": "106900001",
        "recipient": "8613800000001", "purpose": "commercial", "cause": "no-consent", "command_status": 0x410,
        "enforced": True, "score": 9731, "kind": "advertisement", "part": "", "data_coding": 8, "text": "新年快乐",
        "findings": orjson.dumps([finding]).decode(), "model": "default", "profile": "cn-2020-draft", "worker": 1,
    }  # fmt: skip


def test_troubles_refuse_in_observe_mode_as_well() -> None:
    (made,) = rows_from_entry(pack_batch(header("observe"), [row(1, cause="store-unavailable")]), None)
    assert named(made)["enforced"] is True


@pytest.mark.parametrize(("mode", "enforced"), [("enforce", True), ("observe", False)])
def test_only_enforce_enforces(mode: str, enforced: bool) -> None:
    (made,) = rows_from_entry(pack_batch(header(mode), [row(1)]), None)
    assert named(made)["enforced"] is enforced


@pytest.mark.parametrize("nothing", [None, b"", b"[]", b"{}"])
def test_nothing_refused_by_quota(nothing: bytes | None) -> None:
    (made,) = rows_from_entry(pack_batch(header(), [row(1)]), nothing)
    assert (named(made)["cause"], named(made)["findings"]) == ("", None)


def test_what_quota_refused_gets_its_cause_and_a_finding_behind_the_others() -> None:
    remark = ["appeal", None, "cleared by appeal 3", ""]
    packed = pack_batch(header(), [row(1, findings=[remark]), row(2)])
    first, second = map(named, rows_from_entry(packed, orjson.dumps([QUOTA])))
    assert (first["cause"], first["command_status"]) == ("quota-spent", 88)
    assert orjson.loads(str(first["findings"])) == [remark, ["quota", "quota-spent", *QUOTA[3:]]]
    assert (second["cause"], second["findings"]) == ("", None)


def test_quota_never_hides_an_earlier_cause() -> None:
    packed = pack_batch(header(), [row(1, cause="no-consent", command_status=0x410)])
    (made,) = rows_from_entry(packed, orjson.dumps([QUOTA]))
    assert (named(made)["cause"], named(made)["command_status"]) == ("no-consent", 0x410)


@pytest.mark.parametrize(("given_text", "kept"), [
    pytest.param("a\0b", "a␀b", id="nul, which PostgreSQL has no room for"),
    pytest.param("好\ud83d", "好\ufffd", id="half a surrogate pair at the end of a part"),
    pytest.param("\ud83d\ude00", "😀", id="a pair as two halves"),
])  # fmt: skip
def test_texts_that_utf_8_or_sql_cannot_carry(given_text: str, kept: str) -> None:
    (made,) = rows_from_entry(pack_batch(header(), [row(1, text=given_text)]), None)
    assert named(made)["text"] == kept


def changed(**values: object) -> bytes:
    """A batch of one row with some of its values replaced."""
    whole = dict(zip(ROW, row(1), strict=True)) | values
    return pack_batch(header(), [list(whole.values())])


@pytest.mark.parametrize(("b", "r", "complaint"), [
    pytest.param(b"\xff", None, "not JSON", id="not JSON"),
    pytest.param(b"[]", None, "header, rows", id="no header"),
    pytest.param(b"[{}, []]", None, "header: at is None", id="empty header"),
    pytest.param(pack_batch(header("maybe"), []), None, "mode is 'maybe'", id="unknown mode"),
    pytest.param(pack_batch(header(), [[1, 2]]), None, "row 0: a list of 14", id="short row"),
    pytest.param(changed(text=5), None, "row 0: text is 5, str is expected", id="wrong type"),
    pytest.param(changed(score=0.5), None, "row 0: score is 0.5, int", id="a fraction"),
    pytest.param(changed(findings="none"), None, "findings is 'none'", id="findings of another type"),
    pytest.param(changed(id=-1), None, "63 bits", id="negative id"),
    pytest.param(changed(id=MAX_ID + 1), None, "63 bits", id="id of 64 bits"),
    pytest.param(changed(), b"[[1, \"quota-spent\", 88, \"\", \"\"]]", "one of 1 rows", id="refusal of no row"),
    pytest.param(changed(), b"[[0]]", "one of 1 rows", id="short refusal"),
    pytest.param(changed(), b"nil", "field r: not JSON", id="refusals not JSON"),
])  # fmt: skip
def test_a_wrong_entry_is_named(b: bytes, r: bytes | None, complaint: str) -> None:
    with pytest.raises(EntryError, match=complaint):
        rows_from_entry(b, r)


@given(st.lists(st.tuples(st.integers(0, MAX_ID), st.integers(0), st.integers(0, 2**32 - 1), st.text())))
def test_outcomes_come_back(outcomes: list[tuple[int, int, int, str]]) -> None:
    fitting = [outcome for outcome in outcomes if outcome[1] < 1 << 63]
    assert outcomes_from_entry(pack_outcomes(fitting)) == fitting


@pytest.mark.parametrize("o", [b"{}", b"[[1, 2, 3]]", b'[[-1, 2, 3, ""]]', b"["])
def test_a_wrong_outcome_is_named(o: bytes) -> None:
    with pytest.raises(EntryError):
        outcomes_from_entry(o)


@given(st.integers(0, MAX_ID))
def test_an_id_comes_back_from_its_text(decision_id: int) -> None:
    text = id_to_text(decision_id)
    assert len(text) == 13
    assert id_from_text(text) == decision_id


@given(st.lists(st.integers(0, MAX_ID)))
def test_texts_of_ids_sort_as_the_ids_do(ids: list[int]) -> None:
    assert [id_from_text(text) for text in sorted(map(id_to_text, ids))] == sorted(ids)


@pytest.mark.parametrize("text", ["01K0DABCDE-1O1", " olko-dabc-delol "])
def test_an_id_is_read_as_people_write_it(text: str) -> None:
    assert id_from_text(text) == id_from_text("01K0DABCDE101")


@pytest.mark.parametrize(("text", "complaint"), [
    pytest.param("", "has 0 characters", id="empty"),
    pytest.param("0123", "has 4 characters", id="short"),
    pytest.param("U000000000000", "'U' is not a digit", id="a letter Crockford left out"),
    pytest.param("好000000000000", "not a digit", id="not ASCII"),
    pytest.param("ZZZZZZZZZZZZZ", "beyond 63 bits", id="too great"),
])  # fmt: skip
def test_no_id(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        id_from_text(text)


@pytest.mark.parametrize("decision_id", [-1, MAX_ID + 1])
def test_no_text_for_what_is_no_id(decision_id: int) -> None:
    with pytest.raises(ValueError, match="63 bits"):
        id_to_text(decision_id)


def test_the_time_is_kept_to_the_millisecond() -> None:
    (made,) = rows_from_entry(pack_batch(header() | {"at": AT + 0.0004}, [row(1)]), None)  # type: ignore[arg-type]
    assert named(made)["at_ms"] == 1_767_225_600_250
