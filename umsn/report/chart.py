"""Line charts as inline SVG. Colours and dashes are the stylesheet's, so that dark pages have dark charts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from umsn.report.markup import Markup, element, join

COLOURS: Final = 8
"""Kinds of lines that the stylesheet tells apart; the ninth looks like the first."""

_WIDTH: Final = 360
_HEIGHT: Final = 220
_LEFT: Final = 46
_RIGHT: Final = 10
_TOP: Final = 8
_BOTTOM: Final = 34
_MOST_POINTS: Final = 300
_POINTS_WITH_DOTS: Final = 12


@dataclass(frozen=True)
class Series:
    """One line: points from left to right, all numbers finite."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Return where on the axis a value is, from 0 to 1."""
        return (value - self.low) / (self.high - self.low)


def line_chart(title: str, x_label: str, series: Sequence[Series], *, last: bool = True) -> Markup:
    """Return a figure with one line a series; at least one point is needed.

    The legend shows the values under the pointer, and without one the last, where ``last`` values matter.

    A line of more than 300 points is drawn as the means of 300 equal stretches of it.
    """
    thin = [_thinned(one) for one in series]
    across = _axis([x for one in thin for x in one.x], tight=True)
    up = _axis([y for one in thin for y in one.y])
    ticks = [_tick_across(across, v) for v in across.ticks] + [_tick_up(up, v) for v in up.ticks]
    label = element("text", x_label, x=(_LEFT + _WIDTH - _RIGHT) / 2, y=_HEIGHT - 2, class_="axis")
    cursor = element("line", x1=0, x2=0, y1=_TOP, y2=_HEIGHT - _BOTTOM, class_="cursor")
    lines = [_line(one, number, across, up) for number, one in enumerate(thin)]
    picture = element(
        "svg",
        *ticks,
        label,
        cursor,
        *lines,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=f"{title}. " + " ".join(_spoken(one, x_label) for one in series),
    )
    items = [_legend(one, number, across, last) for number, one in enumerate(thin)]
    legend = element("ul", *items, class_="legend")
    head = element("figcaption", element("b", title), element("output", class_="at", data_unit=x_label))
    return element("figure", head, picture, legend, class_="chart")


def short(value: float) -> str:
    """Return a number as a reader wants it: four digits that count, thousands marked."""
    if value == 0 or 1e-3 <= abs(value) < 1e15:
        digits = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
        text = f"{value:,.{digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.2e}"


def _thinned(series: Series) -> Series:
    count = len(series.x)
    if count <= _MOST_POINTS:
        return series
    edges = [round(i * count / _MOST_POINTS) for i in range(_MOST_POINTS + 1)]
    spans = [slice(a, b) for a, b in pairwise(edges)]
    x, y = (tuple(math.fsum(v[s]) / len(v[s]) for s in spans) for v in (series.x, series.y))
    return Series(series.name, x, y)


def _axis(values: Sequence[float], *, tight: bool = False) -> _Axis:
    """Return an axis with three to seven ticks at round numbers; ``tight``: it ends where the values do."""
    low, high = min(values), max(values)
    if not high - low > 1e-9 * max(abs(low), abs(high)):
        margin = abs(low) * 0.05 or 1.0
        low, high = low - margin, high + margin
    step = _round_step((high - low) / 5)
    first, last = math.floor(low / step), math.ceil(high / step)
    if tight:
        first, last = math.ceil(low / step), math.floor(high / step)
    else:
        low, high = first * step, last * step
    return _Axis(low, high, tuple(i * step for i in range(first, last + 1)))


def _round_step(least: float) -> float:
    unit = 10.0 ** math.floor(math.log10(least))
    return next(unit * m for m in (1, 2, 2.5, 5, 10, 20) if unit * m >= least * 0.999)


def _line(series: Series, number: int, across: _Axis, up: _Axis) -> Markup:
    points = [
        (_coordinate(_x(across, x)), _coordinate(_y(up, y))) for x, y in zip(series.x, series.y, strict=True)
    ]
    kind = f"line{number % COLOURS}"
    drawn = [element("polyline", points=" ".join(f"{x},{y}" for x, y in points), class_=kind)]
    if len(points) <= _POINTS_WITH_DOTS:
        drawn += [element("circle", cx=x, cy=y, r=2.5, class_=kind) for x, y in points]
    return join(drawn)


def _legend(series: Series, number: int, across: _Axis, last: bool) -> Markup:
    """A line of the legend carries its points, for the script to show those under the pointer."""
    sample = element(
        "svg",
        element("line", x1=0, x2=22, y1=5, y2=5, class_=f"line{number % COLOURS}"),
        viewBox="0 0 22 10",
        aria_hidden="true",
    )
    return element(
        "li",
        sample,
        element("span", series.name),
        element("output", short(series.y[-1]) if last else None),
        data_x=" ".join(f"{x:.6g}" for x in series.x),
        data_y=" ".join(short(y) for y in series.y),
        data_at=" ".join(_coordinate(_x(across, x)) for x in series.x),
    )


def _tick_across(axis: _Axis, value: float) -> Markup:
    x = _coordinate(_x(axis, value))
    bottom = _HEIGHT - _BOTTOM
    line = element("line", x1=x, x2=x, y1=_TOP, y2=bottom, class_="grid")
    return join([line, element("text", short(value), x=x, y=bottom + 14, class_="across")])


def _tick_up(axis: _Axis, value: float) -> Markup:
    y = _coordinate(_y(axis, value))
    line = element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid")
    return join([line, element("text", short(value), x=_LEFT - 5, y=y, class_="up")])


def _x(axis: _Axis, value: float) -> float:
    return _LEFT + axis.place(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(axis: _Axis, value: float) -> float:
    return _HEIGHT - _BOTTOM - axis.place(value) * (_HEIGHT - _TOP - _BOTTOM)


def _coordinate(value: float) -> str:
    return f"{value:.1f}"


def _spoken(series: Series, x_label: str) -> str:
    first, last = short(series.y[0]), short(series.y[-1])
    return (
        f"{series.name}: {first} at {x_label} {short(series.x[0])}, {last} at {short(series.x[-1])}, "
        f"lowest {short(min(series.y))}, highest {short(max(series.y))}."
    )
