"""``umsn report``: an evaluation as one page to look at and to send."""

from __future__ import annotations

from pathlib import Path

import click

from blurgen_cli.options import PATH, Whole


@click.command("report")
@click.argument("folder", metavar="DIR", type=PATH)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The page to write.  [default: DIR/report.html]",
)
@click.option("--run", type=PATH, help="Folder of a training, to show its curves.")
@click.option("--kernels", type=PATH, help="A kernel bank to show.")
@click.option(
    "--pictures",
    type=Whole(0),
    default=200,
    help="Most pictures in the gallery; there are fewer where they are large.",
)
@click.option("--title", help="Heading of the page.  [default: the name of DIR]")
def report(
    folder: Path, out: Path | None, run: Path | None, kernels: Path | None, pictures: int, title: str | None
) -> None:
    """Make one HTML page of an evaluation: tables, pictures, curves.

    DIR is what umsn evaluate wrote. It may also be a training's folder. The file works from disk, without a
    network, and can be sent.
    """
    from umsn.report.page import report as write

    page = write(folder, out, run=run, kernels=kernels, pictures=pictures, title=title)
    click.echo(f"{page} ({page.stat().st_size / 1e6:.1f} MB)")
