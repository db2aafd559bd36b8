"""WebDataset tar files: ``shard-000000.tar`` and so on, each row four files with the sample number as key.

``000000042.clean.png``, ``000000042.blurry.png``, ``000000042.mask.png`` and ``000000042.json`` (what the row
is made of) lie next to each other, rows in ascending order. Times and owners in the tar files are zero, so
equal data are equal bytes. To read them with the package of that name::

    webdataset.WebDataset("DIR/shard-{000000..000009}.tar").decode("rgb8")
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from blurgen.export.rows import PICTURES, Rows
from blurgen.jobs.parallel import Workers
from blurgen.jobs.progress import Bar


def export_webdataset(rows: Rows, folder: Path, workers: Workers, bar: Bar) -> None:
    """Write all rows to ``folder``, a tar file for each piece."""
    for count, size in rows.each_piece(_write_piece, workers, str(folder)):
        bar.advance(count, size)


def _write_piece(rows: Rows, number: int, folder: str) -> tuple[int, int]:
    """Write one tar file; return its rows and bytes."""
    path = Path(folder, f"shard-{number:06d}.tar")
    count = 0
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for row in rows.read(number):
            for name, data in zip(PICTURES, row.pictures, strict=True):
                _add(tar, f"{row.key}.{name}.png", data)
            _add(tar, f"{row.key}.json", json.dumps(row.facts).encode())
            count += 1
    return count, path.stat().st_size


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)  # time, owner and group are 0 unless set
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
