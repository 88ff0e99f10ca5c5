"""How events are written, and that no number gets there in full."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from smsc_filter.telemetry import Format, configure_logging


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("fields", "written"),
    [
        pytest.param({"detail": "to 8613800000001"}, {"detail": "to 861****01"}, id="in words"),
        pytest.param({"detail": "13800000001"}, {"detail": "138****01"}, id="alone"),
        pytest.param({"some": ["13800000001", 7]}, {"some": ["138****01", 7]}, id="in a list"),
        pytest.param({"source": "106900001"}, {"source": "106900001"}, id="a port is nobody's number"),
        pytest.param({"stream": "{p0}", "entry_id": "1767225600000-0"}, {"entry_id": "1767225600000-0"}, id="a time"),
        pytest.param({"ms": 1767225600000}, {"ms": 1767225600000}, id="a count"),
    ],
)
def test_numbers_are_shortened(
    fields: dict[str, object], written: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("info")
    structlog.get_logger().info("something", **fields)
    line = json.loads(capsys.readouterr().err)
    assert written.items() <= line.items()
    assert (line["event"], line["level"]) == ("something", "info")


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_exception_is_written_without_the_number_in_its_words(
    form: Format, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("info", form)
    try:
        raise ValueError("8613800000001 is no number")
    except ValueError:
        structlog.get_logger().exception("failed")
    said = capsys.readouterr().err
    assert "ValueError" in said
    assert "8613800000001" not in said
    assert said.startswith("{") == (form == "json")


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", "text")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    said = capsys.readouterr().err
    assert "loud" in said
    assert "quiet" not in said
