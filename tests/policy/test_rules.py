"""Rule profiles: those there are can be used, and one that cannot says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from smsc_filter.policy import rules as rules_module
from smsc_filter.policy.prohibited import compile_prohibited
from smsc_filter.policy.rules import PURPOSES, Caps, ProfileError, make_rules, profile_names, read_profile

PROFILES = profile_names()
WHOLE = (Path(rules_module.__file__).parent / "profiles" / "cn-2020-draft.toml").read_text(encoding="utf-8")


def test_the_profiles_of_the_contract_are_there() -> None:
    assert {"cn-2015-order31", "cn-2020-draft", "cn-2026-order74"} <= set(PROFILES)


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_loads_and_cites_its_articles(name: str) -> None:
    profile = read_profile(name)
    assert profile.name == name
    assert profile.title
    duties = (profile.identity, profile.content, profile.consent, profile.appeal, profile.prohibited)
    assert all(duty.article for duty in duties)
    assert set(profile.quota) == set(PURPOSES)
    assert all(caps.article for caps in profile.quota.values())


@pytest.mark.parametrize("name", PROFILES)
def test_rules_are_the_profile_and_what_the_operator_adds(name: str) -> None:
    profile, listed = read_profile(name), compile_prohibited(["casino"])
    rules = make_rules(profile, {"person": 0.9}, listed)
    assert (rules.profile, rules.consent, rules.quota) == (name, profile.consent, profile.quota)
    assert (rules.prohibited_article, rules.thresholds, rules.prohibited) == (
        profile.prohibited.article,
        {"person": 0.9},
        listed,
    )


def test_an_unknown_profile_names_those_there_are() -> None:
    with pytest.raises(ProfileError, match=f"no rule profile 'mars'; there are {', '.join(PROFILES)}"):
        read_profile("mars")


@pytest.mark.parametrize("name", ["../rules", "profiles/cn-2020-draft", ""])
def test_a_path_without_toml_at_its_end_names_no_profile(name: str) -> None:
    with pytest.raises(ProfileError, match="no rule profile"):
        read_profile(name)


@pytest.mark.parametrize(("before", "after", "complaint"), [
    pytest.param("[consent]", "[consent", "profiles/mine.toml: .*line", id="not-toml"),
    pytest.param('name = "cn-2020-draft"', "", "name", id="no-name"),
    pytest.param('[consent]\narticle = "Draft 2020, Art. 16"', "[consent]", "consent", id="a-duty-without-article"),
    pytest.param("hour = 200", 'hour = "many"', "hour", id="a-cap-that-is-no-number"),
    pytest.param("hour = 200", "hour = -1", "a cap is not below 0", id="a-cap-below-0"),
    pytest.param("hour = 200", "fortnight = 9", "fortnight", id="an-unknown-key"),
    pytest.param("[quota.service]", "[quota.services]", "quota has to speak of", id="a-purpose-is-missing"),
])  # fmt: skip
def test_a_profile_that_cannot_be_used_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str, complaint: str
) -> None:
    assert before in WHOLE
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mine.toml").write_text(WHOLE.replace(before, after), encoding="utf-8")
    monkeypatch.setattr(rules_module, "files", lambda package: tmp_path)
    with pytest.raises(
        ProfileError, match=f"(?s)profiles/mine.toml: .*{complaint}" if "toml" not in complaint else complaint
    ):
        read_profile("mine")


@pytest.mark.parametrize("caps", [{"hour": -1}, {"day": -1}])
def test_no_cap_is_below_0(caps: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="not below 0"):
        Caps(**caps, article="a", seen=True)
