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

    session_idle_minutes: Annotated[float, Field(gt=0)] = 30.0
    """Who is signed in to the console and asks for nothing for so long has to sign in again."""

    session_hours: Annotated[float, Field(gt=0)] = 12.0
    """So does everybody after that time."""

    sign_in_failures_a_minute: Annotated[int, Field(ge=1)] = 10
    """Wrong passwords from one address within a minute before it has to wait."""

    sign_in_failures_a_name: Annotated[int, Field(ge=1)] = 10
    """Wrong passwords for one name within a quarter of an hour before nobody may try it."""
