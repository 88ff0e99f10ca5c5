"""Browsers that signed in before: a signed cookie says for whom, and limits that strangers can reach pass them by.

The cookie opens nothing. It is for one user of the console or one number of the portal, and gives its browser a count
of its own, so that whoever uses up the attempts at a name or the codes of a number shuts out nobody who was here.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

LIFETIME_SECONDS: Final = 180 * 86_400

PREFIX: Final = "device-"


class Devices:
    """Makes and checks the cookies of known browsers."""

    def __init__(self, key: bytes) -> None:
        """Sign with ``key``: of one installation, or of all that serve the same names."""
        self._key = key

    def known(self, request: Request, subject: str, now: float) -> str:
        """The name of a browser that signed in as ``subject`` before; "" for any other."""
        device, _, rest = request.cookies.get(self._cookie(subject), "").partition(".")
        issued, _, mac = rest.partition(".")
        if not (device and issued.isascii() and issued.isdigit() and len(issued) <= 12):
            return ""
        right = hmac.compare_digest(mac.encode(), self._mac(subject, device, issued).encode())
        return device if right and 0 <= now - int(issued) < LIFETIME_SECONDS else ""

    def remember(self, request: Request, response: Response, subject: str, path: str, now: float) -> None:
        """Give the browser that has just signed in as ``subject`` its cookie; one that has it keeps its name."""
        device, issued = self.known(request, subject, now) or secrets.token_urlsafe(12), str(int(now))
        response.set_cookie(
            self._cookie(subject),
            f"{device}.{issued}.{self._mac(subject, device, issued)}",
            max_age=LIFETIME_SECONDS,
            path=path,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )

    def _cookie(self, subject: str) -> str:
        # By the subject, so that several people of one browser do not take it from one another; not to be read from it.
        return PREFIX + self._mac("cookie", subject)[:12]

    def _mac(self, *parts: str) -> str:
        return hmac.digest(self._key, "\0".join(parts).encode("utf-8", "surrogatepass"), "sha256").hex()
