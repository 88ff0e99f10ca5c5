"""``[web]``, ``[portal]`` and ``[metrics]``: where pages and API are served, and who may see what."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import ConfigDict, Field

PRIVATE: Final = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """``[web]``."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    enabled: bool = True
    """Whether the web is served from here; of several machines over one store and database, one is enough."""

    host: str = "127.0.0.1"

    port: Annotated[int, Field(ge=0, le=65535)] = 8080

    proxies: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks of reverse proxies: who comes from there is who its X-Forwarded-For and -Proto say. Limits by address
    count that one."""

    request_seconds: Annotated[float, Field(gt=0)] = 30.0
    """Longest wait for an answer, and for the next octets of a request."""

    header_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Longest wait for the whole headers of a request, from the connection or the first octet on."""

    connections: Annotated[int, Field(ge=8)] = 512
    """At once. One more closes the one that has kept us waiting longest, of the address that holds the most."""

    connections_an_address: Annotated[int, Field(ge=1)] = 64
    """At once from one IPv4 address or IPv6 /48 that is no proxy; one more closes its longest waiting one."""

    requests: Annotated[int, Field(ge=1)] = 256
    """Under way at once; more get 503 and Retry-After. /healthz and /readyz are answered beyond it."""

    requests_an_address: Annotated[int, Field(ge=1)] = 64
    """Under way at once for one IPv4 address or IPv6 /48, as proxies name it."""

    max_body_kb: Annotated[int, Field(ge=1)] = 1024
    """Greatest body of an ordinary request, in KiB."""

    max_upload_mb: Annotated[int, Field(ge=1)] = 4096
    """Greatest file of an import or a list, in MiB."""

    uploads_total_mb: Annotated[int, Field(ge=1)] = 16384
    """All files of imports and lists together that wait or are coming in, in MiB; more get 507."""

    failures_a_minute: Annotated[int, Field(ge=1)] = 20
    """Wrong tokens from one address within a minute before it has to wait."""

    session_idle_minutes: Annotated[float, Field(gt=0)] = 30.0
    """Who is signed in to the console and asks for nothing for so long has to sign in again."""

    session_hours: Annotated[float, Field(gt=0)] = 12.0
    """So does everybody after that time."""

    sign_in_failures_a_minute: Annotated[int, Field(ge=1)] = 10
    """Wrong passwords from one address within a minute before it has to wait."""

    sign_in_failures_a_name: Annotated[int, Field(ge=1)] = 10
    """Wrong passwords for one name, from one IPv4 address or IPv6 /48 or by one known browser, before that one has to
    wait a minute, and twice as long after each further one, an hour at most."""

    device_key: str = field(default="", repr=False)
    """Signs the cookies of browsers that signed in before, which limits that strangers can reach pass by; empty: one is
    made in ``data_dir``. Machines that serve the same names need the same."""

    def __post_init__(self) -> None:
        for network in self.proxies:
            ipaddress.ip_network(network)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """``[metrics]``: what ``/metrics`` tells, and whom."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    allow_from: tuple[str, ...] = PRIVATE
    """Networks that may read ``/metrics``; a request that came through a proxy is from none of them."""

    greeting_false_block_target: Annotated[float, Field(ge=0, le=1)] = 0.001
    """Share of people's greetings that may be refused; told beside the share that is."""

    def __post_init__(self) -> None:
        for network in self.allow_from:
            ipaddress.ip_network(network)

    @property
    def networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """``allow_from`` as networks."""
        return [ipaddress.ip_network(network) for network in self.allow_from]


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalSettings:
    """``[portal]``: how subscribers prove their numbers, and for how long that holds."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    code_minutes: Annotated[float, Field(gt=0, le=60)] = 10.0
    """A code is good for so long."""

    code_tries: Annotated[int, Field(ge=1, le=10)] = 5
    """Wrong codes before it is good no more."""

    pause_seconds: Annotated[float, Field(ge=0)] = 60.0
    """Least time between two codes to one number."""

    codes_a_day: Annotated[int, Field(ge=1)] = 5
    """Codes to one number in any 24 hours; what is asked for beyond is not sent, and looks the same."""

    codes_an_hour: Annotated[int, Field(ge=1)] = 10
    """Codes one IPv4 address, or one IPv6 /48, asks for in any hour."""

    codes_a_minute: Annotated[int, Field(ge=1)] = 60
    """Codes altogether, of which half may go to one IPv4 /16 or IPv6 /32: what the SMS cost at worst. Browsers that
    proved the number before are not counted; their numbers get ``codes_a_day`` there."""

    help: Annotated[str, Field(max_length=200)] = ""
    """How else subscribers reach the operator, such as a hotline; shown where codes may not come."""

    idle_minutes: Annotated[float, Field(gt=0)] = 15.0
    """Without a click for so long one is signed out."""

    session_minutes: Annotated[float, Field(gt=0)] = 60.0
    """Signed out in any case."""

    categories: tuple[Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")], ...] = (
        "finance", "realty", "education", "health", "retail", "travel", "games",
    )  # fmt: skip
    """What can be declined apart, by the names the register uses."""
