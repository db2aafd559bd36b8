"""The curriculum: what each stage trains, on which data, with which losses, for how long.

Yasarla, Perazzi, Patel, "Deblurring face images using uncertainty guided multi-stream semantic networks",
IEEE Transactions on Image Processing, 2020. Every constant of the paper is here, with its section; so is
what the other presets do otherwise. In what the authors' released code differs is in ``differences``
(github.com/rajeevyasarla/UMSN-Face-Deblurring, read at commit a50a7b9: ``train_face_deblur.py``,
``models/face_fed.py``, ``misc.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, cast

from blurgen.labels import CLASS_NAMES
from umsn.training.differences import RELEASED_DIFFERENCES, Differences

Kind = Literal["segmentation", "first-stage", "umsn", "kernel-estimator", "kernel-guided"]
Schedule = Literal["constant", "cosine", "halving"]
Optimizer = Literal["adam", "muon"]

PERCEPTUAL_WEIGHT: Final = 0.0002
"""lambda_1 of equation (6) (section IV-A.2b)."""

HALVED_EVERY: Final = 19
"""Epochs after which schedule ``halving`` halves the learning rate (``train_face_deblur.py``, its loop)."""

DECAY_EPOCHS: Final = 400
"""Epochs in which it would decay to zero besides, in a straight line (there, ``--annealEvery``)."""


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
    """The stages of variant ``kernel-guided``, in place of the paper's; none: the preset does not have it."""

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
            replace(s, losses={n: w for n, w in s.losses.items() if n != "perceptual"}) for s in self.stages
        )
        return replace(self, stages=stages)

    def with_differences(self, differences: Differences) -> Preset:
        """Return the same curriculum with these differences from the paper in place of its own."""
        stages = tuple(
            replace(
                s,
                differences=differences.of(s.kind),
                losses={n: w for n, w in s.losses.items() if n not in self.differences.terms}
                | (differences.terms if s.kind == "umsn" else {}),
            )
            for s in self.stages
        )
        return replace(self, stages=stages, differences=differences)


Run = tuple[int, float]
"""Iterations and learning rate of a stage."""


def _stage(
    name: str,
    run: Run,
    losses: Mapping[str, float],
    *,
    kind: Kind | None = None,
    shards: str = "full",
    image: Literal["clean", "blurry"] = "blurry",
    **more: Any,
) -> Stage:
    return Stage(name, kind or cast(Kind, name), shards, image, losses, *run, **more)


def _curriculum(
    *,
    segmentation: Run,
    segmentation_blurry: Run,
    first_stage: Run,
    umsn: Run,
    perceptual: Mapping[str, float],
    **common: Any,
) -> tuple[Stage, ...]:
    """Return the stages of section IV-A in their order; ``common`` is the same for all."""
    entropy = {"cross_entropy": 1.0}
    return (
        _stage("segmentation", segmentation, entropy, image="clean", **common),
        _stage(
            "segmentation-blurry",
            segmentation_blurry,
            entropy,
            kind="segmentation",
            needs=("segmentation",),
            **common,
        ),
        *(
            _stage(
                f"first-stage-{name}",
                first_stage,
                {"l1": 1.0, **perceptual},
                kind="first-stage",
                shards=f"isolated/{name}",
                class_number=number,
                **common,
            )
            for number, name in enumerate(CLASS_NAMES)
        ),
        _stage("umsn", umsn, {"confidence": 1.0, **perceptual}, **common),
    )


def _kernel_curriculum(*, estimator: Run, guided: Run, **common: Any) -> tuple[Stage, ...]:
    """Return the stages of the network that estimates the kernel."""
    return (
        _stage("kernel-estimator", estimator, {"filtered": 1.0, "kernel": 0.025}, **common),
        _stage(
            "kernel-guided",
            guided,
            {"l1": 1.0, "filtered": 0.25, "kernel": 0.0125},
            needs=("kernel-estimator",),
            **common,
        ),
    )


_FAST: Final[dict[str, Any]] = {
    "schedule": "cosine",
    "optimizer": "muon",
    "weight_decay": 1e-3,
    "flips": True,
}
"""How stages learn fast on a processor."""

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
        **_FAST,
    ),
    log_every=100,
    validate_every=1_000,
    save_every=500,
    ema=0.999,
    perceptual_needed=False,
    # The estimator does not leave the mean of all kernels with batches of 8, nor at twice the rate.
    kernel_stages=_kernel_curriculum(batch_size=16, estimator=(6_000, 2e-3), guided=(10_000, 2e-3), **_FAST),
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
        umsn=(1_200, 3e-3),
        perceptual={},
        **_FAST,
    ),
    log_every=50,
    validate_every=300,
    save_every=100,
    ema=0.99,
    kernel_stages=_kernel_curriculum(batch_size=16, estimator=(400, 2e-3), guided=(400, 2e-3), **_FAST),
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

PRESETS: Final[Mapping[str, Preset]] = {p.name: p for p in (PAPER, RELEASED, COMPACT, QUICK)}
