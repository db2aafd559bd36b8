"""The command ``umsn``: train, evaluate, deblur, segment."""

from __future__ import annotations

import math
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import click

from blurgen_cli.deblur import deblur, export_weights, segment
from blurgen_cli.doctor import doctor
from blurgen_cli.errors import OneLineErrors
from blurgen_cli.evaluate import evaluate
from blurgen_cli.export_network import demo, export
from blurgen_cli.options import DEVICE, PATH, SEED, FiniteRange, Whole, choice
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
}
_DIFFERENCES = "Differences between the paper and the released code (rarely used)"
_PRESETS = "  [default: the preset's]"


@click.group(
    cls=OneLineErrors,
    sections=_SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(package_name="blurgen", prog_name="umsn")
def main() -> None:
    """Face deblurring with networks trained from blurgen's datasets."""


class _TrainCommand(SectionedCommand):
    """With the options of ``umsn.training.differences``, which is imported only when they are wanted."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        from umsn.training.differences import Differences

        self.sections = {**_TRAIN_SECTIONS, _DIFFERENCES: [each.name for each in fields(Differences)]}
        return [*super().get_params(ctx), *map(_difference_option, fields(Differences))]


def _difference_option(each: Field[Any]) -> click.Option:
    """Return the option of a difference; what is not given is as the preset has it."""
    flag, limits = f"--{each.name.replace('_', '-')}", each.metadata["limits"]
    about = {"help": each.metadata["help"], "metavar": each.metadata["metavar"], "default": None}
    if limits is None:
        return click.Option([f"{flag}/--no-{flag[2:]}"], **about)
    kind = Whole if isinstance(each.default, int) else FiniteRange
    high = None if limits.high == math.inf else limits.high
    value: click.ParamType = kind(limits.low, high, min_open=limits.low_open)
    if isinstance(each.default, str):
        value = _OrNumber(each.default, value)
    return click.Option([flag], type=value, nargs=each.metadata["count"], **about)


class _OrNumber(click.ParamType):
    """A word, or a number."""

    def __init__(self, word: str, number: click.ParamType) -> None:
        self.name, self._word, self._number = f"{word}|number", word, number

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == self._word else self._number.convert(value, param, ctx)


@main.command(cls=_TrainCommand, sections=_TRAIN_SECTIONS)
@click.option("--shards", required=True, type=PATH, help="Dataset to train on.")
@click.option("--out", required=True, type=PATH, help="Folder for checkpoints and logs.")
@choice("--stage", STAGES, "Which stage to train; first-stage is those of all four classes.", "all")
@choice(
    "--variant",
    ("bnet", "masks", "nested", "umsn-no-confidence", "umsn", "kernel-guided"),
    "What stage umsn trains: a row of the paper's Table VI, or kernel-guided, which is not in the paper, has "
    "stages of its own and estimates the kernel.",
    "umsn",
)
@choice(
    "--preset",
    ("paper", "released", "compact", "quick"),
    "Sizes and constants: those of the paper, or of the authors' released code; compact and quick have the "
    "paper's parts at a quarter of the resolution, for hours and for minutes on a processor.",
    "paper",
)
@choice("--networks", ("paper", "compact", "quick"), f"Size of the networks.{_PRESETS}")
@choice(
    "--masks",
    ("snet", "labels"),
    "Where stage umsn takes its masks from: the S-Nets trained before, or the labels of the shards.",
    "snet",
)
@click.option("--validate", type=PATH, help="Dataset of other faces and kernels to score on.")
@click.option("--start-from", type=PATH, help="Folder that has the stages trained before.  [default: --out]")
@click.option(
    "--segmentation-shards",
    type=PATH,
    help="Dataset to train the S-Nets on, of labelled faces.  [default: --shards]",
)
@click.option(
    "--weights", type=PATH, help="Checkpoint of the same network to begin a stage with: fine-tuning."
)
@click.option("--resume", is_flag=True, help="Go on where the training in --out stopped.")
@click.option("--vgg-face", type=PATH, help="File of VGG-Face's weights, for the perceptual loss.")
@click.option(
    "--perceptual/--no-perceptual", default=True, help="Use the preset's perceptual loss, if it has one."
)
@click.option("--iterations", type=Whole(min=1), help=f"How many steps each stage takes.{_PRESETS}")
@click.option(
    "--batch-size",
    type=Whole(min=1),
    help=f"How many patches a step sees, in all processes together.{_PRESETS}",
)
@click.option(
    "--learning-rate", type=FiniteRange(min=0, min_open=True), help=f"Step of the optimiser.{_PRESETS}"
)
@choice(
    "--schedule",
    ("constant", "cosine", "halving"),
    f"Course of the learning rate; halving: halved every 19 epochs, a straight line down between.{_PRESETS}",
)
@click.option(
    "--ema",
    type=FiniteRange(0, 1, max_open=True),
    help=f"Decay of a running average of the weights, such as 0.999; 0: none.{_PRESETS}",
)
@click.option(
    "--keep-every",
    type=Whole(min=0),
    default=0,
    show_default="none",
    help="Keep the networks of every so many iterations in OUT/checkpoints.",
)
@SEED
@DEVICE
@choice(
    "--precision",
    ("auto", "fp32", "bf16"),
    "Numbers that networks compute with; auto takes bf16 on a GPU, and on a processor what is faster there.",
    "auto",
)
@click.option(
    "--compile/--no-compile",
    default=None,
    help="Run torch.compile on the network, if it then learns the same.  [default: on a GPU]",
)
@click.option("--on-device", is_flag=True, help="Make the patches on the device instead of reading shards.")
@click.option(
    "--endless", is_flag=True, help="Make ever new patches on the device, not only those of the dataset."
)
@click.option("--threads", type=Whole(min=1), default=1, help="How many threads read patches.")
def train(shards: Path, out: Path, **options: Any) -> None:
    """Train the networks of the paper, stage by stage.

    What is left in --out is what deblur and segment take.
    """
    from umsn.runs.processes import is_leader
    from umsn.training.curriculum import Settings
    from umsn.training.curriculum import train as train_stages
    from umsn.training.loop import Stopped

    settings = Settings.taken_from(options)
    try:
        checkpoints = train_stages(shards, out, settings, **options)
    except Stopped as stopped:
        if is_leader():
            click.echo(f"{stopped} Go on with --resume.", err=True)
        raise SystemExit(_INTERRUPTED) from None
    if is_leader():
        for path in checkpoints:
            click.echo(path)


for command in (deblur, segment, export_weights, evaluate, report, export, demo, doctor):
    main.add_command(command)
add_examples(main, _EXAMPLES)


if __name__ == "__main__":
    main()
