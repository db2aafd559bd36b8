"""What a user may choose about a training, and the preset as that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from blurgen.errors import Argument, InputError
from umsn.training import stages
from umsn.training.differences import CheckedFields, Differences
from umsn.training.stages import Preset, Schedule, Stage


@dataclass(frozen=True)
class Settings(CheckedFields):
    """What a user may choose about a training; what is None is as the preset has it.

    Raises ArgumentError for what cannot be.
    """

    preset: Literal["paper", "released", "compact", "quick"] = "paper"
    variant: Literal["bnet", "masks", "nested", "umsn-no-confidence", "umsn", "kernel-guided"] = "umsn"
    """A row of Table VI (``umsn.nets.VARIANTS``), which concerns stage ``umsn`` only; or ``kernel-guided``,
    which has its own stages."""
    masks: Literal["snet", "labels"] = "snet"
    """Where the masks of stage ``umsn`` come from: S-Nets trained before, or the shards."""
    seed: Annotated[int, Meta(ge=0)] = 0
    iterations: Annotated[int, Meta(ge=1)] | None = None
    batch_size: Annotated[int, Meta(ge=1)] | None = None
    learning_rate: Annotated[float, Meta(gt=0, le=1_000)] | None = None
    schedule: Schedule | None = None
    networks: Literal["paper", "compact", "quick"] | None = None
    """Size of the networks (``umsn.nets.SIZES``)."""
    ema: Annotated[float, Meta(ge=0, lt=1)] | None = None
    """Decay of a running average of the weights, which is then what checkpoints hold; 0: none."""
    vgg_face: Path | None = None
    perceptual: bool = True
    """Whether to use the perceptual loss where the preset has one; needs ``vgg_face``."""
    keep_every: Annotated[int, Meta(ge=0)] = 0
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
        return replace(stages.PRESETS[self.preset].differences, **self.otherwise)

    @property
    def size(self) -> str:
        """The size of the networks."""
        return self.networks or stages.PRESETS[self.preset].networks

    def __post_init__(self) -> None:
        super().__post_init__()
        self.differences  # noqa: B018  (raises where they cannot be)


def chosen_preset(settings: Settings) -> Preset:
    """Return the preset with what the user chose otherwise."""
    preset = stages.PRESETS[settings.preset].with_differences(settings.differences)
    if not settings.perceptual or not (preset.perceptual_needed or settings.vgg_face):
        preset = preset.without_perceptual()
    if settings.variant == "kernel-guided":
        if not preset.kernel_stages or settings.size == "paper":
            raise InputError(
                "Variant 'kernel-guided' is not of the paper; choose ",
                Argument("preset", "compact"),
                " or quick, and no networks of the paper's size.",
            )
        preset = replace(preset, stages=preset.kernel_stages)
    chosen = tuple(
        replace(
            _variant(stage, settings),
            iterations=settings.iterations or stage.iterations,
            batch_size=settings.batch_size or stage.batch_size,
            learning_rate=settings.learning_rate or stage.learning_rate,
            schedule=settings.schedule or stage.schedule,
        )
        for stage in preset.stages
    )
    return replace(preset, stages=chosen, ema=preset.ema if settings.ema is None else settings.ema)


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


def refuse_idle(chosen: tuple[Stage, ...], settings: Settings) -> None:
    """Raise InputError for a difference that the user chose and that cannot act on the variant."""
    if not any(stage.kind == "umsn" for stage in chosen):
        return
    for name, value in settings.otherwise.items():
        acts = any(getattr(stage.differences, name) == value for stage in chosen)
        # The first stage is not trained without it, whatever the variant.
        if name != "first_stage" and not acts:
            raise InputError(Argument(name), f" does not act on variant '{settings.variant}'; leave it out.")


def refuse_missing_normalisation(chosen: tuple[Stage, ...], settings: Settings) -> None:
    """Raise InputError for statistics over the batch where the networks normalise nothing."""
    if settings.size != "paper" and any(stage.differences.snet_batch_statistics for stage in chosen):
        raise InputError(
            f"S-Nets of size '{settings.size}' do not normalise; add ",
            Argument("snet_batch_statistics", False),
            ", or choose ",
            Argument("networks", "paper"),
            ".",
        )
