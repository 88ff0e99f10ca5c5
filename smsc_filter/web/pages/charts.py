"""Charts as SVG that the server writes: geometry here, the drawing in ``charts.html``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

WIDTH: Final = 720.0
NARROW: Final = 360.0
"""Of a chart that shares its line with two others: letters of the same size then look the same."""
HEIGHT: Final = 160.0
LEFT: Final = 44.0
BOTTOM: Final = 20.0
TOP: Final = 8.0

LINE_HEIGHT: Final = 220.0
LINE_BOTTOM: Final = 34.0
LINE_RIGHT: Final = 12.0


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
        return self.left + share * (self.width - self.left)


@dataclass(frozen=True, slots=True)
class Line:
    """A chart of points that a line joins; what each of them is about goes with it."""

    points: tuple[tuple[float, float, Any], ...]
    """(x, y, what) in the order given."""
    path: str
    across: tuple[tuple[float, float], ...]
    """(x, share) of the lines behind."""
    up: tuple[tuple[float, float], ...]
    """(y, share)."""
    width: float = NARROW
    height: float = LINE_HEIGHT
    left: float = LEFT
    top: float = TOP
    base: float = LINE_HEIGHT - LINE_BOTTOM


def stack(
    values: Sequence[tuple[str, str, Sequence[tuple[str, float]]]], *, width: float = WIDTH, left: float = LEFT
) -> Columns:
    """A chart of ``(label, title, pieces)``, where pieces are ``(style, value)`` from the bottom up."""
    greatest = max((sum(value for _, value in pieces) for _, _, pieces in values), default=0.0)
    top = _round_up(greatest)
    room = HEIGHT - BOTTOM - TOP
    step = (width - left) / max(len(values), 1)
    columns = []
    for place, (label, title, pieces) in enumerate(values):
        y, drawn = HEIGHT - BOTTOM, []
        for style, value in pieces:
            height = room * value / top
            y -= height
            if value:
                drawn.append(Piece(style, round(y, 2), round(height, 2)))
        columns.append(Column(round(left + place * step, 2), round(step, 2), label, title, tuple(drawn)))
    ticks = tuple((round(HEIGHT - BOTTOM - room * part, 2), top * part) for part in (0.0, 0.5, 1.0))
    return Columns(tuple(columns), ticks, width=width, left=left)


def draw_line(points: Sequence[tuple[float, float, Any]]) -> Line:
    """A chart of ``(x, y, what)``, x and y being shares; each axis begins at the tenth below the least of them."""
    low_x, low_y = (_tenth_below(min((point[axis] for point in points), default=0.0)) for axis in (0, 1))
    base, right = LINE_HEIGHT - LINE_BOTTOM, NARROW - LINE_RIGHT

    def place_x(share: float) -> float:
        return round(LEFT + (share - low_x) / (1 - low_x) * (right - LEFT), 2)

    def place_y(share: float) -> float:
        return round(base - (share - low_y) / (1 - low_y) * (base - TOP), 2)

    drawn = tuple((place_x(x), place_y(y), what) for x, y, what in points)
    return Line(
        points=drawn,
        path=" ".join(f"{x:g},{y:g}" for x, y, _ in drawn),
        across=tuple((place_x(share), share) for share in _ticks(low_x)),
        up=tuple((place_y(share), share) for share in _ticks(low_y)),
    )


def _tenth_below(share: float) -> float:
    return min(int(share * 10), 9) / 10


def _ticks(low: float) -> list[float]:
    """Some shares from ``low`` to 1."""
    return [low + (1 - low) * part / 5 for part in range(6)]


def _round_up(value: float) -> float:
    """The next of 2, 4, 10, 20, 40, 100 and so on: half of it is whole, too."""
    size = 1.0
    while True:
        for factor in (2, 4, 10):
            if value <= factor * size:
                return factor * size
        size *= 10
