"""A dataset for other programs: PNG folders, LMDB (BasicSR), WebDataset, Parquet (Hugging Face).

In: a dataset, with shards or without. Out: a folder in one of FORMATS, which appears when it is whole.
Each format is a file here, a function that writes ``Rows``.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, Final

from blurgen.dataset.manifest import FULL, set_called
from blurgen.dataset.reading import Dataset, open_dataset
from blurgen.errors import InputError, check_choice, check_range
from blurgen.export.folder import check_room, new_folder
from blurgen.export.jpeg import jpeg_facts
from blurgen.export.lmdb import export_lmdb
from blurgen.export.parquet import export_parquet
from blurgen.export.png import export_png
from blurgen.export.rows import Rows, row_size
from blurgen.export.webdataset import export_webdataset
from blurgen.files.atomic import sync_tree
from blurgen.jobs.parallel import Workers
from blurgen.jobs.progress import Reporter, Silent

FORMATS: Final = {
    "png": export_png,
    "lmdb": export_lmdb,
    "webdataset": export_webdataset,
    "parquet": export_parquet,
}
"""What writes each format, by its name."""

_ROWS_PER_PIECE: Final = {"png": 256, "lmdb": 256}


def export(
    root: str | Path,
    to: str,
    out: str | Path,
    *,
    set_name: str = FULL,
    limit: int | None = None,
    shard_size: int = 1000,
    jpeg_quality: int | None = None,
    jobs: int = 1,
    progress: Reporter | None = None,
) -> int:
    """Write one set of the dataset in ``root`` to the new folder ``out`` and return how many rows it has.

    ``to`` is one of FORMATS; the modules of this package say what each looks like. ``limit`` takes only the
    first rows; ``shard_size`` is the number of rows in a tar or Parquet file; ``jobs`` processes (-1: one
    per core) change nothing in the result. ``export.json`` in the folder says where the rows come from.

    With ``jpeg_quality`` (1 to 100) blurry pictures go through JPEG and are written as PNG with its traces.
    These depend on the JPEG library, so such an export is not the same on every machine.

    Raises ValueError for an option out of range; InputError when there is no such dataset or set, ``out``
    holds something, the disk is too small, or a package is missing.
    """
    check_choice("to", to, FORMATS)
    check_range("shard_size", shard_size, 1)
    if limit is not None:
        check_range("limit", limit, 1)
    if jpeg_quality is not None:
        check_range("jpeg_quality", jpeg_quality, 1, 100)
    workers, reporter, out = Workers(jobs), progress or Silent(), Path(out)
    dataset, set_name = open_dataset(root), set_called(set_name)
    count = len(dataset.open_set(set_name))
    count = count if limit is None else min(count, limit)
    if count == 0:
        raise InputError(f"{root}: its set {set_name} has no rows; there is nothing to export.")
    with new_folder(out) as folder:
        check_room(folder, count * row_size(dataset, set_name, count, jpeg_quality), reporter)
        # A dataset may know a million rows by number: workers load it once instead of with each task.
        pickled = folder / ".dataset"
        pickled.write_bytes(pickle.dumps(dataset))
        rows = Rows(str(pickled), set_name, count, _ROWS_PER_PIECE.get(to, shard_size), jpeg_quality)
        with reporter.bar(f"Exporting to {to}", count, "rows") as bar:
            FORMATS[to](rows, folder, workers, bar)
        pickled.unlink()
        facts = _facts(dataset, to, set_name, count, jpeg_quality)
        (folder / "export.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        sync_tree(folder)
    return count


def _facts(dataset: Dataset, to: str, set_name: str, count: int, jpeg_quality: int | None) -> dict[str, Any]:
    return {
        "format": "blurgen-export",
        "version": 1,
        "to": to,
        "set": set_name,
        "rows": count,
        **({} if jpeg_quality is None else {"jpeg": jpeg_facts(jpeg_quality)}),
        "recipe": dataset.recipe.to_json(),
    }
