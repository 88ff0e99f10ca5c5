"""How appeals go: how long they take, how many are upheld, how many wait."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, func, select

from smsc_filter.policy.appeals import WAITING, AppealState
from smsc_filter.records.database import reading
from smsc_filter.records.tables import appeals


@dataclass(frozen=True, slots=True, kw_only=True)
class AppealFigures:
    """Of appeals opened, and answered, within a time; of those that wait, at its end."""

    opened: int
    granted: int
    refused: int
    waiting: int
    overdue: int
    median_seconds: float | None
    """From opening to answer, of those answered; None where none was."""
    p90_seconds: float | None

    @property
    def overturn_rate(self) -> float | None:
        """The share of answers that were in favour of the appellant; None where there was none."""
        answered = self.granted + self.refused
        return self.granted / answered if answered else None


def appeal_figures(engine: Engine, *, since: float, until: float, owner: str | None = None) -> AppealFigures:
    """The figures of [``since``, ``until``), epoch seconds; of what one owner sent, where it is given.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    row, since_ms, until_ms = appeals.c, round(since * 1000), round(until * 1000)
    whose = () if owner is None else (row.owner == owner,)
    with reading(engine) as connection:
        opened = connection.execute(
            select(func.count()).where(row.opened_at_ms >= since_ms, row.opened_at_ms < until_ms, *whose)
        ).scalar_one()
        answered = connection.execute(
            select(row.state, row.decided_at_ms - row.opened_at_ms).where(
                row.decided_at_ms >= since_ms, row.decided_at_ms < until_ms, *whose
            )
        ).all()
        due = connection.execute(select(row.due_at_ms).where(row.state.in_(WAITING), *whose)).scalars().all()
    took = sorted(milliseconds / 1000 for _, milliseconds in answered)
    granted = sum(state == AppealState.GRANTED for state, _ in answered)
    return AppealFigures(
        opened=opened,
        granted=granted,
        refused=len(answered) - granted,
        waiting=len(due),
        overdue=sum(each is not None and each <= until_ms for each in due),
        median_seconds=_quantile(took, 0.5),
        p90_seconds=_quantile(took, 0.9),
    )


def _quantile(ordered: list[float], share: float) -> float | None:
    """The smallest value that at least ``share`` of ``ordered`` do not exceed."""
    if not ordered:
        return None
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
