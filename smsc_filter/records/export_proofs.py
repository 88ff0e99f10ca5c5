"""What an export carries so that others can check it with ``sha256sum`` and ``openssl`` alone."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Connection, select

from smsc_filter.records.journal import BULK, SALT_OCTETS, canonical, digest_of, entries_of, key_columns
from smsc_filter.records.seals import BEGINNING, chain_words
from smsc_filter.records.signature import signed_octets
from smsc_filter.records.tables import seals

FOLDER: Final = "sealed"
README: Final = "README.txt"
SUMS: Final = "SHA256SUMS"
SIGNED: Final = "manifest.signed"
SIGNATURE: Final = "manifest.sig"
KEY: Final = "key.pem"

SIGNING_FILES: Final = (SIGNED, SIGNATURE, KEY)
"""They say what ``manifest.json`` says, and so are not named in it."""

WORDS: Final = """How to check this export without smsc-filter
=============================================

All that is needed is a POSIX shell, sha256sum and openssl 3.0 or later. Run the commands in this folder.

1. Who signed it. key.pem is the Ed25519 key of the installation; compare it with the key you were given another way
   (in base 64 it is "key" in manifest.json). manifest.signed is manifest.json without "signature", as JSON with sorted
   keys and without spaces: the octets that are signed. It prints "Signature Verified Successfully":

    openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in manifest.signed -sigfile manifest.sig

2. That no file was changed. SHA256SUMS is named in what is signed; both print nothing when all is well:

    grep -q "$(sha256sum < SHA256SUMS | cut -c1-64)" manifest.signed || echo "SHA256SUMS is not what was signed"
    sha256sum --quiet -c SHA256SUMS

3. That decisions and outcomes are those that were sealed soon after they were made. A line of sealed/rows.txt is a salt,
   a space, and the canonical form of a row: a JSON array (UTF-8, no spaces) with the name of the table and its columns
   in order, empty ones at the end left out. The columns are:

COLUMNS
   The SHA-256 of the line is the row's digest; it stands beside its id in a file sealed/segment-*.txt:

    while IFS= read -r line; do digest=$(printf '%s' "$line" | sha256sum | cut -c1-64); grep -qs " $digest\\$" sealed/segment-*.txt || echo "not sealed: $line"; done < sealed/rows.txt

   The SHA-256 of such a file is its root, which stands at the end of a line of sealed/chain.txt:

    for file in sealed/segment-*.txt; do [ ! -e "$file" ] || grep -q " $(sha256sum < "$file" | cut -c1-64)\\$" sealed/chain.txt || echo "not in the chain: $file"; done

   A line of sealed/chain.txt begins with the SHA-256 of the line before it, and goes on: kind, first id, last id, rows,
   time (epoch milliseconds), "new" or "found", root. "found" marks rows from before there were seals: they are as they
   were when seals began. What is printed at the end is "chain" of "seals" in manifest.json:

    end=; while IFS= read -r line; do [ -z "$end" ] || [ "${line%% *}" = "$end" ] || echo "broken at: $line"; end=$(printf '%s' "$line" | sha256sum | cut -c1-64); done < sealed/chain.txt; echo "$end"

4. Rows of decisions.jsonl and outcomes.jsonl that are not in sealed/rows.txt are younger than ten minutes, came late, or
   had their text erased as the law allows; "sealed" in manifest.json says how many are there. All other tables were
   compared with their seals by the installation before it signed: "problems" in manifest.json is what was found, and is
   empty when everything was as it was sealed. Consent events carry their own chain:
   `smsc-filter export --verify FOLDER` checks it.
"""  # noqa: E501 - commands that are copied


def write_seals(connection: Connection, folder: Path, ids: Mapping[str, Collection[int]], position: int) -> int:
    """Write the sealed rows with their segments, the chain from there to ``position``; how many rows."""
    (folder / FOLDER).mkdir()
    first, written = position + 1, 0
    with (folder / FOLDER / "rows.txt").open("wb") as file:
        for kind, wanted in ids.items():
            mine = frozenset(wanted)
            if not mine:
                continue
            row = seals.c
            segments = connection.execute(
                select(row.id)
                .where(row.kind == kind, row.id <= position, row.last_id >= min(mine), row.first_id <= max(mine))
                .order_by(row.id)
            ).scalars().all()  # fmt: skip
            for number in segments:
                if lines := _sealed_rows(connection, kind, number, mine, folder):
                    file.write(b"".join(lines))
                    written += len(lines)
                    first = min(first, number)
    _write_chain(connection, folder, first, position)
    return written


def _sealed_rows(connection: Connection, kind: str, number: int, wanted: Collection[int], folder: Path) -> list[bytes]:
    segment = connection.execute(select(seals).where(seals.c.id == number)).one()
    if segment.digests is None:
        return []
    table = BULK[kind]
    column = key_columns(table)[0]
    rows = {
        row[0]: canonical(kind, tuple(row))
        for row in connection.execute(select(table).where(column.between(segment.first_id, segment.last_id)))
        if row[0] in wanted
    }
    lines = []
    entries = list(entries_of(segment.digests))
    for place, (id_, digest) in enumerate(entries):
        salt = segment.salts[place * SALT_OCTETS : (place + 1) * SALT_OCTETS].hex()
        if id_ in rows and digest_of(salt, rows[id_]) == digest:
            lines.append(salt.encode() + b" " + rows[id_] + b"\n")
    if lines:
        text = "".join(f"{id_} {digest.hex()}\n" for id_, digest in entries)
        (folder / FOLDER / f"segment-{number}.txt").write_text(text)
    return lines


def _write_chain(connection: Connection, folder: Path, first: int, position: int) -> None:
    row = seals.c
    columns = [column for column in seals.columns if column.name not in ("digests", "salts")]
    before = connection.execute(select(row.chain).where(row.id == first - 1)).scalar()
    previous = before or BEGINNING
    wanted = select(*columns).where(row.id.between(first, position)).order_by(row.id)
    with (folder / FOLDER / "chain.txt").open("w") as file:
        for seal in connection.execution_options(yield_per=2_000).execute(wanted):
            file.write(chain_words(previous, seal._mapping) + "\n")
            previous = seal.chain


def readme() -> str:
    """The words for a third party."""
    columns = "".join(
        f"     {name}: {', '.join(column.name for column in table.columns)}\n" for name, table in BULK.items()
    )
    return WORDS.replace("COLUMNS\n", columns + "\n")


def write_signature(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write what ``openssl`` checks: the octets that were signed, the signature, the key."""
    (folder / SIGNED).write_bytes(signed_octets(manifest))
    (folder / SIGNATURE).write_bytes(b64decode(manifest["signature"]))
    key = Ed25519PublicKey.from_public_bytes(b64decode(manifest["key"]))
    (folder / KEY).write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
