"""The command ``umsn``: train, evaluate, deblur, segment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from blurgen.errors import InputError
from blurgen_cli.errors import OneLineErrors
from blurgen_cli.evaluate import evaluate


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="blurgen", prog_name="umsn")
def main() -> None:
    """Face deblurring with UMSN, trained from blurgen's datasets."""


_DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")


@main.command()
@click.option("--shards", required=True, type=click.Path(path_type=Path), help="Dataset to train on.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder for checkpoints and logs."
)
@click.option(
    "--stage",
    default="all",
    show_default=True,
    help="all, segmentation, segmentation-blurry, first-stage (all four), first-stage-CLASS, or umsn.",
)
@click.option(
    "--variant",
    type=click.Choice(["bnet", "masks", "nested", "umsn-no-confidence", "umsn"]),
    default="umsn",
    show_default=True,
    help="What stage umsn trains: a row of the paper's Table VI.",
)
@click.option("--preset", type=click.Choice(["paper", "quick"]), default="paper", show_default=True)
@click.option(
    "--masks",
    type=click.Choice(["snet", "labels"]),
    default="snet",
    show_default=True,
    help="Masks of stage umsn: from the S-Nets trained before, or from the shards.",
)
@click.option(
    "--validate", type=click.Path(path_type=Path), help="Dataset of other faces and kernels to score on."
)
@click.option(
    "--start-from", type=click.Path(path_type=Path), help="Folder with earlier stages.  [default: --out]"
)
@click.option("--resume", is_flag=True, help="Go on where the training in --out stopped.")
@click.option(
    "--vgg-face", type=click.Path(path_type=Path), help="Weights of VGG-Face, for the perceptual loss."
)
@click.option(
    "--perceptual/--no-perceptual", default=True, help="Use the preset's perceptual loss, if it has one."
)
@click.option("--iterations", type=click.IntRange(min=1), help="For each stage.  [default: the preset's]")
@click.option(
    "--batch-size", type=click.IntRange(min=1), help="Of all processes together.  [default: the preset's]"
)
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), help="[default: the preset's]")
@click.option("--schedule", type=click.Choice(["constant", "cosine"]), help="[default: the preset's]")
@click.option(
    "--ema",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    help="Decay of a running average of the weights, such as 0.999.  [default: none]",
)
@click.option("--seed", type=click.IntRange(min=0, max=2**64 - 1), default=0, show_default=True)
@_DEVICE
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    show_default=True,
    help="auto: bf16 on a GPU.",
)
@click.option("--compile/--no-compile", default=False, show_default=True, help="torch.compile the network.")
@click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="That read patches."
)
def train(
    shards: Path,
    out: Path,
    stage: str,
    validate: Path | None,
    start_from: Path | None,
    resume: bool,
    device: str,
    precision: str,
    compile: bool,
    threads: int,
    on_device: bool,
    **settings: object,
) -> None:
    """Train the stages of the paper; what is left in --out is what deblur and segment take."""
    from umsn.curriculum import Settings
    from umsn.curriculum import train as train_stages

    checkpoints = train_stages(
        shards,
        out,
        Settings(**settings),  # type: ignore[arg-type]
        stage=stage,
        validate=validate,
        start_from=start_from,
        resume=resume,
        device=device,
        precision=precision,  # type: ignore[arg-type]
        compile=compile,
        threads=threads,
        on_device=on_device,
    )
    for path in checkpoints:
        click.echo(path)


@main.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--checkpoint", required=True, type=click.Path(path_type=Path), help="Such as RUN/umsn.safetensors."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the results.")
@_DEVICE
def deblur(images: tuple[Path, ...], checkpoint: Path, out: Path, device: str) -> None:
    """Sharpen photographs of faces (files or folders); each becomes OUT/NAME.png, of the same size."""
    from umsn.deblur import Deblurrer

    _process(Deblurrer(checkpoint, device), images, out)


@main.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--checkpoint",
    required=True,
    type=click.Path(path_type=Path),
    help="Such as RUN/segmentation.safetensors.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the label maps.")
@_DEVICE
def segment(images: tuple[Path, ...], checkpoint: Path, out: Path, device: str) -> None:
    """Find background, skin, features and hair; each picture becomes a label map OUT/NAME.png.

    The map holds 0 for background, 1 for skin, 6 for all features and 10 for hair: with it, a folder of
    unlabelled faces becomes a labelled one for blurgen.
    """
    from umsn.deblur import Segmenter

    _process(Segmenter(checkpoint, device), images, out)


def _process(function: Any, images: tuple[Path, ...], out: Path) -> None:
    from umsn.deblur import process_files

    failed = 0
    for path, error in process_files(function, images, out):
        click.echo(f"Error: {error}" if error else out / f"{path.stem}.png", err=error is not None)
        failed += error is not None
    if failed:
        raise InputError(f"{failed} of the pictures could not be used; the others are in {out}.")


main.add_command(evaluate)
