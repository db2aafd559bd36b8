"""What a stage begins with: networks of the stages before it, fresh ones, or the weights of a checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import torch

from blurgen.errors import Argument, InputError
from blurgen.labels import CLASS_NAMES
from umsn.checkpoint import load_networks
from umsn.nets import build_network, config_of, network_config, network_name, variant_config
from umsn.training.kernel_learners import KernelEstimatorLearner, KernelGuidedLearner
from umsn.training.learners import DeblurLearner, FirstStageLearner, Learner, SegmentationLearner
from umsn.training.losses import Perceptual
from umsn.training.settings import Settings
from umsn.training.stage_checkpoints import StageCheckpoints
from umsn.training.stages import Stage

_S_NETS: Final = ("segmentation", "segmentation-blurry")


def begins_with(stage: Stage, settings: Settings, trained: StageCheckpoints) -> tuple[str, ...]:
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


def networks_of(
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


def learner_of(
    stage: Stage, settings: Settings, begins: Mapping[str, Any], perceptual: Perceptual | None
) -> Learner:
    """Return what the stage trains, as it begins: with the networks ``begins`` of earlier stages, by name."""
    with torch.random.fork_rng(devices=[]):
        # What a stage begins with depends on the seed and its name, not on the stages before it.
        torch.manual_seed(
            int.from_bytes(hashlib.sha256(f"{settings.seed} {stage.name}".encode()).digest()[:7], "big")
        )

        def build(name: str, **changes: Any) -> Any:
            return build_network(name, network_config(name, settings.size) | changes)

        if stage.kind == "segmentation":
            statistics = {"batch_statistics": True} if stage.differences.snet_batch_statistics else {}
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
        deblurring: Any = build_network(*variant_config(settings.variant, settings.size))
        for number, class_name in enumerate(CLASS_NAMES):
            if f"first-stage-{class_name}" in begins:
                deblurring.load_first_stage(number, begins[f"first-stage-{class_name}"])
        confidence = None
        if "confidence" in stage.losses:
            confidence = build("confidence", repeats_third=stage.differences.cn_repeats_third)
    s_nets = [begins[name] for name in _S_NETS if name in begins]
    with_masks = settings.variant != "bnet"
    return DeblurLearner(
        deblurring,
        confidence=confidence,
        perceptual=perceptual,
        s_net=s_nets[-1] if s_nets else None,
        s_net_clean=s_nets[0] if settings.masks == "snet" and with_masks else None,
        # B-Net is given masks like the others, and ignores them.
        masks=settings.masks if with_masks else "labels",
        confidence_lambda=stage.differences.confidence_lambda,
        class_weights=stage.differences.class_weights,
        extra_terms=tuple(stage.differences.terms),
    )


def take_weights(learner: Learner, path: Path) -> str:
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


def perceptual_of(chosen: tuple[Stage, ...], settings: Settings) -> Perceptual | None:
    """Return the perceptual loss where one of the stages has it; InputError where there is no VGG-Face."""
    if not any("perceptual" in stage.losses for stage in chosen):
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
