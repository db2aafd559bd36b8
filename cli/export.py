"""``blurgen export``: a dataset in the formats of other programs."""

from __future__ import annotations

from pathlib import Path

import click

from blurgen_cli.options import JOBS, Whole


@click.command("export")
@click.argument("path", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "to",
    type=click.Choice(["png", "lmdb", "webdataset", "parquet"]),
    required=True,
    help="Which format to write.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new or empty folder.")
@click.option(
    "--set",
    "set_name",
    default="full",
    metavar="NAME",
    help="Which set: full, or the one in which only skin, hair, features or background is blurred.",
)
@click.option("--limit", type=Whole(1), help="Take only the first N rows.")
@click.option("--shard-size", type=Whole(1), default=1000, help="Rows of a WebDataset or Parquet file.")
@click.option(
    "--jpeg-quality",
    type=click.IntRange(1, 100),
    metavar="Q",
    help="Let blurry pictures go through JPEG first, which is not the same on every machine.",
)
@JOBS
def export(
    path: Path,
    to: str,
    out: Path,
    set_name: str,
    limit: int | None,
    shard_size: int,
    jpeg_quality: int | None,
    jobs: int,
) -> None:
    """Write a dataset as PNG folders, as LMDB (as BasicSR reads it), as WebDataset tar files or as Parquet
    with a dataset card (as Hugging Face ``datasets`` loads it).

    Takes recipes too. OUT appears when it is whole.
    """
    from blurgen.export import export as write
    from blurgen.jobs.progress import Console

    count = write(
        path,
        to,
        out,
        set_name=set_name,
        limit=limit,
        shard_size=shard_size,
        jpeg_quality=jpeg_quality,
        jobs=jobs,
        progress=Console(),
    )
    click.echo(f"{out}: {count:,} rows of {set_name}, {to}")
