"""Parquet as Hugging Face ``datasets`` loads it: ``data/train-00000-of-00012.parquet`` and so on.

Each row has the pictures ``clean``, ``blurry`` and ``mask`` as PNG files and the numbers it is made of. The
features are typed: ``datasets.load_dataset("DIR")`` gives pictures, not bytes. ``README.md`` is the dataset
card, ``croissant.json`` the same facts for machines (``blurgen.export.card``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from blurgen.errors import Argument, InputError
from blurgen.export.card import SPLIT, croissant, dataset_card
from blurgen.export.rows import PICTURES, EncodedRow, Rows
from blurgen.jobs.parallel import Workers
from blurgen.jobs.progress import Bar

NUMBERS: Final = {
    "sample": "int64",
    "face": "string",
    "top": "int32",
    "left": "int32",
    "kernel": "int32",
    "kernel_size": "int32",
}
"""The columns beside the pictures, with their types in ``datasets``."""

FEATURES: Final = {name: {"_type": "Image"} for name in PICTURES} | {
    name: {"dtype": kind, "_type": "Value"} for name, kind in NUMBERS.items()
}

# Readers decode a row group as a whole; the Hub's viewer asks for groups of about this size.
_GROUP = 100


def export_parquet(rows: Rows, folder: Path, workers: Workers, bar: Bar) -> None:
    """Write all rows, a Parquet file for each piece, then the card; InputError without pyarrow."""
    try:
        import pyarrow  # noqa: F401, PLC0415  (an extra: only this export needs it)
    except ImportError:
        needs = " needs the package pyarrow: pip install 'blurgen[export]'"
        raise InputError(Argument("to", "parquet"), needs) from None
    (folder / "data").mkdir()
    total = 0
    for count, size in rows.each_piece(_write_piece, workers, str(folder)):
        bar.advance(count, size)
        total += size
    dataset = rows.dataset()
    card = dataset_card(dataset, rows.set_name, rows.count, total, rows.jpeg_quality)
    (folder / "README.md").write_text(card, "utf-8")
    files = sorted((folder / "data").iterdir())
    facts = croissant(dataset, rows.set_name, files, NUMBERS)
    (folder / "croissant.json").write_text(json.dumps(facts, indent=2) + "\n", "utf-8")


def _write_piece(rows: Rows, number: int, folder: str) -> tuple[int, int]:
    """Write one Parquet file; return its rows and bytes."""
    import pyarrow.parquet  # noqa: PLC0415

    schema = _schema()
    path = Path(folder, "data", f"{SPLIT}-{number:05d}-of-{rows.pieces:05d}.parquet")
    count = 0
    # PNG files do not get smaller; the numbers are few.
    with pyarrow.parquet.ParquetWriter(path, schema, compression="none") as writer:
        group: list[EncodedRow] = []
        for row in rows.read(number):
            group.append(row)
            count += 1
            if len(group) == _GROUP:
                writer.write_table(_table(group, schema))
                group = []
        if group:
            writer.write_table(_table(group, schema))
    return count, path.stat().st_size


def _schema() -> Any:
    """Return the Arrow schema, with what ``datasets`` needs to know beside it."""
    import pyarrow as pa  # noqa: PLC0415

    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    kinds = {"int64": pa.int64(), "int32": pa.int32(), "string": pa.string()}
    columns = [(name, picture) for name in PICTURES] + [(name, kinds[kind]) for name, kind in NUMBERS.items()]
    return pa.schema(columns, metadata={"huggingface": json.dumps({"info": {"features": FEATURES}})})


def _table(rows: list[EncodedRow], schema: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    columns: dict[str, list[Any]] = {
        name: [{"bytes": row.pictures[i], "path": f"{row.key}.{name}.png"} for row in rows]
        for i, name in enumerate(PICTURES)
    }
    columns |= {name: [row.facts[name] for row in rows] for name in NUMBERS}
    return pa.table(columns, schema=schema)
