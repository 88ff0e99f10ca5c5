"""Labelled replies of subscribers: the table that the reader of replies is built and measured with.

``replies.jsonl`` was written for this project and names no real brand, person or number: all before the reader, but
for those of kind ``later``, which were written when its rules stood, to see what they miss. What its labels mean:

- ``stop``: wants no more messages, in whatever words
- ``start``: wants messages, unasked ("START", 恢复)
- ``help``: asks what the messages are, or how to get help with them
- ``confirm``: nothing but a yes; it counts only as the answer to a request
- ``talk``: everything else, near misses among it ("cancel my appointment", 取消预约, "Don't stop texting me")
"""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from typing import Final, NamedTuple

STOP: Final = "stop"
START: Final = "start"
HELP: Final = "help"
CONFIRM: Final = "confirm"
TALK: Final = "talk"

MEANINGS: Final = (STOP, START, HELP, CONFIRM, TALK)


class ReplySample(NamedTuple):
    """One labelled reply."""

    text: str
    label: str
    """One of ``MEANINGS``."""

    lang: str
    """ISO 639-1."""

    kind: str
    """How it is written: keyword, typo, plain, dialect, mixed, quoted, long, near-miss, talk, other or later."""

    @property
    def held_out(self) -> bool:
        """Whether it only measures: rules are not written from it, and no model learns it. About every second one."""
        return hashlib.sha256(self.text.encode()).digest()[0] % 2 == 1


def load_replies() -> list[ReplySample]:
    """The replies written for the project, in the order of the file."""
    lines = (files(__package__) / "replies.jsonl").read_text(encoding="utf-8").split("\n")
    return [ReplySample(**json.loads(line)) for line in lines if line]
