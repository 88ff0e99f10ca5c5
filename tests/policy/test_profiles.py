"""Rule profiles: every number has its article and a mark, and a wrong file is named with key and reason."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from smsc_filter.policy.rules import ProfileError, profile_names, read_profile, with_quiet_hours
from smsc_filter.settings import SettingsError, read_settings
from tests.relay.harness import Relay, short_folder

PROFILES = {"cn-2015-order31", "cn-2020-draft", "cn-2026-order74", "in-tcccpr", "us-tcpa"}
NO_RULE = {"zones", "categories", "languages", "name", "title", "calendar"}


def text_of(name: str) -> str:
    return (files("smsc_filter.policy") / "profiles" / f"{name}.toml").read_text(encoding="utf-8")


def tables(values: dict[str, Any], place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every table that holds something else than tables."""
    if any(not isinstance(value, dict) for value in values.values()):
        yield place, values
    for key, value in values.items():
        if isinstance(value, dict):
            yield from tables(value, (*place, key))


def test_the_profiles_are_there() -> None:
    assert set(profile_names()) == PROFILES


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_rule_cites_its_article_and_says_whether_it_was_seen(name: str) -> None:
    profile = read_profile(name)
    assert profile.name == name
    rules = {key: value for key, value in tomllib.loads(text_of(name)).items() if key not in NO_RULE}
    for place, table in tables(rules):
        if place == ("retention",):
            continue
        assert isinstance(table["article"], str), place
        assert table["article"], place
        assert isinstance(table["seen"], bool), place


def test_months_are_those_of_the_rules() -> None:
    months = {name: read_profile(name).retention.records_months.value for name in sorted(PROFILES)}
    assert (months["cn-2015-order31"], months["cn-2020-draft"], months["cn-2026-order74"]) == (5, 5, 6)
    for name in ("cn-2015-order31", "cn-2020-draft", "cn-2026-order74"):
        retention = read_profile(name).retention
        assert retention.proof_months.value == retention.subscription_months_after_end.value == months[name]


def test_india_declines_by_category_and_asks_for_templates() -> None:
    profile = read_profile("in-tcccpr")
    assert profile.categories["0"] == "all"
    assert profile.categories["2"] == "realty"
    assert profile.template is not None
    assert profile.template.chain


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param('article = "Draft 2020, Art. 14"\n', "", r"identity\.article is missing", id="no-article"),
        pytest.param("{ value = 7", "{ value = -7", r"request\.reply_days\.value = -7", id="negative"),
        pytest.param("[similar]", "[similar]\ncolour = 1", r"similar\.colour is not a key", id="unknown-key"),
        pytest.param('action = "tag"', 'action = "shout"', r"duties\.contact\.action = 'shout'", id="unknown-action"),
        pytest.param('"zh", "en"', '"zh", "xx"', "languages: xx is none of en, zh", id="unknown-language"),
        pytest.param("Asia/Shanghai", "Asia/Nowhere", "zones: ''", id="unknown-zone"),
        pytest.param("[zones]\n\"\"", "[zones]\n\"86\"", 'prefix "" is missing', id="no-zone-for-the-rest"),
        pytest.param("[appeal]", '[quiet]\nbegin = "9"\nend = "08:00"\narticle = ""\nseen = true\n[appeal]',
                     r"quiet: '9' is no time of day", id="no-time-of-day"),
        pytest.param("[quota.service]", "[quota.services]", "quota has to speak of", id="quota"),
        pytest.param("[reply]\nconfirmation = \"\"", "[reply]\nconfirmation = \"" + "退" * 71 + '"',
                     "confirmation takes 142 octets; 140 fit one message", id="long-confirmation"),
        pytest.param("[identity]", "[identity", "is not TOML", id="not-toml"),
    ],
)  # fmt: skip
def test_a_wrong_profile_is_one_clear_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = text_of("cn-2020-draft")
    assert old in text
    path = tmp_path / "ours.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ProfileError, match=says) as caught:
        read_profile(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_profile_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="there are cn-2015-order31, "):
        read_profile("cn-1999")
    with pytest.raises(ProfileError, match="cannot be read"):
        read_profile(str(tmp_path / "none.toml"))


def test_check_config_takes_a_profile_of_the_operators_own() -> None:
    with short_folder() as folder:
        path = folder / "ours.toml"
        path.write_text(text_of("us-tcpa").replace('name = "us-tcpa"', 'name = "ours"'), encoding="utf-8")
        relay = Relay(folder, 2776, policy={"profile": str(path)})
        assert "judges    by ours" in check_config(relay)
        path.write_text(text_of("us-tcpa").replace('begin = "21:00"', 'begin = "21"'), encoding="utf-8")
        assert "quiet: '21' is no time of day; HH:MM is expected" in check_config(relay)


def check_config(relay: Relay) -> str:
    """What the verb says of a configuration."""
    done = subprocess.run(
        [sys.executable, "-m", "smsc_filter", "check-config", str(relay.config)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('profile = "cn-1999"', "profile 'cn-1999' is none of"),
        ('quiet_hours = "22-08"', "'22' is no time of day"),
        ('quiet_hours = "22:00-22:00"', "HH:MM-HH:MM is expected"),
    ],
)
def test_settings_name_what_is_wrong(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "smsc-filter.toml"
    path.write_text(f"[policy]\n{line}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=says):
        read_settings(path)


def test_quiet_hours_of_an_operator_cite_the_operator() -> None:
    quiet = with_quiet_hours(read_profile("cn-2020-draft"), "22:00-08:00").quiet
    assert quiet is not None
    assert (quiet.begin_minute, quiet.end_minute, quiet.article) == (1320, 480, "set by the operator")
