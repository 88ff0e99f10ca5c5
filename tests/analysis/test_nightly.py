"""The nightly pass over four weeks on record: what it finds, and that Spark says the same."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from smsc_filter.analysis import nightly
from smsc_filter.analysis.export import Exporter
from smsc_filter.analysis.nightly import Answer, analyse, connected, days_up_to, export_days
from smsc_filter.cli.parser import main
from smsc_filter.records.database import open_database
from tests.analysis.weeks import BUSY, DAYS, DRIP, FRIEND, HUGGER, LAST, LINK, caps_of, fill

LIVE_MESSAGES = 100


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nightly")


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Engine]:
    engine = open_database("", folder)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def written(engine: Engine) -> int:
    return fill(engine)


@pytest.fixture(scope="module")
def places(engine: Engine, folder: Path, written: int) -> list[Path]:
    done: list[int] = []
    places = export_days(Exporter(engine, folder / "decisions", caps_of), days_up_to(LAST, DAYS), done.append)
    assert sum(done) == written
    return places


@pytest.fixture(scope="module")
def answers(places: list[Path], folder: Path) -> dict[str, Answer]:
    asked: list[str] = []
    with connected("duckdb", folder) as connection:
        answers = analyse(connection, places, live_messages=LIVE_MESSAGES, begin=asked.append)
    assert asked == list(nightly.QUESTIONS)
    return answers


def test_every_decision_is_exported_once_and_no_text(places: list[Path], written: int) -> None:
    assert [place.name for place in places] == [f"day={day.isoformat()}" for day in days_up_to(LAST, DAYS)]
    files = [pq.read_table(place / "decisions.parquet") for place in places]
    assert sum(file.num_rows for file in files) == written
    assert "text" not in files[0].column_names
    ids = [number for file in files for number in file["id"].to_pylist()]
    assert len(set(ids)) == written


def test_a_day_that_is_over_is_not_written_again(engine: Engine, folder: Path, places: list[Path]) -> None:
    before = [(place / "decisions.parquet").stat().st_mtime_ns for place in places]
    exporter = Exporter(engine, folder / "decisions", caps_of)
    assert export_days(exporter, days_up_to(LAST, DAYS), lambda rows: pytest.fail(f"{rows} written")) == places
    assert [(place / "decisions.parquet").stat().st_mtime_ns for place in places] == before


def test_a_day_half_written_is_written_anew(engine: Engine, folder: Path, places: list[Path]) -> None:
    day = LAST - timedelta(days=1)
    whole = pq.read_table(folder / "decisions" / f"day={day}" / "decisions.parquet")
    other = folder / "other"
    (other / f".day={day}").mkdir(parents=True)
    (other / f".day={day}" / "decisions.parquet").write_bytes(b"PAR1 cut off")
    (place,) = export_days(Exporter(engine, other, caps_of), [day], lambda _: None)
    again = pq.read_table(place / "decisions.parquet")
    assert again.drop_columns(["campaign"]).equals(whole.drop_columns(["campaign"]))
    assert not (other / f".day={day}").exists()


def test_a_day_without_decisions_has_no_folder(engine: Engine, folder: Path) -> None:
    day = LAST + timedelta(days=10)
    assert export_days(Exporter(engine, folder / "decisions", caps_of), [day], lambda _: None) == []


def test_weeks_of_drip_are_found_and_people_with_friends_are_not(answers: dict[str, Answer]) -> None:
    (found,) = answers["slow_drip"]
    assert (found["source"], found["contacts"], found["came_back"]) == (DRIP, 5 * DAYS, 0)
    assert found["chance"] < 1e-4
    assert FRIEND not in str(answers["slow_drip"])


def test_hugging_with_rests_is_found_over_weeks(answers: dict[str, Answer]) -> None:
    (found,) = answers["hugging_hours"]
    assert (found["source"], found["windows"], found["near"], found["cap"]) == (HUGGER, 2 * DAYS, DAYS, 200)
    assert BUSY not in str(answers["hugging_hours"])
    assert answers["hugging_days"] == []


def test_a_campaign_over_several_owners_is_one(answers: dict[str, Answer]) -> None:
    (found,) = answers["cross_owner_campaigns"]
    assert (found["owners"], found["messages"], found["days"]) == (4, 16, 4)


def test_a_campaign_too_slow_for_the_early_warning_is_found(answers: dict[str, Answer]) -> None:
    (found,) = answers["slow_campaigns"]
    assert (found["messages"], found["most_a_day"], found["days"], found["owners"]) == (120, 12, 10, 1)


def test_a_link_of_several_owners_is_found(answers: dict[str, Answer]) -> None:
    (found,) = answers["shared_handles"]
    assert (found["handle"], found["owners"], found["messages"]) == (LINK, 4, 16)


def test_senders_and_campaigns_are_ranked(answers: dict[str, Answer]) -> None:
    first = answers["senders"][0]
    assert (first["owner"], first["commercial"], first["refused"]) == ("shop-ltd", 120, 0)
    sizes = [row["messages"] for row in answers["campaigns"]]
    assert sizes == sorted(sizes, reverse=True)


def test_the_verb_writes_the_report(
    folder: Path, engine: Engine, places: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    config = folder / "smsc-filter.toml"
    config.write_text(
        f"data_dir = {json.dumps(str(folder))}\n"
        '[[senders]]\naddress = "861390000*"\nowner = "mobile"\npurpose = "person"\n',
        encoding="utf-8",
    )
    out = folder / "out"
    assert main(["nightly", "--config", str(config), "--day", LAST.isoformat(), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert DRIP in said
    report = json.loads((out / f"report-{LAST}.json").read_bytes())
    assert [row["source"] for row in report["answers"]["slow_drip"]] == [DRIP]
    assert (report["day"], report["days"], report["engine"]) == (LAST.isoformat(), 28, "duckdb")


def test_nothing_to_look_at_is_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "smsc-filter.toml"
    config.write_text(f"data_dir = {json.dumps(str(tmp_path))}\n", encoding="utf-8")
    assert main(["nightly", "--config", str(config), "--day", "2020-01-31", "--out", str(tmp_path / "out")]) == 1
    assert "nothing was decided from 2020-01-04 to 2020-01-31" in capsys.readouterr().err


SPARK = importlib.util.find_spec("pyspark") is not None


@pytest.mark.skipif(not SPARK, reason="pyspark is not installed: pip install -e '.[spark]'; it takes 400 MB")
@pytest.mark.filterwarnings("ignore")  # pyspark warns of its own use of pandas and of sockets
def test_spark_says_the_same(answers: dict[str, Answer], places: list[Path], folder: Path) -> None:
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    with connected("spark", folder, master="local[2]") as connection:
        assert analyse(connection, places, live_messages=LIVE_MESSAGES, begin=lambda _: None) == answers
