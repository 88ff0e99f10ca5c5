"""What the OpenAPI document allows is understood, and what it does not is a problem it names.

Schemathesis asks the real process over a socket, by every kind of request it can make of the document: examples, the
edges of each type, random ones, and chains of requests that follow each other's answers.
"""

from __future__ import annotations

import subprocess
import sys

from smsc_filter.records.tokens import SCOPES
from tests.conftest import StartRelay
from tests.relay.harness import Smsc
from tests.web.test_service import browser, token

EXAMPLES = 15
"""Random requests a route; enough to find again what was wrong when it was new."""

SECONDS = 400

MAY_REFUSE = (
    "DELETE /api/v1/declines/numbers/{recipient}",
    "GET /api/v1/consents/{recipient}",
    "GET /api/v1/decisions",
    "GET /api/v1/declines/numbers/{recipient}",
    "GET /api/v1/declines/numbers/{recipient}/check",
    "PATCH /api/v1/imports/{job_id}",
    "POST /api/v1/appeals",
    "POST /api/v1/appeals/{appeal_id}/grant",
    "POST /api/v1/complaint-imports",
    "POST /api/v1/complaints",
    "POST /api/v1/complaints/{complaint_id}/outcome",
    "POST /api/v1/consent-lookup",
    "POST /api/v1/consents",
    "POST /api/v1/consents/{recipient}/withdraw",
    "POST /api/v1/declines/lookup",
    "POST /api/v1/declines/sync",
    "POST /api/v1/imports",
    "PUT /api/v1/declines/numbers/{recipient}",
    "PUT /api/v1/evidence/{sha256}",
)
"""Routes with a condition that no schema can say: a checksum of the body, one time before another, a file that was sent
before, a number that its country can have. There alone a request that fits the schema may be refused."""


def test_schemathesis_finds_nothing(smsc: Smsc, start_relay: StartRelay) -> None:
    relay = start_relay(smsc.port, web={"failures_a_minute": 1_000_000})
    headers = token(relay, *(word for scope in SCOPES for word in ("--scope", scope)))
    config = relay.folder / "schemathesis.toml"
    config.write_text(
        "\n".join(
            f'[[operations]]\ninclude-name = "{name}"\nchecks.positive_data_acceptance.enabled = false'
            for name in MAY_REFUSE
        ),
        encoding="utf-8",
    )
    with browser(relay) as web:
        done = subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "schemathesis.cli",
                    "--config-file",
                    str(config),
                    "run",
                    str(web.base_url) + "/api/openapi.json",
                ),
                *("--header", f"Authorization: {headers['Authorization']}"),
                *("--max-examples", str(EXAMPLES), "--seed", "1", "--workers", "1", "--no-color"),
                *("--request-timeout", "30", "--generation-database", "none"),
            ],
            cwd=relay.folder,
            capture_output=True,
            check=False,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2_000:]
        assert web.get("/readyz").json()["status"] == "ok"
    assert "web-failed" not in relay.log()
