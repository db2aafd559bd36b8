"""``blurgen export``: a dataset in the formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from blurgen_cli.options import JOBS, PATH, Whole


@click.command("export")
@click.argument("path", metavar="DIR", type=PATH)
@click.option(
    "--to",
    type=click.Choice(["png", "lmdb", "webdataset", "parquet"]),
    required=True,
    help="Which format to write.",
)
@click.option("--out", type=PATH, required=True, help="Where to write: a new or empty folder.")
@click.option(
    "--set",
    "set_name",
    default="full",
    metavar="NAME",
    help="Which set: full, or the one in which only skin, hair, features or background is blurred.",
)
@click.option("--limit", type=Whole(1), help="Take only the first N rows.")
@click.option(
    "--shard-size", type=Whole(1), default=1000, help="How many rows a WebDataset or Parquet file holds."
)
@click.option(
    "--jpeg-quality",
    type=Whole(1, 100),
    help="Let blurry pictures go through JPEG of this quality first, which is not the same on every machine.",
)
@JOBS
def export(path: Path, to: str, out: Path, set_name: str, **options: Any) -> None:
    """Write a dataset as PNG folders, LMDB, WebDataset or Parquet.

    LMDB is as BasicSR reads it; Parquet has a dataset card and is as the "datasets" of Hugging Face load it.
    Recipes without shards will do. OUT appears when it is whole.
    """
    from blurgen.export import export as write
    from blurgen.jobs.progress import Console, counted

    count = write(path, to, out, set_name=set_name, **options, progress=Console())
    click.echo(f"{out}: {counted(count, 'row')} of {set_name}, {to}")
