"""Bearer tokens: shown once, kept as a digest, ended by time or by hand."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from smsc_filter.records.tokens import create_token, find_token, list_tokens, revoke_token

NOW = 1_767_225_600.0


def make(engine: Engine, days: float = 1.0, scopes: tuple[str, ...] = ("consents:read",)) -> str:
    return create_token(engine, owner="shop-ltd", scopes=scopes, label="shop", days=days, created_by="wang", now=NOW)[0]


def test_a_token_opens_until_it_expires(engine: Engine) -> None:
    token = make(engine)
    found = find_token(engine, token, NOW + 86_399)
    assert found is not None
    assert (found.owner, found.scopes) == ("shop-ltd", ("consents:read",))
    assert find_token(engine, token, NOW + 86_400) is None


def test_a_revoked_token_opens_nothing(engine: Engine) -> None:
    token = make(engine)
    (kept,) = list_tokens(engine, "shop-ltd")
    assert revoke_token(engine, kept.id, NOW)
    assert not revoke_token(engine, kept.id, NOW)
    assert find_token(engine, token, NOW) is None
    assert list_tokens(engine)[0].revoked_at_ms == NOW * 1000


def test_what_is_kept_does_not_give_the_token_away(engine: Engine) -> None:
    token = make(engine)
    with engine.connect() as connection:
        kept = repr(connection.execute(text("select * from tokens")).all())
    assert token not in kept
    assert token.split("_", 2)[2] not in kept
    assert len(token.split("_", 2)[2]) == 43


@pytest.mark.parametrize("change", [
    pytest.param(lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"), id="wrong secret"),
    pytest.param(lambda token: token.replace(token[4:20], "0" * 16), id="unknown id"),
    pytest.param(lambda _: "", id="empty"),
    pytest.param(lambda token: token + " ", id="blank behind"),
    pytest.param(lambda token: token.upper(), id="case"),
    pytest.param(lambda _: "sft_" + "\N{ARABIC-INDIC DIGIT ONE}" * 16 + "_" + "a" * 43, id="other digits"),
])  # fmt: skip
def test_what_is_no_token_opens_nothing(engine: Engine, change: object) -> None:
    token = make(engine)
    assert callable(change)
    assert find_token(engine, change(token), NOW) is None


@pytest.mark.parametrize(("days", "scopes"), [
    pytest.param(0.0, ("consents:read",), id="no time"),
    pytest.param(1e9, ("consents:read",), id="beyond ten years"),
    pytest.param(float("nan"), ("consents:read",), id="no number"),
    pytest.param(1.0, (), id="no scope"),
    pytest.param(1.0, ("root",), id="unknown scope"),
])  # fmt: skip
def test_a_token_that_makes_no_sense(engine: Engine, days: float, scopes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"days|scope"):
        make(engine, days, scopes)
    assert list_tokens(engine) == []
