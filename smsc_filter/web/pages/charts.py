"""Charts as SVG that the server writes: geometry here, the drawing in ``charts.html``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 720.0
HEIGHT: Final = 160.0
LEFT: Final = 44.0
BOTTOM: Final = 20.0
TOP: Final = 8.0


@dataclass(frozen=True, slots=True)
class Piece:
    """One rectangle of a column."""

    style: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """Pieces on top of each other, and what is said of them on hover."""

    x: float
    width: float
    label: str
    title: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """A chart of columns."""

    columns: tuple[Column, ...]
    ticks: tuple[tuple[float, float], ...]
    """(y, value) of the lines behind."""
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    base: float = HEIGHT - BOTTOM

    def x_of(self, share: float) -> float:
        """Where on the chart a share of its width lies."""
        return LEFT + share * (WIDTH - LEFT)


def stack(values: Sequence[tuple[str, str, Sequence[tuple[str, float]]]]) -> Columns:
    """A chart of ``(label, title, pieces)``, where pieces are ``(style, value)`` from the bottom up."""
    greatest = max((sum(value for _, value in pieces) for _, _, pieces in values), default=0.0)
    top = _round_up(greatest)
    room = HEIGHT - BOTTOM - TOP
    step = (WIDTH - LEFT) / max(len(values), 1)
    columns = []
    for place, (label, title, pieces) in enumerate(values):
        y, drawn = HEIGHT - BOTTOM, []
        for style, value in pieces:
            height = room * value / top
            y -= height
            if value:
                drawn.append(Piece(style, round(y, 2), round(height, 2)))
        columns.append(Column(round(LEFT + place * step, 2), round(step, 2), label, title, tuple(drawn)))
    ticks = tuple((round(HEIGHT - BOTTOM - room * part, 2), top * part) for part in (0.0, 0.5, 1.0))
    return Columns(tuple(columns), ticks)


def _round_up(value: float) -> float:
    """The next of 2, 4, 10, 20, 40, 100 and so on: half of it is whole, too."""
    size = 1.0
    while True:
        for factor in (2, 4, 10):
            if value <= factor * size:
                return factor * size
        size *= 10
