"""``umsn train``. Most of its options are fields of ``umsn.training``, whose types say what they take."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from blurgen.labels import CLASS_NAMES
from blurgen_cli.fields import options_of
from blurgen_cli.options import DEVICE, PATH, SEED, Whole, choice
from blurgen_cli.sections import SectionedCommand

_INTERRUPTED = 130

STAGES: Final = (
    *("all", "first-stage", "segmentation", "segmentation-blurry"),
    *(f"first-stage-{name}" for name in CLASS_NAMES),
    *("umsn", "kernel-estimator", "kernel-guided"),
)
"""What ``umsn.training.stages`` has, written out: the command line is to load quickly."""

_OF_PRESET = "  [default: the preset's]"
_SETTINGS: Final = {
    "variant": "What stage umsn trains: a row of the paper's Table VI, or kernel-guided, which is not in the "
    "paper, has stages of its own and estimates the kernel.",
    "preset": "Sizes and constants: those of the paper, or of the authors' released code; compact and quick "
    "have the paper's parts at a quarter of the resolution, for hours and for minutes on a processor.",
    "networks": f"Size of the networks.{_OF_PRESET}",
    "masks": "Where stage umsn takes its masks from: the S-Nets trained before, or the labels of the shards.",
    "vgg_face": "File of VGG-Face's weights, for the perceptual loss.",
    "perceptual": "Use the preset's perceptual loss, if it has one.",
    "iterations": f"How many steps each stage takes.{_OF_PRESET}",
    "batch_size": f"How many patches a step sees, in all processes together.{_OF_PRESET}",
    "learning_rate": f"Step of the optimiser.{_OF_PRESET}",
    "schedule": "Course of the learning rate; halving: halved every 19 epochs, a straight line down between."
    f"{_OF_PRESET}",
    "ema": f"Decay of a running average of the weights, such as 0.999; 0: none.{_OF_PRESET}",
    "keep_every": "Keep the networks of every so many iterations in OUT/checkpoints; 0: none.",
    "endless": "Make ever new patches on the device, not only those of the dataset.",
}
_DIFFERENCES: Final = {
    "noise": "UMSN: a number: make patches with noise of this sigma, neither clipped nor rounded.",
    "step_every": "UMSN: a step for every Nth batch only; the other gradients are thrown away.",
    "class_weights": "UMSN: weights of the losses of background, skin, features and hair.",
    "confidence_lambda": "UMSN: lambda of the confidence loss.",
    "gradient_weight": "UMSN: weight of an L1 loss of gradients.",
    "half_scale_weight": "UMSN: weight of an L1 loss at half the resolution.",
    "half_scale_gradient_weight": "UMSN: weight of an L1 loss of gradients at half the resolution.",
    "first_stage": "UMSN: begin with the F-Nets of the first stage, or with untrained ones.",
    "snet_batch_statistics": "S-Net: normalise over the batch, in use too: masks change with the batch.",
    "cn_repeats_third": "UMSN: confidence net with its third convolutions twice and its fourth never.",
}
_SECTIONS: Final = {
    "What is trained": (
        *("stage", "variant", "preset", "networks", "masks", "segmentation_shards", "start_from"),
        *("weights", "resume", "validate"),
    ),
    "Perceptual loss": ("vgg_face", "perceptual"),
    "Steps": ("iterations", "batch_size", "learning_rate", "schedule", "ema", "keep_every", "seed"),
    "Machine": ("device", "precision", "compile", "threads", "on_device", "endless"),
    "Differences between the paper and the released code (rarely used)": tuple(_DIFFERENCES),
}


class _TrainCommand(SectionedCommand):
    """With the options that are fields of ``umsn.training``, which is imported only when they are wanted."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        from umsn.training.differences import Differences
        from umsn.training.settings import Settings

        chosen = options_of(Settings, _SETTINGS)
        return [*super().get_params(ctx), *chosen, *options_of(Differences, _DIFFERENCES, given=True)]


@click.command(cls=_TrainCommand, sections=_SECTIONS)
@click.option("--shards", required=True, type=PATH, help="Dataset to train on.")
@click.option("--out", required=True, type=PATH, help="Folder for checkpoints and logs.")
@choice("--stage", STAGES, "Which stage to train; first-stage is those of all four classes.", "all")
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
@click.option("--threads", type=Whole(min=1), default=1, help="How many threads read patches.")
def train(shards: Path, out: Path, **options: Any) -> None:
    """Train the networks of the paper, stage by stage.

    What is left in --out is what deblur and segment take.
    """
    from umsn.runs.processes import is_leader
    from umsn.training.curriculum import train as train_stages
    from umsn.training.loop import Stopped
    from umsn.training.settings import Settings

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
