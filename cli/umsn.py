"""The command ``umsn``: train, evaluate, deblur, segment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from blurgen_cli.deblur import deblur, export_weights, segment
from blurgen_cli.doctor import doctor
from blurgen_cli.errors import OneLineErrors
from blurgen_cli.evaluate import evaluate
from blurgen_cli.export_network import demo, export
from blurgen_cli.options import FiniteRange, Whole
from blurgen_cli.report import report
from blurgen_cli.sections import SectionedCommand, add_examples

_INTERRUPTED = 130

STAGES = (
    "all",
    "first-stage",
    "segmentation",
    "segmentation-blurry",
    "first-stage-background",
    "first-stage-skin",
    "first-stage-features",
    "first-stage-hair",
    "umsn",
    "kernel-estimator",
    "kernel-guided",
)
"""What ``umsn.training.stages`` has, written out: the command line is to load quickly."""


_SECTIONS = {
    "Make": ("train", "export-weights"),
    "Use": ("deblur", "segment", "demo"),
    "Convert": ("export",),
    "Look": ("evaluate", "report"),
    "Check": ("doctor",),
}
_EXAMPLES = {
    "train": "umsn train --shards data --out run --preset compact --validate held-out",
    "export-weights": "umsn export-weights run/umsn.safetensors --out deblur.safetensors",
    "deblur": "umsn deblur photo.jpg --out sharp",
    "segment": "umsn segment photo.jpg --out labels",
    "demo": "umsn demo --port 8000",
    "export": "umsn export --to onnx --out sharp.onnx",
    "evaluate": "umsn evaluate --checkpoint run/umsn.safetensors --testset test --out results",
    "report": "umsn report results --out report.html",
    "doctor": "umsn doctor",
}
_TRAIN_SECTIONS = {
    "What is trained": (
        "stage",
        "variant",
        "preset",
        "networks",
        "masks",
        "segmentation_shards",
        "start_from",
        "weights",
        "resume",
        "validate",
    ),
    "Perceptual loss": ("vgg_face", "perceptual"),
    "Steps": ("iterations", "batch_size", "learning_rate", "schedule", "ema", "keep_every", "seed"),
    "Machine": ("device", "precision", "compile", "threads", "on_device", "endless"),
    "Differences between the paper and the released code (rarely used)": (
        *(
            "noise",
            "step_every",
            "class_weights",
            "confidence_lambda",
            "gradient_weight",
            "half_scale_weight",
        ),
        *("half_scale_gradient_weight", "first_stage", "snet_batch_statistics", "cn_repeats_third"),
    ),
}


@click.group(cls=OneLineErrors, sections=_SECTIONS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="blurgen", prog_name="umsn")
def main() -> None:
    """Face deblurring with UMSN, trained from blurgen's datasets."""


class _Noise(click.ParamType):
    """``recipe``, or a standard deviation from 0 to 1."""

    name = "recipe|SIGMA"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str | None:
        return value if value == "recipe" else FiniteRange(0, 1).convert(value, param, ctx)


def _differences(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of ``umsn.training.stages.Differences``; what is not given is as the preset has it."""
    for option in reversed(
        (
            click.option(
                "--noise",
                type=_Noise(),
                help="UMSN: a number: make patches with noise of this sigma, neither clipped nor rounded.",
            ),
            click.option(
                "--step-every",
                type=Whole(min=1),
                metavar="N",
                help="UMSN: a step for every Nth batch only; the other gradients are thrown away.",
            ),
            click.option(
                "--class-weights",
                type=FiniteRange(min=0, min_open=True),
                nargs=4,
                metavar="B S F H",
                help="UMSN: weights of the losses of background, skin, features and hair.",
            ),
            click.option(
                "--confidence-lambda",
                type=FiniteRange(min=0, min_open=True),
                help="UMSN: lambda of the confidence loss.",
            ),
            *(
                click.option(f"--{name}-weight", type=FiniteRange(min=0), help=f"UMSN: weight of {what}.")
                for name, what in (
                    ("gradient", "an L1 loss of gradients"),
                    ("half-scale", "an L1 loss at half the resolution"),
                    ("half-scale-gradient", "an L1 loss of gradients at half the resolution"),
                )
            ),
            click.option(
                "--first-stage/--no-first-stage",
                default=None,
                help="UMSN: begin with the F-Nets of the first stage, or with untrained ones.",
            ),
            click.option(
                "--snet-batch-statistics/--no-snet-batch-statistics",
                default=None,
                help="S-Net: normalise over the batch, in use too: masks change with the batch.",
            ),
            click.option(
                "--cn-repeats-third/--no-cn-repeats-third",
                default=None,
                help="UMSN: confidence net with its third convolutions twice and its fourth never.",
            ),
        )
    ):
        command = option(command)
    return command


_DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")


@main.command(cls=SectionedCommand, sections=_TRAIN_SECTIONS)
@click.option("--shards", required=True, type=click.Path(path_type=Path), help="Dataset to train on.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder for checkpoints and logs."
)
@click.option(
    "--stage",
    type=click.Choice(STAGES),
    default="all",
    show_default=True,
    help="What to train; first-stage is all four classes.",
)
@click.option(
    "--variant",
    type=click.Choice(["bnet", "masks", "nested", "umsn-no-confidence", "umsn", "kernel-guided"]),
    default="umsn",
    show_default=True,
    help="What stage umsn trains: a row of the paper's Table VI. kernel-guided: not in the paper, has stages "
    "of its own and estimates the kernel.",
)
@click.option(
    "--preset",
    type=click.Choice(["paper", "released", "compact", "quick"]),
    default="paper",
    show_default=True,
    help="released: as the authors' code differs from their paper. compact and quick: the paper's stages "
    "and parts at a quarter of the resolution, for a processor: some hours, and minutes.",
)
@click.option(
    "--networks",
    type=click.Choice(["paper", "compact", "quick"]),
    help="Size of the networks.  [default: the preset's]",
)
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
    "--start-from", type=click.Path(path_type=Path), help="Folder with other stages.  [default: --out]"
)
@click.option(
    "--segmentation-shards",
    type=click.Path(path_type=Path),
    help="Dataset to train the S-Nets on, of labelled faces.  [default: --shards]",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Checkpoint of the same network to begin a stage with: fine-tuning.",
)
@click.option("--resume", is_flag=True, help="Go on where the training in --out stopped.")
@click.option(
    "--vgg-face", type=click.Path(path_type=Path), help="Weights of VGG-Face, for the perceptual loss."
)
@click.option(
    "--perceptual/--no-perceptual", default=True, help="Use the preset's perceptual loss, if it has one."
)
@click.option("--iterations", type=Whole(min=1), help="For each stage.  [default: the preset's]")
@click.option("--batch-size", type=Whole(min=1), help="Of all processes together.  [default: the preset's]")
@click.option(
    "--learning-rate",
    type=FiniteRange(min=0, min_open=True),
    help="Step of the optimiser.  [default: the preset's]",
)
@click.option(
    "--schedule",
    type=click.Choice(["constant", "cosine", "halving"]),
    help="halving: halved every 19 epochs, and decaying linearly between.  [default: the preset's]",
)
@_differences
@click.option(
    "--ema",
    type=FiniteRange(0, 1, max_open=True),
    help="Decay of a running average of the weights, such as 0.999; 0: none.  [default: the preset's]",
)
@click.option(
    "--keep-every",
    type=Whole(min=0),
    default=0,
    help="Keep the networks of every so many iterations in OUT/checkpoints.  [default: none]",
)
@click.option(
    "--seed",
    type=Whole(min=0, max=2**64 - 1),
    default=0,
    show_default=True,
    help="Another seed gives other random numbers.",
)
@_DEVICE
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    show_default=True,
    help="auto: bf16 on a GPU; on a processor, what is faster there; resumed, as before.",
)
@click.option(
    "--compile/--no-compile",
    default=None,
    help="torch.compile the network, if it then learns the same.  [default: on a GPU]",
)
@click.option("--on-device", is_flag=True, help="Make the patches on the device instead of reading shards.")
@click.option(
    "--endless", is_flag=True, help="On the device, and ever new ones, not only those of the dataset."
)
@click.option("--threads", type=Whole(min=1), default=1, show_default=True, help="Threads that read patches.")
def train(
    shards: Path,
    out: Path,
    stage: str,
    validate: Path | None,
    start_from: Path | None,
    segmentation_shards: Path | None,
    weights: Path | None,
    resume: bool,
    device: str,
    precision: str,
    compile: bool | None,
    threads: int,
    on_device: bool,
    **settings: object,
) -> None:
    """Train the stages of the paper; what is left in --out is what deblur and segment take."""
    from umsn.runs.processes import is_leader
    from umsn.training.curriculum import Settings
    from umsn.training.curriculum import train as train_stages
    from umsn.training.loop import Stopped

    try:
        checkpoints = train_stages(
            shards,
            out,
            Settings(**settings),  # type: ignore[arg-type]
            stage=stage,
            validate=validate,
            start_from=start_from,
            segmentation_shards=segmentation_shards,
            weights=weights,
            resume=resume,
            device=device,
            precision=precision,  # type: ignore[arg-type]
            compile=compile,
            threads=threads,
            on_device=on_device,
        )
    except Stopped as stopped:
        if is_leader():
            click.echo(f"{stopped} Go on with --resume.", err=True)
        raise SystemExit(_INTERRUPTED) from None
    if is_leader():
        for path in checkpoints:
            click.echo(path)


main.add_command(deblur)
main.add_command(segment)
main.add_command(export_weights)
main.add_command(evaluate)
main.add_command(report)
main.add_command(export)
main.add_command(demo)
main.add_command(doctor)
add_examples(main, _EXAMPLES)


if __name__ == "__main__":
    main()
