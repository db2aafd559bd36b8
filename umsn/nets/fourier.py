"""The Fourier transforms of networks that know the kernel, in two ways that agree.

``FAST`` is PyTorch's own, of complex numbers: what trains and deblurs. ``MATRICES`` multiplies by cosines
and sines, with real numbers alone and sides that may stay free: what an exported program can hold. A network
takes either (its attribute ``fourier``); half spectra are as ``torch.fft.rfft2`` has them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Fourier(Protocol):
    """A way to transform. Spectra are complex tensors of ``FAST``, and of ``MATRICES`` a ``Pair``."""

    def rfft2(self, x: Tensor) -> Any:
        """The spectrum ``[..., H, W // 2 + 1]`` of real ``[..., H, W]``."""

    def irfft2(self, spectrum: Any, sides: tuple[int, int]) -> Tensor:
        """The inverse of ``rfft2``; ``sides`` are H and W, both even."""

    def transfer(self, kernel: Tensor, height: int, width: int) -> Any:
        """What a centred kernel ``[N, k, k]`` does to each frequency, ``[N, height, width // 2 + 1]``."""

    def frequencies(self, count: int, period: int, device: torch.device) -> Tensor:
        """The first ``count`` frequencies of a spectrum in cycles a pixel, or those and whole cycles."""

    def cat(self, spectra: Sequence[Any]) -> Any:
        """Spectra one after another, along dimension 1."""

    def real(self, x: Tensor) -> Any:
        """A spectrum whose imaginary part is 0."""


class _Fast:
    def rfft2(self, x: Tensor) -> Tensor:
        return torch.fft.rfft2(x)

    def irfft2(self, spectrum: Tensor, sides: tuple[int, int]) -> Tensor:
        return torch.fft.irfft2(spectrum, s=sides)

    def transfer(self, kernel: Tensor, height: int, width: int) -> Tensor:
        side = kernel.shape[-1]
        placed = F.pad(kernel, (0, width - side, 0, height - side))
        return torch.fft.rfft2(placed.roll((-(side // 2), -(side // 2)), (-2, -1)))

    def frequencies(self, count: int, period: int, device: torch.device) -> Tensor:
        return torch.fft.fftfreq(period, device=device)[:count]

    def cat(self, spectra: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(spectra), dim=1)

    def real(self, x: Tensor) -> Tensor:
        return torch.complex(x, torch.zeros_like(x))


@dataclass(frozen=True)
class Pair:
    """Complex numbers as two real tensors; of what complex tensors can do, what the networks ask for."""

    real: Tensor
    imag: Tensor

    def __mul__(self, other: Pair | Tensor) -> Pair:
        if isinstance(other, Tensor):
            return Pair(self.real * other, self.imag * other)
        return Pair(
            self.real * other.real - self.imag * other.imag, self.real * other.imag + self.imag * other.real
        )

    def __getitem__(self, where: Any) -> Pair:
        return Pair(self.real[where], self.imag[where])

    @property
    def shape(self) -> torch.Size:
        """Of either part."""
        return self.real.shape

    def conj(self) -> Pair:
        """The conjugates."""
        return Pair(self.real, -self.imag)

    def unflatten(self, dim: int, sizes: tuple[int, ...]) -> Pair:
        """As ``Tensor.unflatten``."""
        return Pair(self.real.unflatten(dim, sizes), self.imag.unflatten(dim, sizes))

    def sum(self, dim: int) -> Pair:
        """As ``Tensor.sum``."""
        return Pair(self.real.sum(dim), self.imag.sum(dim))

    def mean(self, dim: int) -> Pair:
        """As ``Tensor.mean``."""
        return Pair(self.real.mean(dim), self.imag.mean(dim))


class _Matrices:
    def rfft2(self, x: Tensor) -> Pair:
        height, width = x.shape[-2:]
        return self._forward(
            x, torch.arange(height, device=x.device), torch.arange(width, device=x.device), height, width
        )

    def irfft2(self, spectrum: Pair, sides: tuple[int, int]) -> Tensor:
        height, width = sides
        device = spectrum.real.device
        (cos, sin), rows = (
            _waves(torch.arange(height, device=device), torch.arange(height, device=device), height),
            spectrum,
        )
        real = (cos @ rows.real - sin @ rows.imag) / height
        imag = (cos @ rows.imag + sin @ rows.real) / height
        frequencies = torch.arange(width // 2 + 1, device=device)
        cos, sin = _waves(frequencies, torch.arange(width, device=device), width)
        # All but the first and the last column of a half spectrum stand for two.
        ends = (frequencies == 0) | (frequencies == width // 2)
        share = (2 - ends.float())[:, None] / width
        return real @ (cos * share) - imag @ (sin * share)

    def transfer(self, kernel: Tensor, height: int, width: int) -> Pair:
        side = kernel.shape[-1]
        places = torch.arange(-(side // 2), side - side // 2, device=kernel.device)
        return self._forward(kernel, places, places, height, width)

    def frequencies(self, count: int, period: int, device: torch.device) -> Tensor:
        return torch.arange(count, device=device) / period

    def cat(self, spectra: Sequence[Pair]) -> Pair:
        return Pair(torch.cat([s.real for s in spectra], 1), torch.cat([s.imag for s in spectra], 1))

    def real(self, x: Tensor) -> Pair:
        return Pair(x, torch.zeros_like(x))

    @staticmethod
    def _forward(x: Tensor, rows: Tensor, columns: Tensor, height: int, width: int) -> Pair:
        """The spectrum of what has the value ``x[i, j]`` at ``(rows[i], columns[j])`` and is 0 elsewhere."""
        cos, sin = _waves(columns, torch.arange(width // 2 + 1, device=x.device), width)
        real, imag = x @ cos, -(x @ sin)
        cos, sin = _waves(torch.arange(height, device=x.device), rows, height)
        return Pair(cos @ real + sin @ imag, cos @ imag - sin @ real)


def _waves(first: Tensor, second: Tensor, period: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of ``2 pi first second / period``, ``[len(first), len(second)]``.

    Whole turns are taken away in whole numbers: of large angles float32 knows little.
    """
    turns = (first[:, None] * second).remainder(first.new_full((), period)).float() * (2 * math.pi / period)
    return turns.cos(), turns.sin()


FAST: Final[Fourier] = _Fast()
MATRICES: Final[Fourier] = _Matrices()
