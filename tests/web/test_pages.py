"""What pages share: languages, assets, errors."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from starlette.requests import Request

from smsc_filter.web.pages.languages import LANGUAGES, SOURCE, catalogue, language_of
from smsc_filter.web.pages.render import ASSETS, asset_url
from tests.web.conftest import World

METHODS = [("**.py", "python"), ("**.html", "jinja2")]
OPTIONS = {"**.html": {"trim_blocks": "true", "lstrip_blocks": "true", "newstyle_gettext": "true", "silent": "false"}}


def spoken() -> dict[str, str]:
    """Every message of the sources -> where it stands."""
    found = extract_from_dir(
        str(files("smsc_filter.web")),
        METHODS,
        OPTIONS,
        keywords={"_": None, "gettext": None, "ngettext": (1, 2), "N_": None},
    )
    said: dict[str, str] = {}
    for path, line, message, _, _ in found:
        said[message[0] if isinstance(message, tuple) else message] = f"{path}:{line}"
    return said


@pytest.mark.parametrize("language", [code for code in LANGUAGES if code != SOURCE])
def test_every_message_is_translated_and_none_is_left_over(language: str) -> None:
    known = {}
    for message in catalogue(language):
        if message.id:
            key = message.id[0] if isinstance(message.id, tuple) else message.id
            strings = message.string if isinstance(message.string, tuple | list) else (message.string,)
            known[key] = all(strings) and not message.fuzzy
            placeholders = set(re.findall(r"%\(\w+\)[sd]", key))
            for string in strings:
                assert set(re.findall(r"%\(\w+\)[sd]", string)) <= placeholders, key
    said = spoken()
    assert {key: place for key, place in said.items() if not known.get(key)} == {}
    assert set(known) - set(said) == set()


@pytest.mark.parametrize(("header", "expected"), [
    pytest.param("", "zh", id="nothing-asked"),
    pytest.param("en-GB,en;q=0.9,zh;q=0.5", "en", id="english-first"),
    pytest.param("fr,zh-TW;q=0.8,en;q=0.7", "zh", id="any-chinese"),
    pytest.param("fr", "zh", id="none-of-ours"),
    pytest.param("en;q=oops, ;;, *;q=1", "zh", id="nonsense"),
])  # fmt: skip
def test_the_language_of_a_browser(header: str, expected: str) -> None:
    scope = {"type": "http", "query_string": b"", "headers": [(b"accept-language", header.encode())]}
    assert language_of(Request(scope)) == expected


def test_the_choice_of_a_language_counts_more_than_the_browser_s() -> None:
    headers = [(b"accept-language", b"en"), (b"cookie", b"lang=zh")]
    assert language_of(Request({"type": "http", "query_string": b"", "headers": headers})) == "zh"
    assert language_of(Request({"type": "http", "query_string": b"lang=en", "headers": headers})) == "en"
    assert language_of(Request({"type": "http", "query_string": b"lang=xx", "headers": headers})) == "zh"


@pytest.mark.parametrize("name", ASSETS)
def test_an_asset_is_kept_for_ever_under_an_address_of_its_content(world: World, name: str) -> None:
    answer = world.client.get(asset_url(name))
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith(ASSETS[name])


def test_no_template_holds_a_script_or_a_style_of_its_own() -> None:
    templates = list(Path(str(files("smsc_filter.web") / "templates")).rglob("*.html"))
    assert templates
    for path in templates:
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)|https?://(?!www\.w3\.org)", text
        ), path
