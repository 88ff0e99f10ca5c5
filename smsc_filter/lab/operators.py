"""People at the console: each signs in as an operator does and opens a page a second, until told to stop."""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, Self

import urllib3

from smsc_filter.lab.rig import RigError

PEOPLE: Final = 5
PAGE_SECONDS: Final = 1.0
"""From one page to the next, each person."""

ANSWER_SECONDS: Final = 30.0

PAGES: Final = (
    "/", "/live", "/decisions", "/live", "/decisions?cause=no-consent", "{decision}", "/senders", "{owner}",
    "/rules", "/rules?threshold.person=0.8", "/live", "/appeals", "/complaints", "/models", "/lists", "/audit",
)  # fmt: skip
"""What they open, one after the other: the overview updates itself between."""

_LINKS: Final = {
    "{decision}": ("/decisions", re.compile(r'href="/console(/decisions/[0-9A-Z]+)"')),
    "{owner}": ("/senders", re.compile(r'href="/console(/owners/[^"]+)"')),
}
"""Pages that are reached by the first link of another."""

_CSRF: Final = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Walked:
    """What some people opened."""

    pages: int
    median_ms: float
    slowest_ms: float


def add_operators(config: Path, people: int = PEOPLE) -> list[tuple[str, str]]:
    """Names and passwords of new users, by the command line.

    Raises:
        RigError: it refused one.
    """
    made = [(f"walker-{secrets.token_hex(4)}", secrets.token_hex(16)) for _ in range(people)]
    for name, password in made:
        done = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "smsc_filter", "user", "add", name, "--role", "admin", "--config", str(config)],
            input=f"{password}\n",
            capture_output=True,
            check=False,
            text=True,
            timeout=ANSWER_SECONDS,
        )
        if done.returncode:
            raise RigError(f"user add: {(done.stderr or done.stdout).strip()}")
    return made


class Operators:
    """``with Operators(web, users) as operators``: they sign in, and walk while the block runs."""

    def __init__(self, web: str, users: Sequence[tuple[str, str]], page_seconds: float = PAGE_SECONDS) -> None:
        """Let ``users`` open the console at ``web``, http://HOST:PORT."""
        self._web = web
        self._users = users
        self._page_seconds = page_seconds
        self._http = urllib3.PoolManager(maxsize=len(users), timeout=ANSWER_SECONDS, retries=False)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._took_ms: list[float] = []
        self._failure = ""

    def __enter__(self) -> Self:
        """Sign everybody in, and let them begin.

        Raises:
            RigError: somebody is not let in.
        """
        cookies = [self._sign_in(name, password) for name, password in self._users]
        for place, cookie in enumerate(cookies):
            self._threads.append(threading.Thread(target=self._walk, args=(cookie, place), daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(ANSWER_SECONDS)
        self._http.clear()

    def walked(self) -> Walked:
        """What was opened, once the block has ended.

        Raises:
            RigError: a page was not answered, or none was opened.
        """
        if self._failure or not self._took_ms:
            raise RigError(f"console: {self._failure or 'no page was opened'}")
        return Walked(len(self._took_ms), median(self._took_ms), max(self._took_ms))

    def _sign_in(self, name: str, password: str) -> str:
        form = self._ask("/login")
        found = _CSRF.search(form.data.decode())
        if found is None:
            raise RigError("console: there is nothing to sign in by")
        fields = {"csrf": found[1], "name": name, "password": password}
        answer = self._http.request(
            "POST", f"{self._web}/console/login", fields=fields, encode_multipart=False, redirect=False,
            headers={"Cookie": _cookies(form)},
        )  # fmt: skip
        cookie = _cookies(answer)
        if answer.status != 303 or not cookie:
            raise RigError(f"console: signing in was answered {answer.status}")
        return cookie

    def _walk(self, cookie: str, place: int) -> None:
        """One person: the same round as the others, begun elsewhere."""
        links: dict[str, str] = {}
        at = time.monotonic() + self._page_seconds * place / len(self._users)
        while not self._stop.wait(max(0.0, at - time.monotonic())):
            path = PAGES[place % len(PAGES)]
            began = time.monotonic()
            try:
                answer = self._ask(links.get(path, "/" if path in _LINKS else path), cookie)
            except urllib3.exceptions.HTTPError as error:
                self._failure = f"{path}: {type(error).__name__}"
                return
            if answer.status != 200:
                self._failure = f"{path} was answered {answer.status}"
                return
            self._took_ms.append((time.monotonic() - began) * 1000)
            for name, (on, link) in _LINKS.items():
                if path == on and (found := link.search(answer.data.decode())):
                    links[name] = found[1]
            place += 1
            # Somebody who waited for a page does not open two at once afterwards.
            at = max(at + self._page_seconds, time.monotonic())

    def _ask(self, path: str, cookie: str = "") -> urllib3.BaseHTTPResponse:
        return self._http.request(
            "GET", f"{self._web}/console{path}", redirect=False, headers={"Cookie": cookie} if cookie else {}
        )


def _cookies(answer: urllib3.BaseHTTPResponse) -> str:
    """What a browser would send back of the cookies of an answer."""
    return "; ".join(each.partition(";")[0] for each in answer.headers.getlist("set-cookie"))
