"""How events are written, and that no number gets there in full."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
import structlog
from pydantic import TypeAdapter
from sqlalchemy import text

from smsc_filter.records.database import open_database, writing
from smsc_filter.telemetry import Format, configure_logging


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    hooks = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = hooks
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if type(each).__module__ != "smsc_filter.telemetry"]
    root.setLevel(logging.WARNING)
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


MARK = "SECRETMARK42"


def break_sql(folder: Path) -> None:
    """A statement that SQL refuses, with a text among its values."""
    engine = open_database("", folder)
    try:
        with writing(engine) as connection:
            connection.execute(text("INSERT INTO nowhere (text) VALUES (:text)"), {"text": MARK})
    finally:
        engine.dispose()


def break_constraint(folder: Path) -> None:
    """Rows of which the database refuses one: many at once."""
    engine = open_database("", folder)
    try:
        with writing(engine) as connection:
            rows = [{"id": 1, "text": MARK}, {"id": 1, "text": MARK}]
            connection.execute(text("CREATE TABLE once (id INTEGER PRIMARY KEY, text TEXT)"))
            connection.execute(text("INSERT INTO once (id, text) VALUES (:id, :text)"), rows)
    finally:
        engine.dispose()


def break_value(_folder: Path) -> None:
    """A value that pydantic refuses and shows."""
    TypeAdapter(int).validate_python(MARK)


def break_store(_folder: Path) -> None:
    """A command that the store does not know and repeats."""
    raise redis.ResponseError(f"unknown command 'XX', with args beginning with: '{MARK}' ")


def log_exception(breaks: Callable[[Path], None], folder: Path) -> None:
    try:
        breaks(folder)
    except Exception:
        structlog.get_logger().exception("failed")


def log_library(breaks: Callable[[Path], None], folder: Path) -> None:
    try:
        breaks(folder)
    except Exception:
        logging.getLogger("some.library").exception("failed")


def leave_to_the_loop(breaks: Callable[[Path], None], folder: Path) -> None:
    async def fails() -> None:
        breaks(folder)

    async def main() -> None:
        task = asyncio.create_task(fails())
        await asyncio.wait({task})
        del task

    asyncio.run(main())


def leave_to_the_interpreter(breaks: Callable[[Path], None], folder: Path) -> None:
    try:
        breaks(folder)
    except Exception as error:
        sys.excepthook(type(error), error, error.__traceback__)


def leave_to_a_thread(breaks: Callable[[Path], None], folder: Path) -> None:
    thread = threading.Thread(target=breaks, args=(folder,))
    thread.start()
    thread.join()


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("breaks", [break_sql, break_constraint, break_value, break_store])
@pytest.mark.parametrize(
    "way", [log_exception, log_library, leave_to_the_loop, leave_to_the_interpreter, leave_to_a_thread]
)
def test_no_text_is_logged_whatever_fails_wherever(
    way: Callable[[Callable[[Path], None], Path], None],
    breaks: Callable[[Path], None],
    form: Format,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("info", form)
    way(breaks, tmp_path)
    said = capsys.readouterr().err
    assert "Error" in said
    assert f"{breaks.__code__.co_filename}:" in said
    assert MARK not in said


def test_the_words_of_a_store_are_logged_without_what_it_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    error = redis.ResponseError(f"unknown command 'XX', with args beginning with: '{MARK}' ")
    structlog.get_logger().warning("waits", error=str(error))
    said = capsys.readouterr().err
    assert "unknown command 'XX'" in said
    assert MARK not in said


def test_sql_hides_values_in_its_words(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="nowhere") as raised:
        break_sql(tmp_path)
    assert MARK not in str(raised.value)
    with pytest.raises(Exception, match="once") as raised:
        break_constraint(tmp_path)
    assert MARK not in str(raised.value)


MANY_LINES = """
import sys, structlog
from smsc_filter.telemetry import configure_logging
configure_logging("info")
log = structlog.get_logger()
for number in range(60):
    log.info("line", who=sys.argv[1], number=number, filling=sys.argv[1] * (90_000 if number % 3 else 10))
"""


def test_lines_of_several_processes_on_one_pipe_stay_whole() -> None:
    """A pipe keeps only 4,096 octets together, and holds 65,536."""
    shell = " & ".join(f"{sys.executable} -c '{MANY_LINES}' {who}" for who in "abc") + " & wait"
    said = subprocess.run(["sh", "-c", shell], stderr=subprocess.PIPE, check=True, timeout=60).stderr
    lines = [json.loads(line) for line in said.splitlines()]
    assert len(lines) == 180
    assert all(set(line["filling"]) == {line["who"]} for line in lines)
    for who in "abc":
        assert [line["number"] for line in lines if line["who"] == who] == list(range(60))
