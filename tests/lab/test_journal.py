"""What is in the journal is what was accepted, whatever was cut off its end."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.lab.journal import JournalEntry, JournalWriter, encode_record, read_journal

ENTRIES = st.lists(
    st.builds(JournalEntry, st.integers(0, 2**32 - 1), st.binary(max_size=64), st.binary(min_size=16, max_size=300)),
    max_size=8,
)


@given(written=ENTRIES, later=ENTRIES, cut=st.integers(0, 400))
def test_a_journal_gives_back_whole_records_and_goes_on_behind_them(
    written: list[JournalEntry], later: list[JournalEntry], cut: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        append(path, written)
        octets = path.read_bytes()
        path.write_bytes(octets[: max(0, len(octets) - cut)])
        kept = list(read_journal(path))
        assert kept == written[: len(kept)]
        if not cut:
            assert kept == written
        append(path, later)
        assert list(read_journal(path)) == kept + later


def append(path: Path, entries: list[JournalEntry]) -> None:
    journal = JournalWriter(path)
    try:
        journal.write([encode_record(*entry) for entry in entries])
    finally:
        journal.close()
