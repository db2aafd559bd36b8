"""The report: one HTML file with everything in it, safe to open and to send."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from blurgen._version import __version__
from blurgen.errors import InputError
from blurgen.files.atomic import write_file
from umsn.evaluation.kept_pictures import read_gallery_pictures
from umsn.report.before_after import gallery_content
from umsn.report.embed import data_uris
from umsn.report.kernels import kernels_content
from umsn.report.markup import Markup, element
from umsn.report.results import Results, read_results, read_scores
from umsn.report.tables import picture_content, table_content
from umsn.report.training import read_log, training_content
from umsn.runs.metrics_log import LOG
from umsn.scoring.pairs import read_picture

_TABLES: Final = "tables.json"
PICTURES: Final = 200
"""Pictures in the gallery at most, unless the caller wants another number."""

_ICON: Final = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E"
    "%3Cpath fill='%232f6fd0' d='M0 0h4v8H0z'/%3E%3Cpath fill='%239bbcf0' d='M4 0h4v8H4z'/%3E%3C/svg%3E"
)


def report(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    run: str | os.PathLike[str] | None = None,
    kernels: str | os.PathLike[str] | None = None,
    pictures: int = PICTURES,
    title: str | None = None,
) -> Path:
    """Write one HTML file about an evaluation, and return its path; default ``folder/report.html``.

    ``folder`` is what ``umsn evaluate`` wrote, or a training's, which then stands for ``run``: the folder of
    a training (``metrics.jsonl``), for its curves. ``kernels`` is a bank to show, ``pictures`` how many test
    pictures the gallery has at most (and all their versions together at most 40 million pixels). The file
    needs no other file and no network; a Content-Security-Policy in it lets nothing run but its own script.
    Up to 4 MB of pictures are embedded exactly, and as much again of figures; beyond that they become JPEG,
    with sides of at most 1,024 pixels (figures: 2,048). The same input gives the same bytes.

    Raises InputError when ``folder`` holds neither an evaluation nor a training, or when a file in it is
    damaged; ValueError when ``pictures`` is negative.
    """
    if pictures < 0:
        raise ValueError(f"Argument 'pictures' must not be negative, not {pictures}.")
    folder = Path(folder)
    evaluated, trained = (folder / _TABLES).is_file(), (folder / LOG).is_file()
    run = folder if run is None and trained else run
    if not evaluated and not trained:
        raise InputError(f"{folder}: holds no {_TABLES}; run umsn evaluate --out {folder} first.")
    sections = []
    if evaluated:
        sections += _evaluation(folder, pictures)
    if run is not None:
        sections.append(_section("training", "Training", training_content(read_log(Path(run) / LOG))))
    if kernels is not None:
        sections.append(_section("kernels", "Kernels", kernels_content(Path(kernels))))
    if evaluated:
        sections += _small_print(read_results(folder / _TABLES))
    page = _page(title or folder.resolve().name or "Report", sections)
    out = folder / "report.html" if out is None else Path(out)
    write_file(out, page)
    return out


Section = tuple[str, str, Markup]
"""The name a link leads to, the heading, and the whole section."""


def _evaluation(folder: Path, most: int) -> list[Section]:
    results = read_results(folder / _TABLES)
    scores = read_scores(folder / "scores.csv") if (folder / "scores.csv").is_file() else {}
    sections = [_section("tables", "Tables", table_content(results.tables))]
    kept = read_gallery_pictures(folder, most)
    if kept.pictures:
        sections.append(_section("pictures", "Pictures", gallery_content(kept, scores)))
    if scores:
        sections.append(_section("scores", "Single pictures", picture_content(scores)))
    figures = sorted((folder / "figures").glob("*.png"))
    if figures:
        sections.append(_section("figures", "Figures", _figures(figures)))
    return sections


def _figures(paths: Sequence[Path]) -> list[Markup]:
    found = [read_picture(path) for path in paths]
    uris, _ = data_uris(found, largest_side=2048)
    return [
        element(
            "details",
            element("summary", path.stem.capitalize()),
            element(
                "div",
                element("img", src=uri, alt=path.stem, width=one.shape[1], height=one.shape[0]),
                class_="scroll",
                role="region",
                aria_label=path.stem,
                tabindex=0,
            ),
            class_="strip",
        )
        for path, one, uri in zip(paths, found, uris, strict=True)
    ]


def _small_print(results: Results) -> list[Section]:
    parts = [
        ("definitions", "Definitions", [element("li", text) for text in results.definitions]),
        ("left-out", "Left out", [element("li", text) for text in results.left_out]),
        ("about", "About", [element("li", text) for text in _flat(results.about)]),
    ]
    return [_section(name, title, [element("ul", *lines)]) for name, title, lines in parts if lines]


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for key, value in values.items():
        if isinstance(value, dict):
            lines += _flat(value, f"{prefix}{key}.")
        elif value is not None:
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            lines.append(f"{prefix}{key}: {text}")
    return lines


def _section(name: str, title: str, content: Sequence[Markup]) -> Section:
    heading = element("h2", title, id=f"{name}-heading")
    return name, title, element("section", heading, *content, id=name, aria_labelledby=f"{name}-heading")


def _page(title: str, sections: Sequence[Section]) -> str:
    style, script = _source("page.css"), _source("page.js")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="generator", content=f"umsn report, blurgen {__version__}"),
        element("title", title),
        element("link", rel="icon", href=_ICON),
        element("style", style),
    )
    links = [element("a", heading, href=f"#{name}") for name, heading, _ in sections]
    body = element(
        "body",
        element("header", element("h1", title), element("nav", *links, aria_label="Sections")),
        element("main", *(section for _, _, section in sections)),
        element("footer", f"Made by umsn report, blurgen {__version__}."),
        element("script", script),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _policy(style: str, script: str) -> str:
    """Return a policy under which the page has its own style and script and the pictures in it; no more."""
    return "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src {_hash(style)}",
            f"script-src {_hash(script)}",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        ]
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def _source(name: str) -> Markup:
    return Markup(files("umsn.report").joinpath(name).read_text("utf-8"))
