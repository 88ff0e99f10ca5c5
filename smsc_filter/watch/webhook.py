"""Posts an alarm, signed, so that the receiver can tell it from anybody's.

The signature covers the time and the body: ``X-Smsc-Filter-Signature: t=<epoch seconds>,v1=<hex HMAC-SHA256 of
"<t>.<body>">``. A receiver recomputes it with the shared secret and turns down what is older than a few minutes, so
that what was overheard cannot be sent again. ``X-Smsc-Filter-Alarm`` carries the id: an alarm may arrive twice, when an
answer was lost.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import orjson
import urllib3

from smsc_filter.records.alarms import AlarmRecord

SIGNATURE_HEADER: Final = "X-Smsc-Filter-Signature"
ID_HEADER: Final = "X-Smsc-Filter-Alarm"

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 300.0


def sign(body: bytes, secret: str, at: float) -> str:
    """The value of ``SIGNATURE_HEADER`` for a body posted at ``at`` (epoch seconds)."""
    moment = str(int(at))
    digest = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def pause_after(tries: int) -> float:
    """Seconds to wait after so many tries: doubled each time, up to the longest."""
    return min(FIRST_PAUSE_SECONDS * 2.0 ** (tries - 1), LONGEST_PAUSE_SECONDS)


class Webhook:
    """One receiver."""

    def __init__(self, url: str, secret: str, timeout: float) -> None:
        """Post to ``url``; one try takes at most ``timeout`` seconds to connect and as long to be answered."""
        self._url = url
        self._secret = secret
        self._timeout = urllib3.Timeout(connect=timeout, read=timeout)
        # When to try again is the desk's to say, over restarts too; a redirect would lead the alarm elsewhere.
        self._pool = urllib3.PoolManager(num_pools=1, retries=False)

    def post(self, alarm: AlarmRecord, now: float) -> str:
        """Post an alarm; what went wrong, in words, or "" when the receiver took it (any 2xx)."""
        body = orjson.dumps(alarm.to_dict())
        headers = {
            "Content-Type": "application/json",
            SIGNATURE_HEADER: sign(body, self._secret, now),
            ID_HEADER: str(alarm.id),
        }
        try:
            answer = self._pool.request(
                "POST",
                self._url,
                body=body,
                headers=headers,
                timeout=self._timeout,
                redirect=False,
                preload_content=False,  # what it says beside the status is nothing to us, and may be long
            )
            status = answer.status
            # Its rest is unread, so the connection cannot serve another request.
            answer.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return type(error).__name__
        return "" if 200 <= status < 300 else f"HTTP {status}"

    def close(self) -> None:
        """Hang up."""
        self._pool.clear()
