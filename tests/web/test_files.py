"""Imports and syncs: whole files, half files, wrong lines, the same again, and services that fall in between."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import httpx2 as httpx
import orjson
import pytest
from sqlalchemy import func, select
from starlette.exceptions import HTTPException

from smsc_filter.records.jobs import find_job, waiting_jobs
from smsc_filter.records.tables import consent_events
from smsc_filter.web.guard import RequestBody
from smsc_filter.web.jobs import Stopped
from tests.web.conftest import API, NOW, A, B, C, World, make_world, problem

HEADER = "recipient,state,event_time,reference\n"


def keyed(headers: dict[str, str], key: str) -> dict[str, str]:
    return headers | {"Idempotency-Key": key}


def events(world: World) -> int:
    with world.engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(consent_events)).scalar_one()


def sha256(octets: bytes | str) -> str:
    return hashlib.sha256(octets if isinstance(octets, bytes) else octets.encode()).hexdigest()


def test_a_file_is_imported_and_each_wrong_line_told(world: World) -> None:
    headers = world.token()
    text = HEADER + f"{A},granted,2025-12-01,form 1\n12ab,granted,,\n{B},maybe,,\n{C},refused,,\n\n{B},granted"
    answer = world.client.post(f"{API}/imports", content=text, headers=keyed(headers, "one"))
    assert answer.status_code == 202, answer.text
    url = f"{API}/imports/{answer.json()['id']}"
    done = world.ends(url, headers)
    assert done["state"] == "done"
    assert done["progress"] == {"rows": 5, "stored": 2, "repeated": 0, "wrong": 3, "lines": 7, "held": 0}
    errors = [orjson.loads(line) for line in world.client.get(done["errors_url"], headers=headers).content.splitlines()]
    assert [error["line"] for error in errors] == [3, 4, 7]
    assert world.client.get(f"{API}/consents/{A}", headers=headers).json()["states"][0]["state"] == "granted"
    # Its file is gone; what is wrong with it stays.
    assert not world.context.jobs.file_of(done["id"]).exists()


def test_json_lines_are_imported_too(world: World) -> None:
    headers = world.token()
    lines = [{"recipient": A, "state": "granted"}, {"recipient": B, "state": "withdrawn", "text_version": "2"}]
    content = b"".join(orjson.dumps(line) + b"\n" for line in lines) + b'{"recipient": "138000'
    url = f"{API}/imports?format=jsonl"
    answer = world.client.post(url, content=content, headers=keyed(headers, "one"))
    done = world.ends(f"{API}/imports/{answer.json()['id']}", headers)
    assert (done["progress"]["stored"], done["progress"]["wrong"]) == (2, 1)


def test_the_same_key_is_the_same_import(world: World) -> None:
    headers = world.token()
    text = HEADER + f"{A},granted,,\n"
    first = world.client.post(f"{API}/imports", content=text, headers=keyed(headers, "one")).json()
    world.ends(f"{API}/imports/{first['id']}", headers)
    again = world.client.post(f"{API}/imports", content=text, headers=keyed(headers, "one")).json()
    assert (again["id"], again["state"]) == (first["id"], "done")
    assert events(world) == 1
    other = world.client.post(f"{API}/imports?format=jsonl", content=text, headers=keyed(headers, "one"))
    problem(other, 409, "key-taken")
    elsewhere = world.client.post(f"{API}/imports", content=text, headers=keyed(world.token("bank-ltd"), "one"))
    assert elsewhere.json()["id"] != first["id"]


def test_another_owner_does_not_see_it(world: World) -> None:
    shop, bank = world.token("shop-ltd"), world.token("bank-ltd")
    text = HEADER + f"{A},granted,,\n"
    job = world.client.post(f"{API}/imports", content=text, headers=keyed(shop, "one")).json()
    for method, path in (("GET", ""), ("GET", "/errors"), ("PATCH", "")):
        url = f"{API}/imports/{job['id']}{path}"
        answer = world.client.request(method, url, headers=bank | {"Upload-Offset": "0"})
        problem(answer, 404, "no-such-job")
    assert world.client.get(f"{API}/imports", headers=bank).json() == []


def test_an_owner_can_import_for_itself_only(world: World) -> None:
    headers = world.token()
    text = f"recipient,owner,state\n{A},bank-ltd,granted\n{B},shop-ltd,granted\n"
    job = world.client.post(f"{API}/imports", content=text, headers=keyed(headers, "one")).json()
    done = world.ends(f"{API}/imports/{job['id']}", headers)
    assert (done["progress"]["stored"], done["progress"]["wrong"]) == (1, 1)


@pytest.mark.parametrize(("content", "complaint"), [
    pytest.param("recipient,stat\n", "column state is missing", id="column missing"),
    pytest.param("", "column recipient is missing", id="nothing"),
    pytest.param(b"\xff\xfer\0e\0c\0", "column recipient is missing; there are rec", id="UTF-16"),
    pytest.param(b"PK\x03\x04", "is no workbook that can be read", id="no workbook"),
])  # fmt: skip
def test_a_wrong_header_fails_the_import(world: World, content: str | bytes, complaint: str) -> None:
    headers = world.token()
    job = world.client.post(f"{API}/imports", content=content, headers=keyed(headers, "one")).json()
    done = world.ends(f"{API}/imports/{job['id']}", headers)
    assert done["state"] == "failed"
    assert complaint in done["error"]
    assert "uploads" not in done["error"]
    assert events(world) == 0


def test_half_a_file_is_told_by_its_checksum_and_goes_on(world: World) -> None:
    headers = world.token()
    text = (HEADER + f"{A},granted,,\n{B},granted,,\n").encode()
    url = f"{API}/imports?sha256={sha256(text)}"
    problem(world.client.post(url, content=text[:40], headers=keyed(headers, "one")), 422, "wrong-checksum")
    (job,) = world.client.get(f"{API}/imports", headers=headers).json()
    assert (job["state"], job["octets"]) == ("receiving", 0)
    assert world.client.post(url, content=text, headers=keyed(headers, "one")).status_code == 202
    assert world.ends(f"{API}/imports/{job['id']}", headers)["progress"]["stored"] == 2


def send_half(world: World, query: str, octets: bytes, headers: dict[str, str]) -> None:
    """Begin an import, and hang up behind ``octets``."""
    said = iter([
        {"type": "http.request", "body": octets, "more_body": True},
        {"type": "http.disconnect"},
    ])  # fmt: skip
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": f"{API}/imports",
        "raw_path": f"{API}/imports".encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }

    async def receive() -> dict[str, Any]:
        return next(said)

    async def send(_message: MutableMapping[str, Any]) -> None:
        raise AssertionError("nobody hears an answer")

    assert world.client.portal is not None
    world.client.portal.call(world.client.app, scope, receive, send)


def test_an_upload_that_broke_off_goes_on_where_it_was(world: World) -> None:
    headers = world.token()
    text = (HEADER + f"{A},granted,,\n{B},granted,,\n").encode()

    send_half(world, f"sha256={sha256(text)}", text[:40], keyed(headers, "one"))
    (job,) = world.client.get(f"{API}/imports", headers=headers).json()
    rest = f"{API}/imports/{job['id']}"
    problem(world.client.patch(rest, content=b"x", headers=headers | {"Upload-Offset": "41"}), 409, "wrong-offset")
    came = job["octets"]
    assert came == 40
    done = world.client.patch(rest, content=text[came:], headers=headers | {"Upload-Offset": str(came)})
    assert done.status_code == 202, done.text
    assert world.ends(rest, headers)["progress"]["stored"] == 2
    problem(world.client.patch(rest, content=b"x", headers=headers | {"Upload-Offset": "0"}), 409, "upload-complete")


def test_an_import_cut_short_goes_on_and_tells_each_wrong_line_once(world: World, tmp_path: Path) -> None:
    """Stopped behind the first of three transactions, as a service that is stopped or falls."""
    headers = world.token()
    path, errors = tmp_path / "file", tmp_path / "errors"
    numbers = [str(13_800_000_000 + number) for number in range(25)]
    text = HEADER + "".join(f"{number if index % 5 else 'x'},granted,,\n" for index, number in enumerate(numbers))
    path.write_text(text, encoding="utf-8")
    desk = world.context.consents
    told: list[int] = []

    def take(stop_after: int) -> None:
        def tell(summary: object) -> None:
            told.append(1)
            if len(told) == stop_after:
                raise Stopped

        desk.take(
            key="k",
            owner="shop-ltd",
            format="csv",
            sha256=sha256(text),
            path=path,
            errors=errors,
            now=NOW,
            tell=tell,
            batch_rows=10,
        )

    with pytest.raises(Stopped):
        take(1)
    assert events(world) == 8
    with errors.open("ab") as file:
        file.write(b'{"line":14,"detail":"of a batch that was not stored"}\n{"line":1')
    take(0)
    assert events(world) == 20
    assert [orjson.loads(line)["line"] for line in errors.read_bytes().splitlines()] == [2, 7, 12, 17, 22]
    assert headers


def test_a_job_a_fall_left_running_is_done_at_the_next_start(world: World) -> None:
    headers = world.token()
    text = HEADER + f"{A},granted,,\n"
    job = world.client.post(f"{API}/imports", content=text, headers=keyed(headers, "one")).json()
    done = world.ends(f"{API}/imports/{job['id']}", headers)
    assert done["state"] == "done"
    assert waiting_jobs(world.engine, 0) == []
    found = find_job(world.engine, job["id"], "shop-ltd")
    assert found is not None
    world.context.jobs.file_of(found.id).write_text(text, encoding="utf-8")
    world.context.jobs.do(found)
    assert events(world) == 1


def sync_url(text: str, version: int, base: int | None = None, name: str = "national") -> str:
    url = f"{API}/declines/sync?list={name}&version={version}&sha256={sha256(text)}"
    return url if base is None else f"{url}&base={base}"


def declined(world: World, headers: dict[str, str], number: str, at: str = "12:00", channel: str = "voice") -> bool:
    asked = {"channel": channel, "at": at}
    answer = world.client.get(f"{API}/declines/numbers/{number}/check", params=asked, headers=headers)
    assert answer.status_code == 200, answer.text
    found: bool = answer.json()["declined"]
    return found


def bring(world: World, headers: dict[str, str], text: str, version: int, base: int | None = None) -> dict[str, object]:
    answer = world.client.post(sync_url(text, version, base), content=text, headers=headers)
    assert answer.status_code == 202, answer.text
    return world.ends(f"{API}/declines/syncs/{answer.json()['id']}", headers)


def test_a_list_is_brought_by_versions(world: World) -> None:
    """CN-24."""
    headers = world.token()
    assert bring(world, headers, f"{A},voice:all\n{B},voice:all@21:00-09:00\n", 1)["state"] == "done"
    assert declined(world, headers, A)
    assert not declined(world, headers, B)
    assert declined(world, headers, B, "08:59")
    assert not declined(world, headers, A, channel="sms")
    assert bring(world, headers, f"{A},-\n{C},*:all\n", 2, 1)["progress"] == {"rows": 2, "changed": 2}
    assert not declined(world, headers, A)
    assert declined(world, headers, C, channel="sms")
    lists = world.client.get(f"{API}/declines/lists", headers=headers).json()
    assert [(each["name"], each["version"], each["numbers"]) for each in lists] == [
        ("national", 2, 2),
        ("personal", 0, 0),
    ]


def test_a_delta_on_the_wrong_base_waits_for_its_own(world: World) -> None:
    headers = world.token()
    bring(world, headers, f"{A}\n", 1)
    early = bring(world, headers, f"{C}\n", 3, 2)
    assert early["state"] == "failed"
    assert "at version 1, the delta is on version 2" in str(early["error"])
    assert not declined(world, headers, C)
    bring(world, headers, f"{B}\n", 2, 1)
    assert bring(world, headers, f"{C}\n", 3, 2)["state"] == "done"
    assert declined(world, headers, C)
    assert bring(world, headers, f"{C}\n", 3, 2)["state"] == "done"


def test_a_wrong_list_changes_nothing(world: World) -> None:
    headers = world.token()
    bring(world, headers, f"{A}\n", 1)
    failed = bring(world, headers, f"{B}\nnobody\n", 2)
    assert failed["state"] == "failed"
    assert "line 2" in str(failed["error"])
    text = f"{B}\n"
    short = world.client.post(sync_url(text, 2), content=text[:5], headers=headers)
    problem(short, 422, "wrong-checksum")
    assert declined(world, headers, A)
    assert not declined(world, headers, B)


def test_personal_wishes_bind_at_once_and_add_to_the_lists(world: World) -> None:
    headers = world.token()
    bring(world, headers, f"{A},voice:all\n", 1)
    url = f"{API}/declines/numbers/{A}"
    answer = world.client.put(url, json={"wish": "sms:finance@22:00-08:00"}, headers=headers)
    assert answer.json()["lists"] == {"national": "voice:all", "personal": "sms:finance@22:00-08:00"}
    asked = {
        "channel": "sms",
        "at": "23:00",
        "targets": [
            {"recipient": A, "category": "finance"},
            {"recipient": A, "category": "realty"},
            {"recipient": A},
            {"recipient": B, "category": "finance"},
        ],
    }
    found = world.client.post(f"{API}/declines/lookup", json=asked, headers=headers).json()
    assert [each["declined"] for each in found] == [True, False, False, False]
    assert found[0]["wish"] == "sms:finance@22:00-08:00 voice:all"
    assert world.client.delete(url, headers=headers).status_code == 204
    found = world.client.post(f"{API}/declines/lookup", json=asked, headers=headers).json()
    assert [each["declined"] for each in found] == [False] * 4
    assert declined(world, headers, A)
    problem(world.client.put(url, json={"wish": "fax:all"}, headers=headers), 422, "wrong-wish")


def test_files_together_have_a_bound_and_each_owner_half_of_it(valkey: Path, tmp_path: Path) -> None:
    for world in make_world(valkey, tmp_path, uploads_total_mb=4):
        world.context.jobs.stop()  # nothing is done, so what has come stays
        line = b"x" * 1_023 + b"\n"

        def send(owner: str, key: str, octets: int, world: World = world, line: bytes = line) -> httpx.Response:
            headers = keyed(world.token(owner), key)
            return world.client.post(f"{API}/imports", content=line * (octets >> 10), headers=headers)

        mib = 1 << 20
        assert send("shop-ltd", "one", mib).status_code == 202
        problem(send("shop-ltd", "two", 2 * mib), 507, "no-room")
        assert send("bank-ltd", "one", 2 * mib).status_code == 202
        problem(send("mail-ltd", "one", 2 * mib), 507, "no-room")
        # A body alone that is more than all files may be is cut off while it comes.
        problem(send("post-ltd", "one", 5 * mib), 507, "no-room")
        kept = sum(path.stat().st_size for path in (tmp_path / "uploads").iterdir())
        assert kept <= 4 * mib


def test_an_upload_that_drips_in_is_cut_off() -> None:
    async def receive() -> MutableMapping[str, Any]:
        clock[0] += 25.0
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def application(_scope: Any, receive: Any, _send: Any) -> None:
        while True:
            await receive()

    clock = [0.0]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(HTTPException, match="octets a second"):
        patch.setattr("smsc_filter.web.guard.time.monotonic", lambda: clock[0])
        body = RequestBody(receive, 1 << 40, 30.0, lambda octets: None)
        asyncio.run(application({}, body.receive, None))
    assert 30 < clock[0] <= 60
