"""Tables of the page. Each can be sorted by the reader: cells carry the number behind their text."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from blurgen.jobs.progress import counted
from umsn.report.chart import Series, line_chart
from umsn.report.markup import Markup, element
from umsn.report.results import Scores, ShownCell, ShownTable

_MOST_ROWS = 500
_MOST_STEPS = 200


def table_content(tables: Sequence[ShownTable]) -> list[Markup]:
    """Return every table under its title."""
    return [_titled(table) for table in tables]


def picture_content(scores: Scores) -> list[Markup]:
    """Return charts of the scores of single pictures, and those scores as a table of at most 500 rows."""
    methods = list(dict.fromkeys(method for of_picture in scores.values() for method in of_picture))
    charts = [chart for chart in (_distribution(scores, methods), _by_size(scores, methods)) if chart]
    names = list(scores)
    rows = np.linspace(0, len(names) - 1, min(_MOST_ROWS, len(names))).round().astype(int)
    shown = [names[i] for i in rows]
    head = f"Every picture ({len(names):,})"
    if len(shown) < len(names):
        head = f"{len(shown):,} of {counted(len(names), 'picture')}, evenly spread; all are in scores.csv"
    columns = [f"{method} {measure}" for measure in ("PSNR (dB)", "SSIM") for method in methods]
    table = _scrolling(
        head, ("picture",), ["kernel (px)", *columns], [_row(name, scores, methods) for name in shown]
    )
    return [
        element("div", *charts, class_="charts"),
        element("details", element("summary", head), table),
    ]


def _titled(table: ShownTable) -> Markup:
    rows = [
        element(
            "tr",
            *(
                element("th", text, scope="row") if i == 0 else element("td", text, class_="label")
                for i, text in enumerate(row.labels)
            ),
            *(_cell(cell) for cell in row.cells),
        )
        for row in table.rows
    ]
    return element(
        "div",
        element("h3", table.title),
        _scrolling(table.title, table.labels, table.columns, rows),
        class_="titled",
        data_kinds=_kinds(table),
    )


def _kinds(table: ShownTable) -> int | None:
    """Return the number of the label, if any, that mixes kinds of rows, such as PSNR with SSIM.

    Rows of several kinds cannot be compared: the script shows those of one kind at a time.
    """
    last = len(table.labels) - 1
    kinds = {row.labels[last] for row in table.rows} if last > 0 else set()
    return last if 1 < len(kinds) < len(table.rows) else None


def _scrolling(title: str, labels: Sequence[str], columns: Sequence[str], rows: Sequence[Markup]) -> Markup:
    """Return a table that scrolls by itself where the window is narrower."""
    head = element(
        "tr",
        *(element("th", label, scope="col", class_="label") for label in labels),
        *(element("th", column, scope="col") for column in columns),
    )
    table = element("table", element("thead", head), element("tbody", *rows))
    return element("div", table, class_="scroll", role="region", aria_label=title, tabindex=0)


def _cell(cell: ShownCell) -> Markup:
    value, bracket, interval = cell.text.partition(" (")
    rest = element("small", bracket + interval) if bracket else None
    # As the script reads numbers, where infinity is spelled out.
    number = None if math.isnan(cell.number) else repr(cell.number).replace("inf", "Infinity")
    return element("td", value, rest, data_value=number)


def _row(name: str, scores: Scores, methods: Sequence[str]) -> Markup:
    of_picture = scores[name]
    size = next(iter(of_picture.values())).kernel_size
    cells = [ShownCell("-", None) if size is None else ShownCell(str(size), size)]
    psnr = [of_picture[m].psnr if m in of_picture else math.nan for m in methods]
    ssim = [of_picture[m].ssim if m in of_picture else math.nan for m in methods]
    for value, decimals in (*((v, 2) for v in psnr), *((v, 3) for v in ssim)):
        cells.append(ShownCell("-" if math.isnan(value) else f"{value:.{decimals}f}", value))
    return element("tr", element("th", name, scope="row"), *(_cell(cell) for cell in cells))


def _distribution(scores: Scores, methods: Sequence[str]) -> Markup | None:
    """Return the share of pictures below each PSNR: a method that is better throughout lies to the right."""
    series = []
    for method in methods:
        values = np.sort([s[method].psnr for s in scores.values() if method in s])
        values = values[np.isfinite(values)]
        if len(values) > 1:
            at = np.linspace(0, 1, min(len(values), _MOST_STEPS))
            series.append(Series(method, tuple(np.quantile(values, at).tolist()), tuple((100 * at).tolist())))
    return line_chart("Pictures below a PSNR (%)", "dB", series, last=False) if series else None


def _by_size(scores: Scores, methods: Sequence[str]) -> Markup | None:
    series = []
    for method in methods:
        found: dict[int, list[float]] = {}
        for of_picture in scores.values():
            one = of_picture.get(method)
            if one is not None and one.kernel_size is not None and math.isfinite(one.psnr):
                found.setdefault(one.kernel_size, []).append(one.psnr)
        if len(found) > 1:
            sizes = sorted(found)
            means = tuple(math.fsum(found[size]) / len(found[size]) for size in sizes)
            series.append(Series(method, tuple(map(float, sizes)), means))
    return line_chart("Mean PSNR by kernel size (dB)", "px", series, last=False) if series else None
