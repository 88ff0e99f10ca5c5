"""In which language a page is written.

English is the language of the sources; ``locale/<code>/*.po`` translates it, a file for each group of pages. The
files are read once, at the first page: nothing has to be compiled, and a translator sees a change at the next start.
"""

from __future__ import annotations

import gettext
import io
from functools import cache
from importlib.resources import files
from typing import Final

from babel import Locale
from babel.core import UnknownLocaleError
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from starlette.requests import Request

LANGUAGES: Final = {"zh": "中文", "en": "English"}
"""Code -> how speakers of a language call it; the first one is for whoever asks for none of them."""

TAGS: Final = {"zh": "zh-CN", "en": "en"}
"""Code -> what the attribute ``lang`` of a page says."""

COOKIE: Final = "lang"
PARAMETER: Final = "lang"

SOURCE: Final = "en"


def language_of(request: Request) -> str:
    """The language asked for: by the address, by an earlier choice, or by the browser's settings."""
    for wish in (request.query_params.get(PARAMETER), request.cookies.get(COOKIE)):
        if wish in LANGUAGES:
            return str(wish)
    return _accepted(request.headers.get("accept-language", ""))


@cache
def translations(language: str) -> gettext.NullTranslations:
    """What turns the words of the sources into those of ``language``."""
    if language == SOURCE:
        return gettext.NullTranslations()
    written = io.BytesIO()
    write_mo(written, catalogue(language))
    return gettext.GNUTranslations(io.BytesIO(written.getvalue()))


def catalogue(language: str) -> Catalog:
    """All files of a language as one; of a message that stands in several, the first in order of names counts."""
    whole = Catalog(locale=language)
    folder = files("smsc_filter.web") / "locale" / language
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if not entry.name.endswith(".po"):
            continue
        with entry.open("rb") as file:
            for message in read_po(file, locale=language):
                if message.id and message.id not in whole:
                    whole.add(message.id, message.string, context=message.context, flags=message.flags)
    return whole


def _accepted(header: str) -> str:
    """The language of ``Accept-Language`` that its writer likes best."""
    wishes: list[tuple[float, str]] = []
    for entry in header[:500].split(","):
        tag, _, quality = entry.partition(";")
        try:
            weight = float(quality.strip().removeprefix("q=") or 1)
            code = Locale.parse(tag.strip(), sep="-").language
        except (ValueError, TypeError, UnknownLocaleError):
            continue
        if code in LANGUAGES:
            wishes.append((weight, code))
    return max(wishes, key=lambda wish: wish[0])[1] if wishes else next(iter(LANGUAGES))
