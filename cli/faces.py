"""``blurgen make-faces``: the built-in faces as files."""

from __future__ import annotations

import click

from blurgen_cli.options import JOBS, SEED, Whole


@click.command("make-faces")
@click.option("--count", type=Whole(1, 999_999), required=True, help="How many faces to draw.")
@click.option("--out", type=click.Path(), required=True, help="Folder for images/ and labels/.")
@click.option("--size", type=Whole(64, 2048), default=256, help="Width and height in pixels.")
@SEED
@JOBS
def make_faces(count: int, out: str, size: int, seed: int, jobs: int) -> None:
    """Draw faces with label maps.

    They are OUT/images/000000.png with label map OUT/labels/000000.png, and so on. A second run with the
    same options finishes what is missing.
    """
    from blurgen.faces.procedural import write_faces
    from blurgen.jobs.progress import Console, counted

    written = write_faces(out, count, size=size, seed=seed, jobs=jobs, progress=Console())
    click.echo(f"{counted(count, 'face')} in {out} ({written} new)")
