"""Models on their page: candidates and their gates, the shadow's comparison, promoting one, going back."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
import redis.asyncio
from fastapi.testclient import TestClient

from smsc_filter.classifier.curve import CURVE, measure, write_curves
from smsc_filter.classifier.gates import Asked, Gate, read_gates, write_gates
from smsc_filter.classifier.manifest import PURPOSES, read_manifest
from smsc_filter.classifier.versions import earlier_models
from smsc_filter.records.audit import changes
from smsc_filter.records.users import Role
from smsc_filter.samples.labels import Case, Provenance, append
from smsc_filter.service.build_web import web_context
from smsc_filter.settings import ModelSettings
from smsc_filter.state.scores import Compared, add_compared
from smsc_filter.web.app import make_app
from tests.classifier.models import DEFAULT, variant
from tests.records.helpers import new_database
from tests.web.conftest import NOW, World
from tests.web.console.conftest import Person, SignIn, decision_row, put_decisions, settings_for

ADVERTISEMENT = "【云上商城】周末全场五折，满200减50，快来抢购！拒收请回复TD"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A served model, and a candidate beside it that is the shadow too."""
    shutil.copytree(DEFAULT, tmp_path / "models" / "default")
    (tmp_path / "models" / "default" / CURVE).unlink(missing_ok=True)
    variant(tmp_path / "models" / "candidate", bias=-0.01, version=2)
    return tmp_path / "models"


@pytest.fixture
def world(valkey: Path, tmp_path: Path, folder: Path) -> Iterator[World]:
    engine = new_database(tmp_path)
    writer = redis.Redis(unix_socket_path=str(valkey))
    writer.flushall()
    store = redis.asyncio.Redis(unix_socket_path=str(valkey))
    own = ModelSettings(
        path=str(folder / "default"), cases=str(folder / "cases"), labels=str(folder / "labels"),
        shadow=str(folder / "candidate"),
    )  # fmt: skip
    settings = replace(settings_for(tmp_path, f"unix://{valkey}"), model=own)
    context = web_context(settings, engine, store, writer, lambda: NOW)
    with TestClient(make_app(context), raise_server_exceptions=False) as client:
        yield World(client, engine, writer, context, [NOW])
        assert client.portal is not None
        client.portal.call(context.declines.close)
        client.portal.call(store.aclose)
    writer.close()
    engine.dispose()


def model_ids(folder: Path) -> tuple[str, str]:
    return read_manifest(folder / "default").model_id, read_manifest(folder / "candidate").model_id


def asked(folder: Path, *, passed: bool = True, beside: str = "") -> None:
    """The answers of the candidate, as ``python -m training promote --ask`` leaves them."""
    serving, candidate = model_ids(folder)
    gates = (Gate("greetings", True, "0 blocked", "0 blocked of 9"), Gate("recall, own", passed, ">= 97 %", "96.1 %"))
    write_gates(
        folder / "candidate",
        Asked(model=candidate, beside=beside or serving, at="2026-01-01T08:00:00+00:00", gates=gates),
    )


def promoted(person: Person, folder: Path) -> int:
    serving, candidate = model_ids(folder)
    return person.post("/models/promote", model=candidate, serving=serving).status_code


def test_a_candidate_that_passed_every_gate_is_promoted_and_taken_back(
    world: World, sign_in: SignIn, folder: Path
) -> None:
    serving, candidate = model_ids(folder)
    admin = sign_in(Role.ADMIN)
    asked(folder)
    page = admin.get("/models").text
    assert "passed every gate" in page
    assert f"Promote {candidate}" in page
    assert promoted(admin, folder) == 303
    assert read_manifest(folder / "default").model_id == candidate
    assert [(each.manifest.model_id, each.how) for each in earlier_models(folder / "default")] == [
        (serving, "promotion")
    ]
    assert world.context.models.current().model_id == candidate
    page = admin.get("/models?done=promoted").text
    assert "The candidate judges within seconds" in page
    assert f"Go back to {serving}" in page
    assert admin.post("/models/rollback", model=serving).status_code == 303
    assert read_manifest(folder / "default").model_id == serving
    assert admin.post("/models/rollback", model="default-9@00000000").status_code == 409
    said = [(each.action, each.before, each.after) for each in changes(world.engine) if "model" in each.action]
    assert said == [
        ("model-rollback", {"model": candidate}, {"model": serving}),
        ("model-promote", {"model": serving}, {"model": candidate}),
    ]


@pytest.mark.parametrize("how", ["never-asked", "failed", "beside-another", "changed", "damaged"])
def test_a_candidate_that_did_not_pass_beside_this_model_is_not_promoted(
    world: World, sign_in: SignIn, folder: Path, how: str
) -> None:
    serving, candidate = model_ids(folder)
    if how != "never-asked":
        asked(folder, passed=how != "failed", beside="default-0@00000000" if how == "beside-another" else "")
    if how == "changed":
        variant(folder / "candidate", bias=1.0, version=2)
    if how == "damaged":
        (folder / "candidate" / "gates.json").write_text('{"model": 1}', encoding="utf-8")
    admin = sign_in(Role.ADMIN)
    page = admin.get("/models").text
    assert "Promote default" not in page
    assert "python -m training promote --ask --candidate models/candidate" in page
    if how == "failed":
        assert "96.1 %" in page
    assert promoted(admin, folder) == 409
    assert read_manifest(folder / "default").model_id == serving
    assert admin.post("/models/promote", model="default-9@00000000", serving=serving).status_code == 404
    assert admin.post("/models/promote", model=candidate, serving=candidate).status_code == 409


def test_a_candidate_that_repeats_what_an_appeal_put_right_is_not_promoted(
    world: World, sign_in: SignIn, folder: Path
) -> None:
    asked(folder)
    admin = sign_in(Role.ADMIN)
    said = Provenance(origin="appeal", reference="7", by="li", at="2026-01-01")
    case = Case(id="appealed-7", text=ADVERTISEMENT, purpose="person", expected="other", provenance=said)
    append(folder / "cases" / "appeals.jsonl", case)
    serving, candidate = model_ids(folder)
    answer = admin.post("/models/promote", model=candidate, serving=serving)
    assert answer.status_code == 409
    assert "appealed-7" in answer.text
    assert read_manifest(folder / "default").model_id == serving
    (folder / "cases" / "appeals.jsonl").write_text("no case\n", encoding="utf-8")
    assert promoted(admin, folder) == 409


def test_the_shadow_is_compared_by_sender(world: World, sign_in: SignIn, folder: Path) -> None:
    serving, shadow = model_ids(folder)
    person = sign_in(Role.VIEWER)
    assert "Nothing is compared yet." in person.get("/models").text
    counts = {"texts": 1234, "block": 5, "pass": 67, "skipped": 8, "d0": 3, "d5": 1200}
    add_compared(world.store, shadow, {Compared(serving, "person", what): count for what, count in counts.items()})
    page = person.get("/models").text
    for cell in ("1,234", ">5<", ">67<", ">8<", "&lt; -0.5 · 3", "-0.01..+0.01 · 1,200"):
        assert cell in page
    assert "Go back" not in page


def test_the_curve_of_the_model_is_drawn_beside_its_thresholds(world: World, sign_in: SignIn, folder: Path) -> None:
    curves = {purpose: measure([0.2, 0.97, 0.98, 0.999], [0.01] * 99 + [0.98]) for purpose in PURPOSES}
    write_curves(folder / "default", model_ids(folder)[0], curves)
    page = sign_in(Role.VIEWER).get("/rules?threshold.person=0.9").text
    assert page.count("<polyline") == 3
    assert page.count("Measured on texts held out of training: 4 commercial, 100 other.") == 3
    assert "75.0 % of commercial texts caught, 1.00 % of other texts" in page


def test_without_a_curve_of_the_model_labelled_messages_draw_one(world: World, sign_in: SignIn) -> None:
    person = sign_in(Role.OPERATOR)
    ids = put_decisions(
        world,
        *(decision_row(n, purpose="person", score=score) for n, score in enumerate((9900, 9000, 8000, 1000, 500))),
        decision_row(9, purpose="service", score=9900),
    )
    for id_, label in zip(ids, ("fraud", "commercial", "greeting", "personal", "greeting", "commercial"), strict=True):
        assert person.post(f"/decisions/{id_}/label", label="personal").status_code == 303
        assert person.post(f"/decisions/{id_}/label", label=label).status_code == 303
    page = html.unescape(person.get("/rules?threshold.person=0.85").text)
    assert page.count("<polyline") == 1
    assert page.count("No curve: the model came without one") == 2
    assert "people labelled: 2 commercial, 3 other." in page
    # Of two commercial texts and three others, 0.85 catches both and none of the others.
    tried = re.search(r'data-says="threshold-person">(.*?)</p>', page)
    assert tried is not None
    assert "100.0 % of commercial texts caught, 0.00 % of other texts" in tried[1]
    assert f"holds now · From {read_manifest(DEFAULT).thresholds['person']} on" in page


def test_answers_are_read_of_their_model_alone(folder: Path) -> None:
    asked(folder)
    found = read_gates(folder / "candidate", model_ids(folder)[1])
    assert found is not None
    assert found.passed
    assert read_gates(folder / "candidate", model_ids(folder)[0]) is None
    assert not replace(found, gates=()).passed
