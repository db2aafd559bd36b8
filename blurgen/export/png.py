"""Folders of PNG files: ``clean/``, ``blurry/`` and ``mask/``, each with ``<sample>.png``, and ``index.csv``.

Masks are 8-bit grey with the numbers of ``blurgen.labels.Label``. ``index.csv`` has a line for each sample:
number, name of the face, corner of the crop, number and size of the kernel.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from blurgen.export.rows import PICTURES, Rows
from blurgen.jobs.parallel import Workers
from blurgen.jobs.progress import Bar


def export_png(rows: Rows, folder: Path, workers: Workers, bar: Bar) -> None:
    """Write all rows to ``folder``."""
    for name in PICTURES:
        (folder / name).mkdir()
    with (folder / "index.csv").open("w", encoding="utf-8", newline="") as file:
        file.write("sample,face,top,left,kernel,kernel_size\n")
        for lines, count, size in rows.each_piece(_write_piece, workers, str(folder)):
            file.write(lines)
            bar.advance(count, size)


def _write_piece(rows: Rows, number: int, folder: str) -> tuple[str, int, int]:
    """Write the pictures of one piece; return its lines of the index, rows and bytes."""
    lines = io.StringIO()
    table = csv.writer(lines, lineterminator="\n")
    count = size = 0
    for row in rows.read(number):
        for name, data in zip(PICTURES, row.pictures, strict=True):
            Path(folder, name, f"{row.key}.png").write_bytes(data)
            size += len(data)
        table.writerow(row.facts.values())
        count += 1
    return lines.getvalue(), count, size
