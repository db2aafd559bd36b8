"""``blurgen build-testset``: the paper's test protocol on any faces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from blurgen_cli.options import JOBS, SEED, FiniteRange, Whole

_PATH = click.Path(path_type=Path)


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
@click.option("--labels", metavar="DIR", help="Label maps for faces that come without.")
@click.option("--align", is_flag=True, help="Turn faces upright, onto the template of the aligned faces.")
@click.option(
    "--split",
    type=click.Choice(["all", "train", "validation", "test"]),
    default="test",
    help="Which part of the faces: of Helen and CelebA their owners', else a tenth by digest.",
)
@click.option("--kernels", type=_PATH, required=True, help="A bank that no training set uses.")
@click.option("--out", type=_PATH, required=True, help="Folder of the test set; one begun there is finished.")
@click.option(
    "--protocol",
    type=click.Choice(["shen", "mspl"]),
    default="shen",
    help="How a published set was made. mspl: 80 faces, no noise, pictures mirrored at their border.",
)
@click.option("--face-count", type=Whole(1), show_default="100", help="How many faces to take.")
@click.option(
    "--sizes", type=_Sizes(), show_default="13,15,17,19,21,23,25,27", help="Sizes of kernels, in pixels."
)
@click.option("--per-size", type=Whole(1), show_default="10", help="Kernels of each size.")
@SEED
@click.option(
    "--noise-sigma",
    type=FiniteRange(0, 0.2),
    show_default="0.03",
    help="Of full scale; the default is that of the paper's training data.",
)
@click.option(
    "--border",
    type=click.Choice(["real", "mirrored"]),
    show_default="real",
    help="What the blur reads around a picture: the photograph, or the picture mirrored.",
)
@click.option("--patch-size", type=Whole(8, 1024), default=128, help="Side of a picture in pixels.")
@click.option("--name", help="Name of the set in final_NAME_gt; by default that of the source.")
@click.option(
    "--against",
    type=_PATH,
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
    from blurgen.faces import parse_source
    from blurgen.jobs.progress import Console
    from blurgen.kernels.bank import KernelBank
    from blurgen.testset.build import build_testset as build
    from blurgen.testset.protocols import PROTOCOLS

    published, patch = PROTOCOLS[options["protocol"]], options["patch_size"]
    is_real = (options["border"] or published.border) == "real"
    margin = max(options["sizes"] or published.sizes) - 1 if is_real else 0
    bank = KernelBank.load(kernels)
    source = parse_source(
        spec,
        min_side=patch + margin,
        patch_size=patch,
        seed=options["seed"],
        split=split,
        labels=labels,
        align=align,
    )
    made = build(source, bank, out, **options, progress=Console())
    click.echo(f"{out}: {len(made):,} blurry pictures of {len(made.manifest.faces):,} faces, complete")
    click.echo(f"  blurry: {made.blurry}")
    click.echo(f"  clean:  {made.clean}")
    if made.labels is not None:
        click.echo(f"  labels: {made.labels}")
