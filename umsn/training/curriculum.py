"""Runs the stages one after another: gives each its data, its networks and its place in the run folder."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist

from blurgen.dataset.reading import Dataset, open_dataset
from blurgen.errors import Argument, InputError
from umsn.checkpoint import load_networks
from umsn.folders import make_folder
from umsn.patches.batches import FULL
from umsn.training.beginning import begins_with, learner_of, networks_of, perceptual_of, take_weights
from umsn.training.data import TrainingData
from umsn.training.loop import Plan, train_stage
from umsn.training.machine import Machine, joined
from umsn.training.settings import (
    Settings,
    chosen_preset,
    refuse_idle,
    refuse_missing_normalisation,
)
from umsn.training.stage_checkpoints import StageCheckpoints
from umsn.training.stages import Stage


def train(
    shards: str | Path,
    out: str | Path,
    settings: Settings = Settings(),
    *,
    stage: str = "all",
    validate: str | Path | None = None,
    start_from: str | Path | None = None,
    segmentation_shards: str | Path | None = None,
    weights: str | Path | None = None,
    resume: bool = False,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    compile: bool | None = None,
    threads: int = 1,
    on_device: bool = False,
    quiet: bool = False,
) -> list[Path]:
    """Train the stages that ``stage`` names on the dataset in ``shards``; return the checkpoints in ``out``.

    ``stage`` is ``all``, a stage, or ``first-stage`` for the four of them. ``validate`` is a dataset of other
    faces and kernels to score on. ``start_from`` is a folder of checkpoints of earlier stages that are not
    trained now, by default ``out``. ``segmentation_shards`` is the dataset that the S-Nets are trained on, by
    default ``shards``: the paper's see Helen alone, and its UMSN CelebA too. ``weights`` is a checkpoint
    whose network is the stage's, to be trained on: fine-tuning. ``resume`` goes on where ``out`` stands.
    ``on_device`` makes the patches on the device from the recipe, the same to the bit, instead of reading
    them from shards. With torchrun, all processes train together; the batch size is that of all of them.

    Raises InputError for whatever cannot work, before anything is trained; Stopped (``umsn.training.loop``)
    after SIGINT or SIGTERM, with the state saved.
    """
    with joined(device, precision, compile, threads) as machine:
        out = Path(out)
        preset = chosen_preset(settings)
        # Stage umsn has the variant's name, and is still asked for by its own.
        if stage not in (*preset.choices, *(each.kind for each in preset.stages)):
            raise InputError(
                f"Variant '{settings.variant}' has no stage '{stage}'; choose {', '.join(preset.choices)}."
            )
        stages = preset.select(stage)
        refuse_idle(stages, settings)
        refuse_missing_normalisation(stages, settings)
        if weights is not None and len(stages) > 1:
            raise InputError(
                Argument("weights"), " begins one stage; say which with ", Argument("stage"), "."
            )
        trained = StageCheckpoints({each.name for each in stages}, out, Path(start_from or out))
        segmentation, held_out = (
            None if root is None else open_dataset(root) for root in (segmentation_shards, validate)
        )
        given = {} if weights is None else load_networks(Path(weights), torch.device("cpu"))
        data = TrainingData(open_dataset(shards), segmentation, held_out)
        perceptual = perceptual_of(stages, settings)
        for each in stages:
            _check_batch(each, machine)
            data.check(each, settings)
            begins = begins_with(each, settings, trained, given)
            networks_of([n for n in begins if n not in trained.chosen], each, settings, trained)
            if not resume and (out / f"{each.name}.state.safetensors").exists():
                raise InputError(
                    f"{out} already holds a training of stage {each.name}; go on with it (",
                    Argument("resume", True),
                    ") or choose another folder.",
                )
        make_folder(out)
        for each in stages:
            begins = begins_with(each, settings, trained, given)
            before = networks_of(begins, each, settings, trained)
            learner = learner_of(each, settings, before, given, perceptual)
            starts = {name: trained.digest(name) for name in begins}
            if weights is not None:
                starts["weights"] = take_weights(learner, given, Path(weights))
            train_stage(
                learner,
                data.patches(each, settings, machine.device, on_device=on_device or settings.endless),
                Plan(
                    each,
                    seed=settings.seed,
                    epoch=_epoch(data.of(each), each),
                    ema=preset.ema,
                    log_every=preset.log_every,
                    validate_every=preset.validate_every,
                    save_every=preset.save_every,
                    keep_every=settings.keep_every,
                ),
                out,
                machine,
                about={**_about(settings, data.of(each), each), "starts_from": starts},
                validation=data.validation(each, machine.device),
                resume=resume,
                quiet=quiet or machine.rank > 0,
            )
            if machine.ranks > 1:
                # What this stage wrote is what the next begins with, in every process.
                dist.barrier()
        return [out / f"{each.name}.safetensors" for each in stages]


def _epoch(dataset: Dataset, stage: Stage) -> int:
    """Return after how many iterations a stage has seen as many patches as there are faces.

    That is an epoch of the released code, which blurs each face once in it.
    """
    return math.ceil(len(dataset.faces) / stage.batch_size)


def _check_batch(stage: Stage, machine: Machine) -> None:
    if stage.batch_size % machine.ranks:
        raise InputError(
            f"A batch of {stage.batch_size} of stage {stage.name} cannot be shared equally by "
            f"{machine.ranks} processes; choose a multiple of {machine.ranks} as ",
            Argument("batch_size"),
            ".",
        )


def _about(settings: Settings, dataset: Dataset, stage: Stage) -> dict[str, Any]:
    """Return what the result depends on beside the plan and the networks it starts with."""
    about: dict[str, Any] = {
        "preset": settings.preset,
        "size": settings.size,
        "data": dataset.recipe.to_json(),
        "perceptual": None,
    }
    if "perceptual" in stage.losses and settings.vgg_face is not None:
        about["perceptual"] = hashlib.sha256(settings.vgg_face.read_bytes()).hexdigest()
    if stage.shards == FULL:
        about["endless"] = settings.endless
    if stage.kind == "umsn":
        about |= {"variant": settings.variant, "masks": settings.masks}
    if stage.kind == "kernel-guided":
        about["variant"] = settings.variant
    return about
