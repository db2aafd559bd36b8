"""Runs the stages one after another: gives each its data, its networks and its place in the run folder."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist

from blurgen.comparing.contents import compare
from blurgen.dataset.reading import Dataset, open_dataset
from blurgen.errors import Argument, ArgumentError, InputError
from blurgen.labels import CLASS_NAMES
from blurgen.testset.contents import read_contents
from umsn.checkpoint import load_networks
from umsn.folders import make_folder
from umsn.nets import (
    KERNEL_GUIDED,
    SIZES,
    VARIANTS,
    build_network,
    config_of,
    network_config,
    network_name,
    variant_config,
)
from umsn.nets.kernel_estimator import KERNEL_SIDE
from umsn.patches.batches import FULL, PatchSource, ShardPatches
from umsn.patches.device_patches import DevicePatches
from umsn.training.differences import Differences
from umsn.training.kernel_learners import KernelEstimatorLearner, KernelGuidedLearner
from umsn.training.learners import DeblurLearner, FirstStageLearner, Learner, SegmentationLearner
from umsn.training.loop import Plan, train_stage
from umsn.training.losses import Perceptual
from umsn.training.machine import Machine, joined
from umsn.training.stage_checkpoints import StageCheckpoints
from umsn.training.stages import PRESETS, Preset, Schedule, Stage


@dataclass(frozen=True)
class Settings:
    """What a user may choose about a training; what is None is as the preset has it."""

    preset: str = "paper"
    variant: str = "umsn"
    """A row of Table VI (``umsn.nets.VARIANTS``), which concerns stage ``umsn`` only; or ``kernel-guided``,
    which has its own stages."""
    masks: Literal["snet", "labels"] = "snet"
    """Where the masks of stage ``umsn`` come from: S-Nets trained before, or the shards."""
    seed: int = 0
    iterations: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    schedule: Schedule | None = None
    networks: str | None = None
    """Size of the networks (``umsn.nets.SIZES``)."""
    ema: float | None = None
    """Decay of a running average of the weights, which is then what checkpoints hold; 0: none."""
    vgg_face: Path | None = None
    perceptual: bool = True
    """Whether to use the perceptual loss where the preset has one; needs ``vgg_face``."""
    keep_every: int = 0
    """Keep the networks of every so many iterations in ``OUT/checkpoints``; 0: none."""
    endless: bool = False
    """Stages that use the full set: go on with new samples of the recipe, beyond those of the dataset."""

    otherwise: Mapping[str, Any] = field(default_factory=dict)
    """Fields of ``umsn.training.differences.Differences`` by name, where not as the preset has them."""

    @classmethod
    def taken_from(cls, options: dict[str, Any]) -> Settings:
        """Take settings out of ``options`` by name, where those of ``otherwise`` stand beside the others."""
        chosen = {each.name: options.pop(each.name) for each in fields(cls) if each.name in options}
        otherwise = {each.name: options.pop(each.name, None) for each in fields(Differences)}
        return cls(**chosen, otherwise={n: value for n, value in otherwise.items() if value is not None})

    @property
    def differences(self) -> Differences:
        """In what the training differs from the paper."""
        return replace(PRESETS[self.preset].differences, **self.otherwise)

    @property
    def size(self) -> str:
        """The size of the networks."""
        return self.networks or PRESETS[self.preset].networks

    def __post_init__(self) -> None:
        for name, allowed in (
            ("preset", tuple(PRESETS)),
            ("variant", (*VARIANTS, KERNEL_GUIDED)),
            ("masks", ("snet", "labels")),
            ("networks", (None, *SIZES)),
        ):
            if getattr(self, name) not in allowed:
                names = ", ".join(value for value in allowed if value is not None)
                raise ArgumentError(Argument(name), f" must be one of {names}, not '{getattr(self, name)}'.")
        for name in ("iterations", "batch_size", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ArgumentError(Argument(name), f" must be above 0 and finite, not {value}.")
        if self.keep_every < 0:
            raise ArgumentError(Argument("keep_every"), f" must be 0 or more, not {self.keep_every}.")
        if self.ema is not None and not 0 <= self.ema < 1:
            raise ArgumentError(Argument("ema"), f" must be from 0 to below 1, not {self.ema}.")
        self.differences  # noqa: B018  (raises where they cannot be)


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
        preset = _preset(settings)
        # Stage umsn has the variant's name, and is still asked for by its own.
        if stage not in (*preset.choices, *(each.kind for each in preset.stages)):
            raise InputError(
                f"Variant '{settings.variant}' has no stage '{stage}'; choose {', '.join(preset.choices)}."
            )
        stages = preset.select(stage)
        _refuse_idle(stages, settings)
        _refuse_missing_normalisation(stages, settings)
        if weights is not None and len(stages) > 1:
            raise InputError(
                Argument("weights"), " begins one stage; say which with ", Argument("stage"), "."
            )
        trained = StageCheckpoints({each.name for each in stages}, out, Path(start_from or out))
        segmentation, held_out = (
            None if root is None else open_dataset(root) for root in (segmentation_shards, validate)
        )
        data = _Data(open_dataset(shards), segmentation, held_out)
        perceptual = _perceptual(stages, settings)
        for each in stages:
            _check_batch(each, machine)
            data.check(each, settings)
            begins = _begins_with(each, settings, trained)
            _networks(
                (name for name in begins if name not in trained.chosen),
                each,
                settings,
                trained,
            )
            if not resume and (out / f"{each.name}.state.safetensors").exists():
                raise InputError(
                    f"{out} already holds a training of stage {each.name}; go on with it (",
                    Argument("resume", True),
                    ") or choose another folder.",
                )
        make_folder(out)
        for each in stages:
            begins = _begins_with(each, settings, trained)
            learner = _learner(each, settings, _networks(begins, each, settings, trained), perceptual)
            starts = {name: trained.digest(name) for name in begins}
            if weights is not None:
                starts["weights"] = _take_weights(learner, Path(weights))
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


def _take_weights(learner: Learner, path: Path) -> str:
    """Give the network in training the weights of a checkpoint; return the SHA-256 of that, in hex.

    Raises InputError where the checkpoint is of another network.
    """
    theirs = load_networks(path, torch.device("cpu"))["network"]
    ours = learner.network
    if (network_name(theirs), config_of(theirs)) != (network_name(ours), config_of(ours)):
        raise InputError(
            f"{path} holds another network ('{network_name(theirs)}') than the stage trains "
            f"('{network_name(ours)}', of this size); choose its variant, stage and size of networks."
        )
    ours.load_state_dict(theirs.state_dict())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _epoch(dataset: Dataset, stage: Stage) -> int:
    """Return after how many iterations a stage has seen as many patches as there are faces.

    That is an epoch of the released code, which blurs each face once in it.
    """
    return math.ceil(len(dataset.faces) / stage.batch_size)


def _preset(settings: Settings) -> Preset:
    """Return the preset with what the user chose otherwise."""
    preset = PRESETS[settings.preset].with_differences(settings.differences)
    if not settings.perceptual or not (preset.perceptual_needed or settings.vgg_face):
        preset = preset.without_perceptual()
    if settings.variant == KERNEL_GUIDED:
        if not preset.kernel_stages or settings.size == "paper":
            raise InputError(
                f"Variant '{KERNEL_GUIDED}' is not of the paper; choose ",
                Argument("preset", "compact"),
                " or quick, and no networks of the paper's size.",
            )
        preset = replace(preset, stages=preset.kernel_stages)
    stages = tuple(
        replace(
            _variant(stage, settings),
            iterations=settings.iterations or stage.iterations,
            batch_size=settings.batch_size or stage.batch_size,
            learning_rate=settings.learning_rate or stage.learning_rate,
            schedule=settings.schedule or stage.schedule,
        )
        for stage in preset.stages
    )
    return replace(preset, stages=stages, ema=preset.ema if settings.ema is None else settings.ema)


def _variant(stage: Stage, settings: Settings) -> Stage:
    """Return stage ``umsn`` as the variant has it: its checkpoint has the variant's name."""
    if stage.kind != "umsn":
        return stage
    needs: tuple[str, ...] = ()
    if settings.masks == "snet" and settings.variant != "bnet":
        needs = ("segmentation", "segmentation-blurry")
    losses = dict(stage.losses)
    if settings.variant != "umsn":
        losses = {("l1" if name == "confidence" else name): weight for name, weight in losses.items()}
    acting = stage.differences.of_variant(settings.variant)
    return replace(stage, name=settings.variant, needs=needs, losses=losses, differences=acting)


def _refuse_idle(stages: tuple[Stage, ...], settings: Settings) -> None:
    """Raise InputError for a difference that the user chose and that cannot act on the variant."""
    if not any(stage.kind == "umsn" for stage in stages):
        return
    for name, value in settings.otherwise.items():
        acts = any(getattr(stage.differences, name) == value for stage in stages)
        # The first stage is not trained without it, whatever the variant.
        if name != "first_stage" and not acts:
            raise InputError(Argument(name), f" does not act on variant '{settings.variant}'; leave it out.")


def _refuse_missing_normalisation(stages: tuple[Stage, ...], settings: Settings) -> None:
    """Raise InputError for statistics over the batch where the networks normalise nothing."""
    if settings.size != "paper" and any(stage.differences.snet_batch_statistics for stage in stages):
        raise InputError(
            f"S-Nets of size '{settings.size}' do not normalise; add ",
            Argument("snet_batch_statistics", False),
            ", or choose ",
            Argument("networks", "paper"),
            ".",
        )


class _Data:
    """The datasets trained on, and the one for validation."""

    def __init__(self, dataset: Dataset, segmentation: Dataset | None, held_out: Dataset | None) -> None:
        self._dataset, self._segmentation, self._held_out = dataset, segmentation or dataset, held_out
        if held_out is not None:
            for trained_on in (dataset, segmentation):
                if trained_on is not None:
                    _refuse_leak(trained_on, held_out)

    def of(self, stage: Stage) -> Dataset:
        """Return the dataset that a stage is trained on."""
        return self._segmentation if stage.kind == "segmentation" else self._dataset

    def check(self, stage: Stage, settings: Settings) -> None:
        """Raise InputError unless the dataset has what the stage trains on."""
        dataset = self.of(stage)
        if stage.shards not in dataset.sets:
            raise InputError(
                f"{dataset.root} has no set '{stage.shards}', which stage {stage.name} trains on; build it: ",
                Argument("class_isolated", True),
                ".",
            )
        if stage.kind in _KERNEL_STAGES and dataset.bank.max_size > KERNEL_SIDE:
            raise InputError(
                f"Kernels of {dataset.root} are {dataset.bank.max_size} pixels wide, and stage {stage.name} "
                f"estimates those of up to {KERNEL_SIDE}; make them with ",
                Argument("max_size", KERNEL_SIDE),
                ".",
            )
        from_labels = stage.kind == "segmentation" or (stage.kind == "umsn" and settings.masks == "labels")
        if from_labels and settings.variant != "bnet" and not dataset.faces.table["labelled"].any():
            other = (", or name one that has them with ", Argument("segmentation_shards"))
            raise InputError(
                f"None of the faces of {dataset.root} has labels, which stage {stage.name} needs; build the "
                "dataset from labelled faces",
                *(other if stage.kind == "segmentation" else ()),
                ".",
            )

    def patches(
        self, stage: Stage, settings: Settings, device: torch.device, *, on_device: bool
    ) -> PatchSource:
        """Return the patches of a stage: read or made on the host, or made on ``device``."""
        endless = settings.endless and stage.shards == FULL
        return _patches(self.of(stage), stage, device, on_device=on_device, endless=endless)

    def validation(self, stage: Stage, device: torch.device) -> PatchSource | None:
        """Return the patches that a stage is scored on, with noise as it is trained on."""
        if self._held_out is None or stage.shards not in self._held_out.sets:
            return None
        return _patches(self._held_out, stage, device)


def _patches(
    dataset: Dataset, stage: Stage, device: torch.device, *, on_device: bool = False, endless: bool = False
) -> PatchSource:
    """Return the patches of a dataset that a stage sees.

    Those with noise of their own are always made: shards hold 8 bits, with the noise of the recipe.
    """
    noise = stage.differences.noise
    if not on_device and noise == "recipe":
        return ShardPatches(dataset, stage.shards)
    return DevicePatches(
        dataset, stage.shards, device, endless=endless, noise=None if noise == "recipe" else noise
    )


def _refuse_leak(dataset: Dataset, held_out: Dataset) -> None:
    """Raise InputError if a face (the same file), a person or a kernel of the validation is also trained on.

    Faces that merely look the same are for ``blurgen audit``: hashing all of them delays every start by
    half a millisecond a face.
    """
    trained_on, validated_on = (read_contents(each.root, near=False) for each in (dataset, held_out))
    found = list(compare(validated_on, trained_on).findings())
    if found:
        rest = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
        raise InputError(
            f"{held_out.root}: shares with {dataset.root}: {found[0]}{rest}; "
            "validate on faces of another split and kernels of another seed."
        )


def _check_batch(stage: Stage, machine: Machine) -> None:
    if stage.batch_size % machine.ranks:
        raise InputError(
            f"A batch of {stage.batch_size} of stage {stage.name} cannot be shared equally by "
            f"{machine.ranks} processes; choose a multiple of {machine.ranks} as ",
            Argument("batch_size"),
            ".",
        )


def _begins_with(stage: Stage, settings: Settings, trained: StageCheckpoints) -> tuple[str, ...]:
    """Return the stages whose networks a stage begins with.

    Raises InputError where one is missing that it needs and that is not trained before it.
    """
    is_umsn, f_nets = stage.kind == "umsn", tuple[str, ...]()
    if is_umsn and settings.variant.startswith("umsn") and stage.differences.first_stage:
        f_nets = tuple(f"first-stage-{class_name}" for class_name in CLASS_NAMES)
    for name in (*stage.needs, *f_nets):
        if not trained.exists(name):
            without = Argument("first_stage", False) if name in f_nets else Argument("masks", "labels")
            raise InputError(
                f"Stage {stage.name} begins with {trained.path(name)}: train that first, or name the folder "
                "that has it with ",
                Argument("start_from"),
                *((", or do without: ", without) if is_umsn else ()),
                ".",
            )
    if is_umsn and settings.masks == "labels" and settings.variant != "bnet":
        # One that is there makes the masks once there are no labels.
        return (*f_nets, *[name for name in _S_NETS if trained.exists(name)][-1:])
    return (*f_nets, *stage.needs)


def _networks(
    names: Iterable[str], stage: Stage, settings: Settings, trained: StageCheckpoints
) -> dict[str, Any]:
    """Return networks of earlier stages by name. Raises InputError for one that the stage cannot take."""
    return {
        name: trained.network(
            name,
            # An S-Net that only makes masks may have any size.
            size=None if stage.kind == "umsn" and name in _S_NETS else settings.size,
            batch_statistics=stage.differences.snet_batch_statistics,
        )
        for name in names
    }


def _learner(
    stage: Stage, settings: Settings, begins: Mapping[str, Any], perceptual: Perceptual | None
) -> Learner:
    """Return what the stage trains, as it begins: with the networks ``begins`` of earlier stages, by name."""
    with torch.random.fork_rng(devices=[]):
        # What a stage begins with depends on the seed and its name, not on the stages before it.
        torch.manual_seed(
            int.from_bytes(hashlib.sha256(f"{settings.seed} {stage.name}".encode()).digest()[:7], "big")
        )
        size, differences = settings.size, stage.differences

        def build(name: str, **changes: Any) -> Any:
            return build_network(name, network_config(name, size) | changes)

        if stage.kind == "segmentation":
            statistics = {"batch_statistics": True} if differences.snet_batch_statistics else {}
            network = begins[stage.needs[0]] if stage.needs else build("snet", **statistics)
            return SegmentationLearner(network.requires_grad_(True), stage.image)
        if stage.kind == "kernel-estimator":
            return KernelEstimatorLearner(build("kernel-estimator"))
        if stage.kind == "kernel-guided":
            network = build("kernel-guided")
            network.estimator.load_state_dict(begins["kernel-estimator"].state_dict())
            return KernelGuidedLearner(network)
        if stage.kind == "first-stage":
            assert stage.class_number is not None
            return FirstStageLearner(build("first-stage"), stage.class_number, perceptual)

        umsn: Any = build_network(*variant_config(settings.variant, size))
        for number, class_name in enumerate(CLASS_NAMES):
            if f"first-stage-{class_name}" in begins:
                umsn.load_first_stage(number, begins[f"first-stage-{class_name}"])
        confidence = None
        if "confidence" in stage.losses:
            confidence = build("confidence", repeats_third=differences.cn_repeats_third)
        s_nets = [begins[name] for name in _S_NETS if name in begins]
        with_masks = settings.variant != "bnet"
        return DeblurLearner(
            umsn,
            confidence=confidence,
            perceptual=perceptual,
            s_net=s_nets[-1] if s_nets else None,
            s_net_clean=s_nets[0] if settings.masks == "snet" and with_masks else None,
            # B-Net is given masks like the others, and ignores them.
            masks=settings.masks if with_masks else "labels",
            confidence_lambda=differences.confidence_lambda,
            class_weights=differences.class_weights,
            extra_terms=tuple(differences.terms),
        )


_S_NETS = ("segmentation", "segmentation-blurry")

_KERNEL_STAGES = ("kernel-estimator", "kernel-guided")


def _perceptual(stages: tuple[Stage, ...], settings: Settings) -> Perceptual | None:
    if not any("perceptual" in stage.losses for stage in stages):
        return None
    if settings.vgg_face is None:
        raise InputError(
            f"Preset '{settings.preset}' has a perceptual loss and needs VGG-Face: get vgg_face.mat from "
            "https://www.robots.ox.ac.uk/~vgg/software/vgg_face and give it with ",
            Argument("vgg_face"),
            ", or train without: ",
            Argument("perceptual", False),
            ".",
        )
    return Perceptual(settings.vgg_face)


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
