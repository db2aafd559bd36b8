"""The Wiener filter: what a picture was, given the kernel it was blurred with. Differentiable in both.

N. Wiener, "Extrapolation, Interpolation, and Smoothing of Stationary Time Series", 1949: in the frequency
domain, blurry times the conjugate of the kernel's transfer function K over |K|^2 + w G, with G the squared
response of the differences of neighbours, for pictures have little power where G is large. The border is the
difficulty, for light came in from outside: the picture is continued so that it repeats, and what is continued
is blurred (edge taper), as a picture that repeats would be. Without that, ringing from the border costs more
than the filter gains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from umsn.nets.fourier import FAST, Fourier

MARGIN: Final = 16
"""Lines by which a picture is continued, at least."""

TAPER: Final = 15
"""Lines inside the border over which the taper ends: half of the largest kernel, and one."""


def wiener(blurry: Tensor, kernel: Tensor, weights: Sequence[float], fourier: Fourier = FAST) -> Tensor:
    """Filter pictures float32 ``[N, C, H, W]`` with kernels ``[N, k, k]``: ``[N, len(weights) C, H, W]``.

    There is a picture for each weight, the weight of G: low ones leave noise, high ones blur. Kernels are
    centred, k is odd, their sum is 1; blur is true convolution (the kernel is flipped).
    """
    with torch.autocast(blurry.device.type, enabled=False):
        blurry, kernel = blurry.float(), kernel.float()
        height, width = blurry.shape[-2:]
        period = _period(height), _period(width)
        picture = _repeating(_repeating(blurry, period[0], -2), period[1], -1)
        transfer = fourier.transfer(kernel, *period)[:, None]
        blurred = fourier.irfft2(fourier.rfft2(picture) * transfer, period)
        inside = _taper(height, period[0], blurry)[:, None] * _taper(width, period[1], blurry)
        spectrum = fourier.rfft2(torch.lerp(blurred, picture, inside)) * transfer.conj()
        power, differences = squared(transfer), _differences(*period, blurry.device, fourier)
        found = [fourier.irfft2(spectrum * (1 / (power + w * differences)), period) for w in weights]
        return torch.cat([each[..., :height, :width] for each in found], dim=1)


def _period(side: int) -> int:
    """Return how many lines there are before the picture repeats: a multiple of 16, quick to transform."""
    return (side + MARGIN + 15) // 16 * 16


def squared(spectrum: Any) -> Tensor:
    """Return |z|^2 of complex numbers; ``abs`` would take a root that is squared again."""
    return spectrum.real.square() + spectrum.imag.square()


def _repeating(x: Tensor, period: int, dim: int) -> Tensor:
    """Continue ``x`` at its end, from its last lines mirrored over to its first lines mirrored."""
    size = x.shape[dim]
    place = torch.arange(period, device=x.device)
    share = ((place - size + 0.5) / (period - size)).clamp(min=0)
    after = x.index_select(dim, _mirrored(place, size))
    before = x.index_select(dim, _mirrored(place - period, size))
    return torch.lerp(after, before, share[:, None] if dim == -2 else share)


def _mirrored(place: Tensor, size: int) -> Tensor:
    within = place.remainder(place.new_full((), 2 * size))  # a tensor: ONNX takes no free number here
    return torch.minimum(within, 2 * size - 1 - within)


def _taper(size: int, period: int, like: Tensor) -> Tensor:
    """1 inside, falling to the border, 0 outside."""
    place = torch.arange(period, device=like.device, dtype=torch.float32)
    return (torch.minimum(place + 1, size - place) / TAPER).clamp(0, 1)


def _differences(height: int, width: int, device: torch.device, fourier: Fourier) -> Tensor:
    rows = fourier.frequencies(height, height, device)[:, None]
    columns = fourier.frequencies(width // 2 + 1, width, device)
    return 4 - 2 * torch.cos(2 * math.pi * rows) - 2 * torch.cos(2 * math.pi * columns)
