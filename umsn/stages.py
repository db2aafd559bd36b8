"""The curriculum: what each stage trains, on which data, with which losses, for how long.

Yasarla, Perazzi, Patel, "Deblurring face images using uncertainty guided multi-stream semantic networks",
IEEE Transactions on Image Processing, 2020. Every constant of the paper is here, with its section; so is
everything the ``quick`` preset does otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

from blurgen.labels import CLASS_NAMES

Kind = Literal["segmentation", "first-stage", "umsn"]

LAMBDA: Final = 0.01
"""lambda of equation (4): what keeps the confidence from zero (section IV-A.2b)."""

PERCEPTUAL_WEIGHT: Final = 0.0002
"""lambda_1 of equation (6) (section IV-A.2b)."""


@dataclass(frozen=True)
class Stage:
    """One training. All use Adam (section IV-A)."""

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
    needs: tuple[str, ...] = ()
    """Stages whose networks it cannot do without."""
    class_number: int | None = None
    """First stage: the class it deblurs, 0 to 3."""


@dataclass(frozen=True)
class Preset:
    """A whole curriculum; ``name`` is also the size of its networks (``umsn.nets.SIZES``)."""

    name: str
    stages: tuple[Stage, ...]
    crop: int | None
    """Side of the random square cut from each patch; None: whole patches."""
    schedule: Literal["constant", "cosine"]
    log_every: int
    validate_every: int
    save_every: int
    """All three in iterations."""

    @property
    def perceptual(self) -> bool:
        """Whether any stage needs VGG-Face."""
        return any("perceptual" in stage.losses for stage in self.stages)

    def select(self, name: str) -> tuple[Stage, ...]:
        """Return the stages called ``name``: ``all``, one stage, or ``first-stage`` for the four of them."""
        chosen = tuple(s for s in self.stages if name in ("all", s.name, s.kind))
        # 'segmentation' is the name of a stage and the kind of two.
        exact = tuple(s for s in chosen if s.name == name)
        if not chosen:
            raise ValueError(f"Argument 'stage' must be one of {', '.join(self.choices)}, not '{name}'.")
        return exact or chosen

    @property
    def choices(self) -> tuple[str, ...]:
        """What ``select`` takes."""
        return ("all", "first-stage", *(s.name for s in self.stages))

    def without_perceptual(self) -> Preset:
        """Return the same curriculum trained without VGG-Face."""
        stages = tuple(
            replace(s, losses=_frozen({n: w for n, w in s.losses.items() if n != "perceptual"}))
            for s in self.stages
        )
        return replace(self, stages=stages)


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
) -> tuple[Stage, ...]:
    """Return the stages of section IV-A in their order, each for (iterations, learning rate)."""
    return (
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


PAPER: Final = Preset(
    name="paper",
    stages=_curriculum(
        batch_size=16,  # section IV-A.2b, for UMSN; the paper names no other, so all stages have it
        segmentation=(60_000, 2e-4),  # section IV-A.1
        segmentation_blurry=(30_000, 1e-5),  # section IV-A.1
        first_stage=(50_000, 2e-4),  # section IV-A.2a
        umsn=(100_000, 2e-4),  # section IV-A.2b
        perceptual={"perceptual": PERCEPTUAL_WEIGHT},
    ),
    crop=None,  # 128 x 128 patches, section IV-A.2
    schedule="constant",  # section IV-A.2b
    log_every=100,
    validate_every=2_000,
    save_every=1_000,
)

QUICK: Final = Preset(
    name="quick",
    # Some minutes on two slow CPU cores. What counts there is the number of steps: small networks, small
    # crops, small batches, and a learning rate some 20 times the paper's, brought down to zero (at 5e-3 the
    # confidence network dies: one number for all). No perceptual loss.
    stages=_curriculum(
        batch_size=4,
        segmentation=(300, 5e-3),
        segmentation_blurry=(200, 2e-3),
        first_stage=(100, 5e-3),
        umsn=(1_200, 3e-3),
        perceptual={},
    ),
    crop=64,
    schedule="cosine",
    log_every=50,
    validate_every=300,
    save_every=100,
)

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType({p.name: p for p in (PAPER, QUICK)})
