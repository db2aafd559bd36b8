"""``blurgen build-testset``: the paper's test protocol on any faces."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from blurgen.testset.protocols import PROTOCOLS, Border, protocol_with
from blurgen_cli.options import (
    ALIGN,
    JOBS,
    KERNELS,
    LABELS,
    NOISE_SIGMA,
    PATCH_SIZE,
    PATH,
    SEED,
    Whole,
    Worded,
    split,
)

_PROTOCOL = ("face_count", "sizes", "per_size", "noise_sigma", "border")
"""Options that change a number of the protocol."""


class _Sizes(click.ParamType):
    """``13,15,17``: kernel sizes."""

    name = "N,N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        words = value.split(",")
        sizes = tuple(int(word) for word in words if word.isdecimal())
        if len(sizes) < len(words) or list(sizes) != sorted(set(sizes)):
            self.fail(f"{value!r} must be sizes in ascending order, such as 13,15,17", param, ctx)
        return sizes


@click.command("build-testset")
@click.option("--faces", "spec", required=True, metavar="KIND:PATH", help="Where clean faces come from.")
@LABELS
@ALIGN
@split("test")
@KERNELS
@click.option("--out", type=PATH, required=True, help="Folder of the test set; one begun there is finished.")
@click.option(
    "--protocol",
    type=click.Choice(list(PROTOCOLS)),
    default="shen",
    help="How a published set was made. mspl: 80 faces, no noise, pictures mirrored at their border.",
)
@click.option("--face-count", cls=Worded, type=Whole(1), show_default="100", help="How many faces to take.")
@click.option(
    "--sizes",
    type=_Sizes(),
    cls=Worded,
    show_default="13,15,17,19,21,23,25,27",
    help="Which sizes of kernels are used, in pixels.",
)
@click.option(
    "--per-size", cls=Worded, type=Whole(1), show_default="10", help="How many kernels of each size are used."
)
@SEED
@NOISE_SIGMA
@click.option(
    "--border",
    type=click.Choice(get_args(Border)),
    cls=Worded,
    show_default="real",
    help="What the blur reads around a picture: the photograph, or the picture mirrored.",
)
@PATCH_SIZE
@click.option("--name", help="Name of the set in final_NAME_gt; by default that of the source.")
@click.option(
    "--against",
    type=PATH,
    multiple=True,
    metavar="DIR",
    help="A training set that must share no face, person or kernel; may be repeated.",
)
@JOBS
def build_testset(
    spec: str, kernels: Path, out: Path, labels: str | None, align: bool, split: str, **options: Any
) -> None:
    """Make test pictures as published: clean faces x kernel sizes x kernels.

    OUT/final_NAME_gt/ID.png belongs to OUT/final_NAME_blur/ID_kerNN_blur_kSS.png. The same command again
    finishes what is missing and touches nothing that is done.
    """
    from blurgen.faces import read_faces
    from blurgen.jobs.progress import Console, counted
    from blurgen.testset.build import build_testset as build

    asked = protocol_with(options["protocol"], **{name: options[name] for name in _PROTOCOL})
    common = {name: options[name] for name in ("patch_size", "seed")}
    (source,) = read_faces(spec, kernel_size=asked.reach, split=split, labels=labels, align=align, **common)
    made = build(source, kernels, out, **options, progress=Console())
    faces = counted(len(made.manifest.faces), "face")
    click.echo(f"{out}: {counted(len(made), 'blurry picture')} of {faces}, complete")
    click.echo(f"  blurry: {made.blurry}")
    click.echo(f"  clean:  {made.clean}")
    if made.labels is not None:
        click.echo(f"  labels: {made.labels}")
