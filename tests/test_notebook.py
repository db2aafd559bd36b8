"""The notebook runs as it stands, in a process of its own, and its face comes out sharper."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parent.parent / "examples/first_look.ipynb"


def test_every_cell_runs_and_the_face_is_sharper():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    shown = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    pictures = [out for out in shown if "image/png" in out.get("data", {})]
    assert len(pictures) >= 3
    (said,) = [out["text"] for out in shown if out.output_type == "stream" and out.name == "stdout"]
    before, after = map(float, re.findall(r"([\d.]+) dB", said))
    assert after > before + 1
