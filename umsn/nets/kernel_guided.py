"""Deblurring that knows the kernel: it is estimated, divided out, and what that leaves behind is removed.

Estimator -> Wiener filter for several weights -> a U of the kind of B-Net, over the blurry picture and the
filtered ones. A filter with the right kernel brings details back that no network has to imagine, with noise
and rings around them; a network sees those for what they are. (The steps of, for instance, J. Dong, S. Roth
and B. Schiele, "Deep Wiener Deconvolution", NeurIPS 2020, whose kernel is given.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from umsn.nets.checks import require_size
from umsn.nets.folded import (
    FOLD,
    MIDDLE_GREY,
    FoldedTrunk,
    convolution,
    fold,
    pad_to_multiple,
    require_trunk,
    unfold,
)
from umsn.nets.kernel_estimator import WINDOW, KernelEstimator, KernelEstimatorConfig, Spectra, as_kernel
from umsn.nets.wiener import wiener

REACH: Final = 224
"""Pixels from which on what is there changes next to nothing: some 160 of the trunk, and the filter's."""

MOST_WINDOWS: Final = 16
"""Along each side of a picture; more would tell little that is new."""


@dataclass(frozen=True)
class KernelGuidedConfig:
    """The trunk over the pictures, then the numbers of the estimator."""

    widths: tuple[int, ...] = (64, 128, 256)
    blocks: tuple[int, ...] = (1, 2, 2)
    weights: tuple[float, ...] = (0.02, 0.1, 0.5)
    """Of the Wiener filter, one to three of them; to the result of the middle one a residual is added."""
    estimator_widths: tuple[int, ...] = KernelEstimatorConfig.widths
    estimator_blocks: tuple[int, ...] = KernelEstimatorConfig.blocks
    lag_widths: tuple[int, ...] = KernelEstimatorConfig.lag_widths
    lag_blocks: tuple[int, ...] = KernelEstimatorConfig.lag_blocks
    maps: int = KernelEstimatorConfig.maps

    def __post_init__(self) -> None:
        require_trunk(self.widths, self.blocks, ())
        if not 1 <= len(self.weights) <= 3 or not all(1e-6 <= w <= 1e3 for w in self.weights):
            raise ValueError(f"Argument 'weights' must be 1 to 3 numbers above 0, not {self.weights}.")
        self.estimator  # noqa: B018  (raises where it cannot be)

    @property
    def estimator(self) -> KernelEstimatorConfig:
        """Of the kernel estimator."""
        return KernelEstimatorConfig(
            self.estimator_widths, self.estimator_blocks, self.lag_widths, self.lag_blocks, self.maps
        )


class KernelGuided(nn.Module):
    """Blurry image [N, 3, H, W] in [0, 1] -> deblurred image [N, 3, H, W], not clamped.

    A kernel [N, 29, 29] may be given; else each image is taken to have one, and it is estimated.
    """

    def __init__(self, config: KernelGuidedConfig = KernelGuidedConfig()) -> None:
        super().__init__()
        self.config = config
        self.estimator = KernelEstimator(config.estimator)
        pictures = 1 + len(config.weights)
        self.trunk = FoldedTrunk(FOLD**2 * 3 * pictures, config.widths, config.blocks)
        self.head = convolution(config.widths[0], FOLD**2 * 3, 3, share=0.02)

    def forward(self, blurry: Tensor, kernel: Tensor | None = None) -> Tensor:
        kernel = self.kernel(blurry) if kernel is None else kernel
        return self.refine(blurry, self.filtered(blurry, kernel))

    def filtered(self, blurry: Tensor, kernel: Tensor) -> Tensor:
        """What the filter makes of each image with its kernel, ``[N, 3 weights, H, W]``."""
        return wiener(blurry, kernel, self.config.weights, self.estimator.fourier)

    def middle(self, filtered: Tensor) -> Tensor:
        """The filtered image of the middle weight."""
        first = 3 * (len(self.config.weights) // 2)
        return filtered[:, first : first + 3]

    def refine(self, blurry: Tensor, filtered: Tensor) -> Tensor:
        """What the filtered pictures, ``[N, 3 weights, H, W]``, and the blurry one show together."""
        height, width = blurry.shape[-2:]
        pictures = pad_to_multiple(
            torch.cat((blurry, filtered), dim=1) - MIDDLE_GREY, FOLD * self.trunk.multiple
        )
        residual = unfold(self.head(F.relu(self.trunk(fold(pictures)))).float())
        return self.middle(filtered) + residual[..., :height, :width]

    def kernel(self, blurry: Tensor) -> Tensor:
        """The kernel of each image ``[N, 3, H, W]`` of any size, ``[N, 29, 29]`` of sum 1, centred.

        It is that of all windows of ``WINDOW`` pixels together.
        """
        require_size(blurry)
        windows = _windows(blurry)
        total = self.estimator.spectra(next(windows))
        for window in windows:
            total = Spectra(*(a + b for a, b in zip(total, self.estimator.spectra(window), strict=True)))
        count = math.prod(len(_starts(side)) for side in blurry.shape[-2:])
        return as_kernel(self.estimator.logits(Spectra(*(each / count for each in total))))


def _windows(image: Tensor) -> Iterator[Tensor]:
    """Cut images into windows of equal size that overlap and cover them; smaller images are extended."""
    short = [max(0, WINDOW - side) for side in image.shape[-2:]]
    extended = F.pad(image, (0, short[1], 0, short[0]), mode="replicate")
    for top in _starts(image.shape[-2]):
        for left in _starts(image.shape[-1]):
            yield extended[..., top : top + WINDOW, left : left + WINDOW]


def _starts(side: int) -> list[int]:
    """Where windows begin: half overlapping, or in a large picture spread evenly."""
    if side <= WINDOW:
        return [0]
    count = min(1 + -(-(side - WINDOW) // (WINDOW // 2)), MOST_WINDOWS)
    return [(side - WINDOW) * i // (count - 1) for i in range(count)]
