"""What a stage begins with: networks of the stages before it, fresh ones, or the weights of a checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from blurgen.errors import Argument, InputError
from blurgen.labels import CLASS_NAMES
from umsn.nets import build_network, config_of, network_config, network_name, variant_config
from umsn.training.kernel_learners import KernelEstimatorLearner, KernelGuidedLearner
from umsn.training.learners import DeblurLearner, FirstStageLearner, Learner, SegmentationLearner
from umsn.training.losses import Perceptual
from umsn.training.settings import Settings
from umsn.training.stage_checkpoints import StageCheckpoints
from umsn.training.stages import Stage

_S_NETS: Final = ("segmentation", "segmentation-blurry")


def begins_with(
    stage: Stage, settings: Settings, trained: StageCheckpoints, weights: Mapping[str, nn.Module]
) -> tuple[str, ...]:
    """Return the stages whose networks a stage begins with.

    ``weights`` are the networks of a checkpoint of the stage itself, if it begins with one: what that holds
    needs not be there from the stages before.
    Raises InputError where a network is missing that is needed and not trained before.
    """
    is_umsn, f_nets = stage.kind == "umsn", tuple[str, ...]()
    if is_umsn and settings.variant.startswith("umsn") and stage.differences.first_stage:
        f_nets = tuple(f"first-stage-{class_name}" for class_name in CLASS_NAMES)
    needs = (*stage.needs, *f_nets)
    if weights:
        has_masks = "s_net" in weights or not is_umsn
        needs = tuple(n for n in needs if trained.exists(n) or (n in _S_NETS and not has_masks))
    for name in needs:
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
        needs += tuple(name for name in _S_NETS if trained.exists(name))[-1:]
    return needs


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
    stage: Stage,
    settings: Settings,
    begins: Mapping[str, Any],
    weights: Mapping[str, nn.Module],
    perceptual: Perceptual | None,
) -> Learner:
    """Return what the stage trains, as it begins: with the networks ``begins`` of earlier stages, by name.

    An S-Net that these have not is that of ``weights``.
    """
    with torch.random.fork_rng(devices=[]):
        # What a stage begins with depends on the seed and its name, not on the stages before it.
        torch.manual_seed(
            int.from_bytes(hashlib.sha256(f"{settings.seed} {stage.name}".encode()).digest()[:7], "big")
        )

        def build(name: str, **changes: Any) -> Any:
            return build_network(name, network_config(name, settings.size) | changes)

        if stage.kind == "segmentation":
            statistics = {"batch_statistics": True} if stage.differences.snet_batch_statistics else {}
            before = [begins[name] for name in stage.needs if name in begins]
            network = before[0] if before else build("snet", **statistics)
            return SegmentationLearner(network.requires_grad_(True), stage.image)
        if stage.kind == "kernel-estimator":
            return KernelEstimatorLearner(build("kernel-estimator"))
        if stage.kind == "kernel-guided":
            network = build("kernel-guided")
            if "kernel-estimator" in begins:
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
    if not s_nets and "s_net" in weights:
        s_nets = [weights["s_net"]]
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


def take_weights(learner: Learner, weights: Mapping[str, nn.Module], path: Path) -> str:
    """Give what is trained the weights of the checkpoint ``path``; return the SHA-256 of that, in hex.

    The confidence network takes part where both are of one kind. Raises InputError where the checkpoint is of
    another network.
    """
    theirs, ours = weights["network"], learner.network
    if not _alike(theirs, ours):
        raise InputError(
            f"{path} holds another network ('{network_name(theirs)}') than the stage trains "
            f"('{network_name(ours)}', of this size); choose its variant, stage and size of networks."
        )
    ours.load_state_dict(theirs.state_dict())
    confidence = learner.kept().get("confidence")
    if confidence is not None and "confidence" in weights and _alike(weights["confidence"], confidence):
        confidence.load_state_dict(weights["confidence"].state_dict())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _alike(a: nn.Module, b: nn.Module) -> bool:
    return (network_name(a), config_of(a)) == (network_name(b), config_of(b))


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
