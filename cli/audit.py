"""``blurgen audit``: what two datasets share."""

from __future__ import annotations

import json
from pathlib import Path

import click

from blurgen_cli.options import Whole


@click.command("audit")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--near/--no-near", default=True, help="Also look for faces that look the same.")
@click.option(
    "--threshold",
    type=Whole(0, 255),
    default=28,
    help="Most bits of 256 in which the hashes of faces that look the same differ.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.pass_context
def audit(ctx: click.Context, a: Path, b: Path, near: bool, threshold: int, as_json: bool) -> None:
    """Tell which faces, persons and kernels two datasets or test sets share.

    Exit status 0 when they share nothing, 2 otherwise.
    """
    from blurgen.audit import audit as compare
    from blurgen.jobs.progress import Console

    found = compare(a, b, near=near, threshold=threshold, progress=Console())
    click.echo(json.dumps(found.to_json(), indent=2) if as_json else found.text())
    if not found.clean:
        click.echo(f"Error: {a} and {b} are not disjoint.", err=True)
        ctx.exit(2)
