"""In what a training may differ from the paper as the authors' released code does.

Each difference is defined once, as a field with its help and its limits: from these come the check of its
value and the option of ``umsn train``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal

from blurgen.errors import Argument, ArgumentError

LAMBDA: Final = 0.01
"""lambda of equation (4): what keeps the confidence from zero (section IV-A.2b)."""


@dataclass(frozen=True)
class Limits:
    """Finite numbers from ``low``, or above it where that is ``low_open``, to ``high``."""

    low: float
    high: float = math.inf
    low_open: bool = False

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float) or not math.isfinite(value):
            return False
        return self.low <= value <= self.high and not (self.low_open and value == self.low)

    def __str__(self) -> str:
        if self.high < math.inf:
            return f"from {self.low} to {self.high}"
        return f"finite and {'above' if self.low_open else 'at least'} {self.low}"


_FROM_0: Final = Limits(0)
_ABOVE_0: Final = Limits(0, low_open=True)


def _difference(
    default: Any, help: str, limits: Limits | None = None, metavar: str | None = None, *, count: int = 1
) -> Any:
    """Return a field: a switch, or where there are ``limits``, ``count`` numbers."""
    about = {"help": help, "limits": limits, "metavar": metavar, "count": count}
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class Differences:
    """Switches and numbers; the default is the paper. Raises ArgumentError for a number out of its limits.

    (The learning rate differs as well: that is a stage's ``schedule``.)
    """

    noise: float | Literal["recipe"] = _difference(
        "recipe",
        "UMSN: a number: make patches with noise of this sigma, neither clipped nor rounded.",
        Limits(0, 1),
        "recipe|SIGMA",
    )
    """In units of full scale, for training and validation. ``recipe``: as the dataset has it, in 8 bits."""
    step_every: int = _difference(
        1, "UMSN: a step for every Nth batch only; the other gradients are thrown away.", Limits(1), "N"
    )
    class_weights: tuple[float, ...] = _difference(
        (1.0, 1.0, 1.0, 1.0),
        "UMSN: weights of the losses of background, skin, features and hair.",
        _ABOVE_0,
        "B S F H",
        count=4,
    )
    """Of the class losses in the confidence loss."""
    confidence_lambda: float = _difference(LAMBDA, "UMSN: lambda of the confidence loss.", _ABOVE_0)
    gradient_weight: float = _difference(0.0, "UMSN: weight of an L1 loss of gradients.", _FROM_0)
    half_scale_weight: float = _difference(0.0, "UMSN: weight of an L1 loss at half the resolution.", _FROM_0)
    half_scale_gradient_weight: float = _difference(
        0.0, "UMSN: weight of an L1 loss of gradients at half the resolution.", _FROM_0
    )
    first_stage: bool = _difference(
        True, "UMSN: begin with the F-Nets of the first stage, or with untrained ones."
    )
    snet_batch_statistics: bool = _difference(
        False, "S-Net: normalise over the batch, in use too: masks change with the batch."
    )
    cn_repeats_third: bool = _difference(
        False, "UMSN: confidence net with its third convolutions twice and its fourth never."
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            value, limits = getattr(self, each.name), each.metadata["limits"]
            if limits is None or value == each.default:
                continue
            count = each.metadata["count"]
            numbers = value if isinstance(value, tuple) else (value,)
            if len(numbers) != count or any(number not in limits for number in numbers):
                what = f"{count} numbers, each " if count > 1 else ""
                raise ArgumentError(Argument(each.name), f" must be {what}{limits}, not {value!r}.")

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
