"""The curriculum: what each stage trains, on which data, with which losses, for how long.

Yasarla, Perazzi, Patel, "Deblurring face images using uncertainty guided multi-stream semantic networks",
IEEE Transactions on Image Processing, 2020. Every constant of the paper is here, with its section; so is
everything the ``quick`` preset does otherwise, and everything in which the authors' released code differs
(github.com/rajeevyasarla/UMSN-Face-Deblurring, read at commit a50a7b9: ``train_face_deblur.py``,
``models/face_fed.py``, ``misc.py``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Literal

from blurgen.labels import CLASS_NAMES

Kind = Literal["segmentation", "first-stage", "umsn", "kernel-estimator", "kernel-guided"]
Schedule = Literal["constant", "cosine", "halving"]
Optimizer = Literal["adam", "muon"]

LAMBDA: Final = 0.01
"""lambda of equation (4): what keeps the confidence from zero (section IV-A.2b)."""

PERCEPTUAL_WEIGHT: Final = 0.0002
"""lambda_1 of equation (6) (section IV-A.2b)."""

HALVED_EVERY: Final = 19
"""Epochs after which schedule ``halving`` halves the learning rate (``train_face_deblur.py``, its loop)."""

DECAY_EPOCHS: Final = 400
"""Epochs in which it would decay to zero besides, in a straight line (there, ``--annealEvery``)."""


@dataclass(frozen=True)
class Differences:
    """In what a training may differ from the paper as the released code does. The default is the paper.

    (The learning rate does as well: that is a stage's ``schedule``.)
    """

    noise: float | Literal["recipe"] = "recipe"
    """Stage umsn. ``recipe``: as the dataset has it, in 8 bits. A number: patches are made, for training and
    validation, with Gaussian noise of that standard deviation in units of full scale, neither
    clipped nor rounded."""
    step_every: int = 1
    """Stage umsn: a step for one batch in so many; the gradients of the others are thrown away."""
    class_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    """Stage umsn: weights of the class losses in the confidence loss: background, skin, features, hair."""
    confidence_lambda: float = LAMBDA
    """Stage umsn: lambda of equation (4)."""
    gradient_weight: float = 0.0
    """Stage umsn: weight of the loss term ``gradient`` (``umsn.training.losses``)."""
    half_scale_weight: float = 0.0
    """Stage umsn: weight of the loss term ``half_scale``."""
    half_scale_gradient_weight: float = 0.0
    """Stage umsn: weight of the loss term ``half_scale_gradient``."""
    first_stage: bool = True
    """Whether first-stage networks are trained and stage umsn begins with their F-Nets."""
    snet_batch_statistics: bool = False
    """S-Nets normalise over the batch, in use as in training: their masks change with the batch."""
    cn_repeats_third: bool = False
    """Stage umsn: the confidence network applies its third convolutions twice and its fourth never."""

    def __post_init__(self) -> None:
        if self.noise != "recipe" and not (isinstance(self.noise, int | float) and 0 <= self.noise <= 1):
            raise ValueError(f"Argument 'noise' must be 'recipe' or from 0 to 1, not {self.noise!r}.")
        if self.step_every < 1:
            raise ValueError(f"Argument 'step_every' must be at least 1, not {self.step_every}.")
        if len(self.class_weights) != len(CLASS_NAMES) or not all(
            0 < w < math.inf for w in self.class_weights
        ):
            raise ValueError(
                f"Argument 'class_weights' must be {len(CLASS_NAMES)} finite numbers above 0, "
                f"not {self.class_weights}."
            )
        if not 0 < self.confidence_lambda < math.inf:
            raise ValueError(
                f"Argument 'confidence_lambda' must be above 0 and finite, not {self.confidence_lambda}."
            )
        for name in ("gradient_weight", "half_scale_weight", "half_scale_gradient_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"Argument '{name}' must be 0 or above and finite, not {getattr(self, name)}."
                )

    @property
    def terms(self) -> dict[str, float]:
        """The weights of the loss terms that the paper has not, by name."""
        weights = {
            "gradient": self.gradient_weight,
            "half_scale": self.half_scale_weight,
            "half_scale_gradient": self.half_scale_gradient_weight,
        }
        return {name: weight for name, weight in weights.items() if weight}

    def of(self, stage: Stage) -> Differences:
        """Return those that concern a stage; the others are as in the paper."""
        if stage.kind == "umsn":
            return self
        if stage.kind == "first-stage":
            return Differences()
        return Differences(snet_batch_statistics=self.snet_batch_statistics)

    def of_variant(self, variant: str) -> Differences:
        """Return those that can act on a row of Table VI; the others are as in the paper."""
        idle: set[str] = set()
        if variant != "umsn":
            # Without the confidence loss.
            idle |= {"class_weights", "confidence_lambda", "cn_repeats_third"}
        if not variant.startswith("umsn"):
            idle |= {"first_stage"}
        if variant == "bnet":
            # Without masks.
            idle |= {"snet_batch_statistics"}
        return replace(self, **{name: getattr(Differences(), name) for name in idle})


RELEASED_DIFFERENCES: Final = Differences(
    noise=4 / 255 / 2,  # N(0, 4) / 255 on images in [-1, 1]; no clipping, no rounding after it
    step_every=2,  # zero_grad and step on even iterations only
    # The code's images are in [-1, 1] and its L1 losses twice ours. Halving lambda and leaving the other
    # weights as they are gives half the code's loss, term by term; Adam's steps are the same for both.
    class_weights=(1.2, 1.2, 3.6, 1.2),
    confidence_lambda=0.06 / 4 / 2,  # lam_cmp / 4 = 0.015 there
    gradient_weight=0.15,
    half_scale_weight=0.33,
    half_scale_gradient_weight=0.08,
    first_stage=False,  # 'if epoch>-1': its losses are in the branch that never runs
    snet_batch_statistics=True,  # netS.eval() is never called
    cn_repeats_third=True,  # x4=self.conv3(x3)
)


@dataclass(frozen=True)
class Stage:
    """One training."""

    name: str
    """Also the name of its checkpoint, ``RUN/<name>.safetensors``."""
    kind: Kind
    shards: str
    """The set of the dataset it sees: ``full``, or ``isolated/<class>`` where only that class is blurred."""
    image: Literal["clean", "blurry"]
    """What goes into the network."""
    losses: Mapping[str, float]
    """Weight of each term of the loss, by name."""
    iterations: int
    learning_rate: float
    batch_size: int
    schedule: Schedule = "constant"
    """Of the learning rate (``umsn.training.schedules``)."""
    optimizer: Optimizer = "adam"
    """Of the weights (``umsn.training.optimizers``)."""
    weight_decay: float = 0.0
    """Share of the weights, in multiples of the learning rate, that a step takes away (AdamW)."""
    flips: bool = False
    """Whether every other patch, at random, is seen in a mirror."""
    needs: tuple[str, ...] = ()
    """Stages whose networks it cannot do without."""
    class_number: int | None = None
    """First stage: the class it deblurs, 0 to 3."""
    differences: Differences = field(default_factory=Differences)


@dataclass(frozen=True)
class Preset:
    """A whole curriculum."""

    name: str
    networks: str
    """The size of its networks (``umsn.nets.SIZES``)."""
    stages: tuple[Stage, ...]
    crop: int | None
    """Side of the random square cut from each patch; None: whole patches."""
    log_every: int
    validate_every: int
    save_every: int
    """All three in iterations."""
    ema: float = 0.0
    """Decay of the running average of the weights that checkpoints hold; 0: none."""
    perceptual_needed: bool = True
    """Whether it is not to be trained without VGG-Face unless the user says so."""
    differences: Differences = field(default_factory=Differences)
    kernel_stages: tuple[Stage, ...] = ()
    """The stages of variant ``kernel-guided``, in place of the paper's; none: it has not that variant."""

    @property
    def perceptual(self) -> bool:
        """Whether any stage needs VGG-Face."""
        return any("perceptual" in stage.losses for stage in self.stages)

    def select(self, name: str) -> tuple[Stage, ...]:
        """Return the stages called ``name``: ``all``, one stage, or ``first-stage`` for the four of them.

        ``all`` leaves the first stage out where stage umsn does not begin with it.
        """
        chosen = tuple(s for s in self.stages if name in ("all", s.name, s.kind))
        if name == "all" and not self.differences.first_stage:
            chosen = tuple(s for s in chosen if s.kind != "first-stage")
        # 'segmentation' is the name of a stage and the kind of two.
        exact = tuple(s for s in chosen if s.name == name)
        if not chosen:
            raise ValueError(f"Argument 'stage' must be one of {', '.join(self.choices)}, not '{name}'.")
        return exact or chosen

    @property
    def choices(self) -> tuple[str, ...]:
        """What ``select`` takes."""
        groups = ("first-stage",) if any(s.kind == "first-stage" for s in self.stages) else ()
        return ("all", *groups, *(s.name for s in self.stages))

    def without_perceptual(self) -> Preset:
        """Return the same curriculum trained without VGG-Face."""
        stages = tuple(
            replace(s, losses=_frozen({n: w for n, w in s.losses.items() if n != "perceptual"}))
            for s in self.stages
        )
        return replace(self, stages=stages)

    def with_differences(self, differences: Differences) -> Preset:
        """Return the same curriculum with these differences from the paper in place of its own."""
        stages = tuple(
            replace(
                s,
                differences=differences.of(s),
                losses=_frozen(
                    {n: w for n, w in s.losses.items() if n not in self.differences.terms}
                    | (differences.terms if s.kind == "umsn" else {})
                ),
            )
            for s in self.stages
        )
        return replace(self, stages=stages, differences=differences)


def _frozen(values: dict[str, float]) -> Mapping[str, float]:
    return MappingProxyType(values)


def _curriculum(
    *,
    batch_size: int,
    segmentation: tuple[int, float],
    segmentation_blurry: tuple[int, float],
    first_stage: tuple[int, float],
    umsn: tuple[int, float],
    perceptual: Mapping[str, float],
    schedule: Schedule,
    optimizer: Optimizer = "adam",
    weight_decay: float = 0.0,
    flips: bool = False,
) -> tuple[Stage, ...]:
    """Return the stages of section IV-A in their order, each for (iterations, learning rate)."""
    stages = (
        Stage(
            "segmentation",
            "segmentation",
            shards="full",
            image="clean",
            losses=_frozen({"cross_entropy": 1.0}),
            iterations=segmentation[0],
            learning_rate=segmentation[1],
            batch_size=batch_size,
        ),
        Stage(
            "segmentation-blurry",
            "segmentation",
            shards="full",
            image="blurry",
            losses=_frozen({"cross_entropy": 1.0}),
            iterations=segmentation_blurry[0],
            learning_rate=segmentation_blurry[1],
            batch_size=batch_size,
            needs=("segmentation",),
        ),
        *(
            Stage(
                f"first-stage-{name}",
                "first-stage",
                shards=f"isolated/{name}",
                image="blurry",
                losses=_frozen({"l1": 1.0, **perceptual}),
                iterations=first_stage[0],
                learning_rate=first_stage[1],
                batch_size=batch_size,
                class_number=number,
            )
            for number, name in enumerate(CLASS_NAMES)
        ),
        Stage(
            "umsn",
            "umsn",
            shards="full",
            image="blurry",
            losses=_frozen({"confidence": 1.0, **perceptual}),
            iterations=umsn[0],
            learning_rate=umsn[1],
            batch_size=batch_size,
        ),
    )
    return tuple(
        replace(s, schedule=schedule, optimizer=optimizer, weight_decay=weight_decay, flips=flips)
        for s in stages
    )


def _kernel_curriculum(
    *,
    batch_size: int,
    estimator: tuple[int, float],
    guided: tuple[int, float],
    schedule: Schedule = "cosine",
    optimizer: Optimizer = "muon",
    weight_decay: float = 1e-3,
) -> tuple[Stage, ...]:
    """Return the stages of the network that estimates the kernel, each for (iterations, learning rate)."""

    def stage(name: Kind, run: tuple[int, float], losses: dict[str, float], *needs: str) -> Stage:
        return Stage(
            name,
            name,
            shards="full",
            image="blurry",
            losses=_frozen(losses),
            iterations=run[0],
            learning_rate=run[1],
            batch_size=batch_size,
            schedule=schedule,
            optimizer=optimizer,
            weight_decay=weight_decay,
            flips=True,
            needs=needs,
        )

    return (
        stage("kernel-estimator", estimator, {"filtered": 1.0, "kernel": 0.025}),
        stage("kernel-guided", guided, {"l1": 1.0, "filtered": 0.25, "kernel": 0.0125}, "kernel-estimator"),
    )


PAPER: Final = Preset(
    name="paper",
    networks="paper",
    stages=_curriculum(
        batch_size=16,  # section IV-A.2b, for UMSN; the paper names no other, so all stages have it
        segmentation=(60_000, 2e-4),  # section IV-A.1
        segmentation_blurry=(30_000, 1e-5),  # section IV-A.1
        first_stage=(50_000, 2e-4),  # section IV-A.2a
        umsn=(100_000, 2e-4),  # section IV-A.2b
        perceptual={"perceptual": PERCEPTUAL_WEIGHT},
        schedule="constant",  # section IV-A.2b
    ),
    crop=None,  # 128 x 128 patches, section IV-A.2
    log_every=100,
    validate_every=2_000,
    save_every=1_000,
)

COMPACT: Final = Preset(
    name="compact",
    networks="compact",
    # Some hours on two processor cores. Small batches, for the number of steps is what counts there; a
    # learning rate some 10 times the paper's, brought down to zero. No perceptual loss without VGG-Face.
    stages=_curriculum(
        batch_size=8,
        segmentation=(10_000, 2e-3),
        segmentation_blurry=(6_000, 1e-3),
        first_stage=(4_000, 2e-3),
        umsn=(60_000, 2e-3),
        perceptual={"perceptual": PERCEPTUAL_WEIGHT},
        schedule="cosine",
        optimizer="muon",
        weight_decay=1e-3,
        flips=True,
    ),
    crop=None,
    log_every=100,
    validate_every=1_000,
    save_every=500,
    ema=0.999,
    perceptual_needed=False,
    # The estimator does not leave the mean of all kernels with batches of 8, nor at twice the rate.
    kernel_stages=_kernel_curriculum(batch_size=16, estimator=(6_000, 2e-3), guided=(10_000, 2e-3)),
)

QUICK: Final = replace(
    COMPACT,
    name="quick",
    networks="quick",
    # Some minutes on two slow processor cores.
    stages=_curriculum(
        batch_size=4,
        segmentation=(600, 3e-3),
        segmentation_blurry=(300, 2e-3),
        first_stage=(150, 3e-3),
        umsn=(2_400, 3e-3),
        perceptual={},
        schedule="cosine",
        optimizer="muon",
        weight_decay=1e-3,
        flips=True,
    ),
    crop=None,
    log_every=50,
    validate_every=300,
    save_every=100,
    ema=0.99,
    kernel_stages=_kernel_curriculum(batch_size=16, estimator=(400, 2e-3), guided=(400, 2e-3)),
)

RELEASED: Final = replace(
    PAPER,
    name="released",
    # Iterations as in the paper: the code's 5,000 epochs are a number nobody waits for. The first learning
    # rate (--lrG) is the paper's; the batch is that of the command in its README, and of seg_train.py.
    stages=tuple(
        replace(stage, batch_size=10, schedule="halving" if stage.kind == "umsn" else stage.schedule)
        for stage in PAPER.stages
    ),
).with_differences(RELEASED_DIFFERENCES)

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {p.name: p for p in (PAPER, RELEASED, COMPACT, QUICK)}
)
