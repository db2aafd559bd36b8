"""The kernel estimator: how the camera moved, from what the shake left in the picture.

A kernel is what turns sharp features into blurry ones. So the network draws maps of what it takes to be the
sharp features (a U over the folded picture), filters the blurry picture linearly into as many maps, and
divides their spectra: the kernel with the least squared error between the two (as in C. Schuler, M. Hirsch,
S. Harmeling and B. Schölkopf, "Learning to deblur", PAMI 2016). A second, small U over the grid of lags makes
one kernel of these quotients, of the correlations, and of the blurry gradients' own autocorrelation.

Spectra are sums over a window, so those of many windows of one photograph can be added up: however large it
is, one kernel comes out, and the more of it there is to see the better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from umsn.nets.checks import require_positive
from umsn.nets.folded import FOLD, MIDDLE_GREY, FoldedTrunk, convolution, fold, require_trunk, unfold
from umsn.nets.fourier import FAST, Fourier, Pair
from umsn.nets.wiener import squared

KERNEL_SIDE: Final = 29
"""Side of the kernels; smaller ones are centred in it, as in a bank."""

WINDOW: Final = 128
"""Side of the windows that spectra are of, in pixels: that of the patches."""

_LAGS: Final = 32
"""Side of the grid of lags, -16 to 15."""

_GROUPS: Final = 4
"""Into how many groups the maps are put; each gives one more quotient, of its sums."""


@dataclass(frozen=True)
class KernelEstimatorConfig:
    """The two trunks (``umsn.nets.folded``): over the picture, and over the grid of lags."""

    widths: tuple[int, ...] = (64, 128, 256)
    blocks: tuple[int, ...] = (1, 1, 1)
    lag_widths: tuple[int, ...] = (32, 64, 128)
    lag_blocks: tuple[int, ...] = (2, 2, 2)
    maps: int = 8
    """How many maps of sharp features; a multiple of 4."""

    def __post_init__(self) -> None:
        require_trunk(self.widths, self.blocks, ())
        require_trunk(self.lag_widths, self.lag_blocks, ())
        require_positive(maps=self.maps)
        if self.maps % _GROUPS:
            raise ValueError(f"Argument 'maps' must be a multiple of {_GROUPS}, not {self.maps}.")


class Spectra(NamedTuple):
    """What windows tell of the kernel, ``[N, maps or 2, h, w // 2 + 1]`` each, or means of windows."""

    cross: Any
    """Complex: sharp features, conjugated, times blurry ones."""
    power: Tensor
    """Of the sharp features."""
    gradients: Tensor
    """Power of the blurry picture's differences, across and down."""


class KernelEstimator(nn.Module):
    """Blurry image [N, 3, H, W] in [0, 1] -> logits [N, 29, 29] of the kernel; ``as_kernel`` makes it one.

    H and W are multiples of 16 from 32 up; what it learns from has sides of ``WINDOW``.
    """

    def __init__(self, config: KernelEstimatorConfig = KernelEstimatorConfig()) -> None:
        super().__init__()
        self.config = config
        self.fourier: Fourier = FAST
        maps = config.maps
        self.trunk = FoldedTrunk(3 * FOLD**2, config.widths, config.blocks)
        self.head = convolution(config.widths[0], maps * FOLD**2, 3)
        self.filters = nn.Conv2d(3, maps, 5, padding=2, bias=False)
        self.floor = nn.Parameter(torch.full((maps,), -2.0))
        self.group_floor = nn.Parameter(torch.full((_GROUPS,), -2.0))
        self.lag_trunk = FoldedTrunk(2 * maps + _GROUPS + 3 + 2, config.lag_widths, config.lag_blocks)
        self.lag_head = convolution(config.lag_widths[0], 1, 3)

    def forward(self, blurry: Tensor) -> Tensor:
        return self.logits(self.spectra(blurry))

    def spectra(self, blurry: Tensor) -> Spectra:
        """What each window ``[N, 3, h, w]`` tells of its kernel."""
        folded = self.head(F.relu(self.trunk(fold(blurry - MIDDLE_GREY))))
        with torch.autocast(blurry.device.type, enabled=False):
            window = _window(blurry.shape[-2], blurry.shape[-1], blurry.device)
            sharp = self.fourier.rfft2(unfold(folded.float()) * window)
            weights = self.filters.weight
            # Filters without a mean: brightness says nothing of the kernel.
            weights = weights - weights.mean((1, 2, 3), keepdim=True)
            blurred = self.fourier.rfft2(F.conv2d(blurry - MIDDLE_GREY, weights, padding=2) * window)
            grey = blurry.mean(1, keepdim=True)
            differences = torch.cat([grey - grey.roll(1, dim) for dim in (-1, -2)], dim=1)
            gradients = squared(self.fourier.rfft2(differences * window.square()))
            return Spectra(sharp.conj() * blurred, squared(sharp), gradients)

    def logits(self, spectra: Spectra) -> Tensor:
        """The kernel that spectra speak for: logits ``[N, 29, 29]``."""
        with torch.autocast(spectra.power.device.type, enabled=False):
            clues = self._clues(spectra)
            places = torch.linspace(-1, 1, _LAGS, device=clues.device).expand(clues.shape[0], 1, _LAGS, _LAGS)
            clues = torch.cat((clues, places, places.mT), dim=1)
        found = self.lag_head(F.relu(self.lag_trunk(clues))).float()[:, 0]
        first = (_LAGS - KERNEL_SIDE + 1) // 2
        return found[:, first : first + KERNEL_SIDE, first : first + KERNEL_SIDE]

    def _clues(self, spectra: Spectra) -> Tensor:
        """Functions of the lag, of power 1: correlations, quotients, autocorrelations, ``[N, _, 32, 32]``."""
        cross, power, gradients = spectra
        groups = (_GROUPS, self.config.maps // _GROUPS)
        cross_sum, power_sum = (x.unflatten(1, groups).sum(2) for x in (cross, power))
        mean, mean_sum = (x.mean((-2, -1), keepdim=True) + 1e-8 for x in (power, power_sum))
        floor, group_floor = (x.exp()[:, None, None] for x in (self.floor, self.group_floor))
        own = torch.cat((gradients, (gradients.sum(1, keepdim=True) + 1e-2).log()), dim=1)
        found = at_lags(
            self.fourier.cat(
                (
                    cross * (1 / mean),
                    cross * (1 / (power + floor * mean)),
                    cross_sum * (1 / (power_sum + group_floor * mean_sum)),
                    self.fourier.real(own),
                )
            )
        )
        return found / (found.square().mean((-2, -1), keepdim=True).sqrt() + 1e-6)


def as_kernel(logits: Tensor) -> Tensor:
    """Logits ``[N, k, k]`` -> kernels ``[N, k, k]``, positive, of sum 1."""
    return logits.flatten(1).softmax(1).view_as(logits)


def at_lags(spectrum: Any) -> Tensor:
    """The inverse of ``rfft2`` of even sides at lags -16 to 15 only, ``[..., 32, 32]``, lag 0 at [16, 16].

    By matrices: these are few of all lags, and a matrix is differentiated at no cost.
    """
    height, width = spectrum.shape[-2], 2 * (spectrum.shape[-1] - 1)
    # A program that is traced must not fill the cache with what is no numbers.
    matrices = _lag_matrices.__wrapped__ if isinstance(spectrum, Pair) else _lag_matrices
    rows_cos, rows_sin, columns_cos, columns_sin = matrices(height, width, spectrum.real.device)
    real, imaginary = spectrum.real, spectrum.imag
    return (rows_cos @ real - rows_sin @ imaginary) @ columns_cos - (
        rows_cos @ imaginary + rows_sin @ real
    ) @ columns_sin


@lru_cache(maxsize=8)
def _lag_matrices(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    lags = torch.arange(-_LAGS // 2, _LAGS // 2, dtype=torch.float64)
    rows = 2 * math.pi * lags[:, None] * torch.arange(height) / height
    frequencies = torch.arange(width // 2 + 1)[:, None]
    columns = 2 * math.pi * frequencies * lags / width
    # All but the first and the last column of a half spectrum stand for two.
    twice = torch.where((frequencies == 0) | (frequencies == width // 2), 1.0, 2.0) / width
    found = rows.cos() / height, rows.sin() / height, columns.cos() * twice, columns.sin() * twice
    return tuple(x.float().to(device) for x in found)  # type: ignore[return-value]


def _window(height: int, width: int, device: torch.device) -> Tensor:
    """The root of a Hann window, so that what lies outside does not count, ``[height, width]``."""
    rows, columns = (
        torch.hann_window(side, periodic=False, device=device).clamp(min=0).sqrt() for side in (height, width)
    )
    return rows[:, None] * columns
