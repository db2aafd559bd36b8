"""In what a training may differ from the paper as the authors' released code does.

Each difference is a field whose type has its limits: from these come the check of its value and the option
of ``umsn train``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal, get_type_hints

from msgspec import Meta

from blurgen.files.strict_json import checked

LAMBDA: Final = 0.01
"""lambda of equation (4): what keeps the confidence from zero (section IV-A.2b)."""

_Weight = Annotated[float, Meta(ge=0, le=1_000)]
_Positive = Annotated[float, Meta(gt=0, le=1_000)]


class CheckedFields:
    """Of a frozen dataclass: its fields are what their types allow, else ArgumentError."""

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self), include_extras=True).items():
            object.__setattr__(self, name, checked(name, kind, getattr(self, name)))


@dataclass(frozen=True)
class Differences(CheckedFields):
    """Switches and numbers; the default is the paper. Raises ArgumentError for a number out of its limits.

    (The learning rate differs as well: that is a stage's ``schedule``.)
    """

    noise: Annotated[float, Meta(ge=0, le=1)] | Literal["recipe"] = "recipe"
    """In units of full scale, for training and validation. ``recipe``: as the dataset has it, in 8 bits."""
    step_every: Annotated[int, Meta(ge=1)] = 1
    """A step for every so many batches; the gradients of the others are thrown away."""
    class_weights: tuple[_Positive, _Positive, _Positive, _Positive] = (1.0, 1.0, 1.0, 1.0)
    """Of the class losses in the confidence loss."""
    confidence_lambda: _Positive = LAMBDA
    gradient_weight: _Weight = 0.0
    """Of an L1 loss of gradients."""
    half_scale_weight: _Weight = 0.0
    """Of an L1 loss at half the resolution."""
    half_scale_gradient_weight: _Weight = 0.0
    """Of both."""
    first_stage: bool = True
    """Whether UMSN begins with the F-Nets of the first stage, or with untrained ones."""
    snet_batch_statistics: bool = False
    """Whether S-Nets normalise over the batch, in use too: then masks change with the batch."""
    cn_repeats_third: bool = False
    """Whether the confidence net has its third convolutions twice and its fourth never."""

    @property
    def terms(self) -> dict[str, float]:
        """The weights of the loss terms that the paper does not have, by name (``umsn.training.losses``)."""
        names = ("gradient", "half_scale", "half_scale_gradient")
        return {name: weight for name in names if (weight := getattr(self, f"{name}_weight"))}

    def of(self, kind: str) -> Differences:
        """Return those that concern stages of a kind; the others are as in the paper."""
        if kind == "umsn":
            return self
        return Differences(snet_batch_statistics=self.snet_batch_statistics and kind != "first-stage")

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
