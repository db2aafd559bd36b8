"""A table says the same in Markdown, LaTeX, CSV and JSON, also where a number does not exist."""

from __future__ import annotations

import csv
import json
import math

from umsn.scoring.scores import NO_VALUE, Mean
from umsn.scoring.tables import (
    Cell,
    Table,
    TableRow,
    csv_page,
    csv_text,
    json_page,
    latex_page,
    markdown_page,
)


def table(intervals=False):
    cells = (Cell(Mean(20.126, 19.5, 21.0, 8), 2), Cell(NO_VALUE, 3))
    perfect = (Cell(Mean(math.inf, math.inf, math.inf, 8), 2), Cell(Mean(0.5, 0.25, 0.75, 8), 3))
    rows = (TableRow(("blurry",), cells), TableRow(("100% | my_method",), perfect))
    return Table("methods", "Methods", ("method",), ("PSNR (dB)", "SSIM"), rows, intervals)


def test_markdown_shows_values_and_if_asked_intervals():
    lines = table().markdown().splitlines()
    assert lines[0] == "**Methods**"
    assert lines[2:] == [
        "| method | PSNR (dB) | SSIM |",
        "| --- | ---: | ---: |",
        "| blurry | 20.13 | - |",
        r"| 100% \| my_method | inf | 0.500 |",
    ]
    assert "20.13 (19.50 to 21.00)" in table(intervals=True).markdown()


def test_latex_escapes_what_it_must():
    text = latex_page([table()])
    assert text.startswith("% Methods\n\\begin{tabular}{lrr}")
    assert r"100\% | my\_method & inf & 0.500 \\" in text
    assert text.count(r"\\") == 3 and text.rstrip().endswith(r"\end{tabular}")


def test_a_page_prints_definitions_once_below_the_tables():
    page = markdown_page([table(), table()], ["PSNR: decibels."], ["Table V: no embedder."])
    assert page.count("PSNR: decibels.") == 1
    assert page.index("| 100%") < page.index("Table V: no embedder.") < page.index("PSNR: decibels.")
    assert "Left out" not in markdown_page([table()], ["PSNR: decibels."], [])


def test_csv_has_a_line_for_each_cell():
    lines = list(csv.DictReader(csv_page([table()]).splitlines()))
    assert [(line["row"], line["column"]) for line in lines[:2]] == [
        ("blurry", "PSNR (dB)"),
        ("blurry", "SSIM"),
    ]
    assert float(lines[0]["value"]) == 20.126 and float(lines[0]["low"]) == 19.5
    assert lines[1]["value"] == "" and lines[1]["count"] == "0"
    assert float(lines[2]["value"]) == math.inf


def test_json_is_json_whatever_the_numbers():
    page = json.loads(json_page([table()], ["a"], ["b"], {"pictures": 8}))
    (only,) = page["tables"]
    assert only["rows"][0]["cells"][0] == {
        "text": "20.13",
        "value": 20.126,
        "low": 19.5,
        "high": 21.0,
        "count": 8,
    }
    assert only["rows"][0]["cells"][1]["value"] is None
    assert only["rows"][1]["cells"][0]["value"] == "infinity"
    assert (page["about"], page["definitions"], page["left_out"]) == ({"pictures": 8}, ["a"], ["b"])


def test_csv_quotes_names_with_commas():
    (line,) = csv.DictReader(csv_text(("name", "value"), [("a, b", math.nan)]).splitlines())
    assert line == {"name": "a, b", "value": ""}
