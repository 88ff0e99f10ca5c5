"""``python -m training.alike``: writes ``alike.toml``, the tables that ``normalise`` reads.

Letters that look like Latin ones, and simplified characters for traditional ones.
They come from two kept libraries. They are written down once and not asked at run time, since a newer
release of either would fold texts differently from the ones a model was trained on.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final
from unicodedata import normalize

PATH: Final = Path(__file__).parents[1] / "smsc_filter" / "classifier" / "alike.toml"

# Scripts whose letters stand in for Latin ones: Latin beyond ASCII, phonetic letters, Greek, Cyrillic, Armenian,
# Georgian, Cherokee, Coptic, Lisu and their kin. Others are shaped too differently to be read as Latin in a word.
_SCRIPTS: Final = (
    range(0x80, 0x590), range(0x10A0, 0x1100), range(0x13A0, 0x1400), range(0x1C80, 0x1CC0), range(0x1D00, 0x1DC0),
    range(0x1E00, 0x2000), range(0x2C60, 0x2D30), range(0xA4D0, 0xA500), range(0xA640, 0xA6A0), range(0xA720, 0xA800),
    range(0xAB30, 0xABC0),
)  # fmt: skip

_HEAD: Final = """\
# What folds to what in normalise.py. Written by `python -m training.alike`; do not edit.
#
# lookalikes: from confusable-homoglyphs (MIT, Copyright (c) 2015 Victor Felder), which holds the confusables of
#     Unicode Technical Standard 39 (Copyright (c) Unicode, Inc.; Unicode License v3).
# simplified: from opencc-python-reimplemented, which holds the dictionaries of OpenCC (Apache License 2.0,
#     Copyright (c) BYVoid and contributors); single characters and the first choice of each.
"""


def lookalikes() -> dict[str, str]:
    """Letters that look like a Latin one, in either case: the letter itself, or its capital."""
    said = json.loads((files("confusable_homoglyphs") / "confusables.json").read_text(encoding="utf-8"))

    def latin(letter: str) -> str | None:
        names = (other["c"] for other in said.get(letter, ()))
        return next((name for name in names if len(name) == 1 and name.isascii() and name.isalpha()), None)

    found = {}
    for point in (point for script in _SCRIPTS for point in script):
        letter = chr(point)
        # What NFKC and leaving accents out makes Latin by itself needs no entry.
        if not letter.isalpha() or normalize("NFKD", letter)[0].isascii():
            continue
        target = latin(letter) or latin(letter.upper()) or latin(letter.lower())
        if target:
            # The standard takes I for l; a capital is read as the vowel.
            found[letter] = "i" if target == "l" and letter.isupper() else target.lower()
    return found


def simplified() -> dict[str, str]:
    """Traditional characters and the simplified ones for them."""
    lines = (files("opencc") / "dictionary" / "TSCharacters.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("\t") for line in lines if "\t" in line)
    return {old: new.split()[0] for old, new in pairs if len(old) == 1 and old != new.split()[0]}


def write(path: Path = PATH) -> None:
    """Write both tables to ``path``, a line for each character that others fold to."""
    path.write_text(
        f"{_HEAD}\n[lookalikes]\n{_lines(lookalikes())}\n[simplified]\n{_lines(simplified())}", encoding="utf-8"
    )


def _lines(table: Mapping[str, str]) -> str:
    alike = defaultdict(list)
    for source, target in sorted(table.items()):
        alike[target].append(source)
    return "".join(f'"{target}" = "{"".join(alike[target])}"\n' for target in sorted(alike))


if __name__ == "__main__":
    write()
