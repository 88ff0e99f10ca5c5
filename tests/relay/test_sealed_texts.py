"""With ``encrypt_texts`` no file of ``data_dir`` holds a text in plain, and everybody who reads the records sees it."""

from __future__ import annotations

from pathlib import Path

from smsc_filter.policy.record import id_to_text
from smsc_filter.records.text_keys import add_key
from tests.conftest import Connect, StartRelay

from .harness import BANK, BANK_SENDER, CODE, Smsc
from .test_long_messages import FORBIDDEN, PROHIBITED, udh_8

MARK = "SECRETMARK"
TO = b"8613800000001"


def test_no_file_holds_a_text_and_explain_shows_it(
    smsc: Smsc, start_relay: StartRelay, connect: Connect, tmp_path: Path
) -> None:
    path, prohibited = tmp_path / "text.keys", tmp_path / "prohibited.txt"
    add_key(path)
    prohibited.write_text(f"{FORBIDDEN}\n")
    relay = start_relay(
        smsc.port,
        records={"encrypt_texts": True, "text_keys": str(path)},
        policy={"prohibited_file": str(prohibited)},
    )
    head, _, tail = FORBIDDEN.partition("-")
    parts = [udh_8(TO, 7, 2, 1, f"{MARK} {head}-".encode(), 0), udh_8(TO, 7, 2, 2, tail.encode(), 0)]
    with connect(relay, BANK) as esme:
        assert esme.submit(BANK_SENDER, TO, f"{CODE} {MARK}") == 0
        # A part that was remembered sealed is read again when the next one comes.
        assert [esme.ask(part.replace(b"106900001", BANK_SENDER)).command_status for part in parts] == [0, PROHIBITED]
    first, *_ = relay.decisions(TO.decode(), 3)
    assert MARK not in first["text"]
    assert f"{CODE} {MARK}" in relay.command("explain", id_to_text(first["id"])).stdout
    plain = [file for file in relay.folder.rglob("*") if file.is_file() and MARK.encode() in file.read_bytes()]
    assert plain == []
