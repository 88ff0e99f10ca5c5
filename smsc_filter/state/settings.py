"""``[state]`` and ``[declines]``: where the hot state is kept, and what of it is asked."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSettings:
    """``[state]``."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    redis_url: str = ""
    """``redis://`` or ``unix://`` address of a Valkey or Redis; empty starts a private one in ``data_dir``."""

    partitions: Annotated[int, Field(ge=1, le=1024)] = 1
    """Into how many hash slots the keys are spread; one for each node of a cluster at least."""

    fsync: Literal["always", "everysec"] = "always"
    """Of the private one. "always": a decision survives a power cut before its answer leaves. "everysec": up to two
    seconds of decisions may be lost with the machine."""

    timeout: Annotated[float, Field(gt=0)] = 2.0
    """Longest wait for one call, in seconds."""

    patience: Annotated[float, Field(ge=0)] = 5.0
    """How long a batch waits for a store that is away before its messages are refused with a retryable status."""

    rewrite_hours: Annotated[float, Field(ge=0)] = 24.0
    """How often the append-only file is written anew without what was deleted since; 0: only at the end of a purge."""

    backlog_mb: Annotated[int, Field(ge=1)] = 256
    """Decisions waiting to be moved to the records, in MiB; above it providers are read more slowly."""

    min_free_mb: Annotated[int, Field(ge=0)] = 256
    """Room to be left on the disk of ``data_dir``, in MiB, or 5 % of a smaller disk. While there is less an alarm is
    raised, /readyz says so, binds are refused with a retryable status, and a store that ended for it is not started;
    below half of it messages are not read from providers. 0: not watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclineSettings:
    """``[declines]``: the register of what subscribers decline."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    sms: bool = False
    """Whether commercial messages ask it. Off: the draft of 2020 has it for calls; voice platforms ask over the API."""
