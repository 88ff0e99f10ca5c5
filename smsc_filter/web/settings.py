"""``[web]``: where the API and the console are served."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """``[web]``."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    host: str = "127.0.0.1"

    port: Annotated[int, Field(ge=0, le=65535)] = 8080

    request_seconds: Annotated[float, Field(gt=0)] = 30.0
    """Longest wait for an answer, and for the next octets of a request."""

    max_body_kb: Annotated[int, Field(ge=1)] = 1024
    """Greatest body of an ordinary request, in KiB."""

    max_upload_mb: Annotated[int, Field(ge=1)] = 4096
    """Greatest file of an import or a list, in MiB."""

    failures_a_minute: Annotated[int, Field(ge=1)] = 20
    """Wrong tokens from one address within a minute before it has to wait."""
