"""A classical blind method, without training, beside the networks: the kernel from an L0 prior on gradients.

    python benchmarks/blind.py --testset SET --out PICTURES         # seconds a picture, on one core
    umsn evaluate --testset SET --references --compare "L0=PICTURES" --out tables

From coarse to fine, in turns: the sharp picture whose gradients are few (Xu, Zheng, Jia, "Unnatural L0 Sparse
Representation for Natural Image Deblurring", CVPR 2013; in the form of Pan, Hu, Su, Yang, "Deblurring Text
Images via L0-Regularized Intensity and Gradient Prior", CVPR 2014, without its term for intensities), then
the kernel that explains the blurry gradients by it (least squares). The picture is then filtered as "Wiener,
true kernel" of ``umsn evaluate --references`` is, with this kernel: the difference to that row is what the
kernel costs.

Weights are those of the program of Pan et al., but for that of the kernel: 10 instead of 2 gains 0.5 dB on
30 pictures of 128 x 128 of other faces and kernels. Noise leads the method astray (its kernels become
points and stripes), so kernels are sought in a smoothed picture; on the same pictures sigma 2 was best for
noise of 0.03 (2.5 dB more than without), and sigma 1 for none.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from blurgen.files.png import save_picture
from umsn.evaluation.deconvolution import wiener
from umsn.scoring.pairs import Pair, open_pairs

LARGEST: Final = 31
"""Side of the kernel that is looked for; the method is told no more."""

ROUNDS: Final = 5
"""Of picture and kernel at each scale."""

SPARSITY, LEAST_SPARSITY, STEEPEST, KERNEL_WEIGHT = 4e-3, 1e-4, 1e5, 10.0
"""lambda and what it falls to, the largest beta, and gamma of the papers, for grey levels from 0 to 1."""

Field = NDArray[Any]


def estimated_kernel(picture: NDArray[np.uint8], smooth: float, largest: int = LARGEST) -> Field:
    """Return the kernel of a blurry picture, uint8 ``[H, W, 3]``: float64 ``[largest, largest]``, sum 1.

    ``smooth`` is the sigma, in pixels, of the Gaussian that takes out noise beforehand; 0 for none.
    """
    grey = ndimage.gaussian_filter(picture @ np.array([0.299, 0.587, 0.114]) / 255, smooth)
    sides = [largest]
    while sides[-1] > 3:
        sides.append(int(sides[-1] / np.sqrt(2) - 1) // 2 * 2 + 1)
    kernel = np.zeros((3, 3))
    kernel[1, 1:] = 0.5
    sparsity = SPARSITY
    for side in reversed(sides):
        blurry = _repeating(ndimage.zoom(grey, side / largest, order=1) if side < largest else grey, side)
        kernel = _clean(ndimage.zoom(kernel, side / len(kernel), order=1))
        for _ in range(ROUNDS):
            sharp = sparse_picture(blurry, kernel, sparsity)
            kernel = _clean(_explaining(blurry, sharp, side))
            sparsity = max(sparsity / 1.1, LEAST_SPARSITY)
    return kernel


def sparse_picture(blurry: Field, kernel: Field, sparsity: float) -> Field:
    """Return the picture of few gradients that the kernel turns into ``blurry`` (which repeats)."""
    transfer = _spectrum(kernel, blurry.shape)
    steps = [_spectrum(np.array(step), blurry.shape) for step in _STEPS]
    known, power = np.conj(transfer) * fft.rfft2(blurry), np.abs(transfer) ** 2
    roughness = sum(np.abs(step) ** 2 for step in steps)
    sharp, beta = blurry, 2 * sparsity
    while beta < STEEPEST:
        gradients = np.stack(_gradients(sharp))
        gradients *= (gradients**2).sum(axis=0) >= sparsity / beta
        wanted = sum(np.conj(step) * fft.rfft2(g) for step, g in zip(steps, gradients, strict=True))
        sharp = fft.irfft2((known + beta * wanted) / (power + beta * roughness), blurry.shape)
        beta *= 2
    return sharp


_STEPS: Final = ([[0.0, 0, 0], [1, -1, 0], [0, 0, 0]], [[0.0, 1, 0], [0, -1, 0], [0, 0, 0]])
"""Differences to the right and downwards, as kernels."""


def _gradients(picture: Field) -> list[Field]:
    return [np.roll(picture, -1, axis) - picture for axis in (1, 0)]


def _explaining(blurry: Field, sharp: Field, side: int) -> Field:
    """Return the kernel ``[side, side]`` that turns the gradients of ``sharp`` into those of ``blurry``."""
    pairs = zip(_gradients(sharp), _gradients(blurry), strict=True)
    spectra = [(fft.rfft2(s), fft.rfft2(b)) for s, b in pairs]
    product = sum(np.conj(s) * b for s, b in spectra)
    found = fft.irfft2(product / (sum(np.abs(s) ** 2 for s, _ in spectra) + KERNEL_WEIGHT), blurry.shape)
    return np.roll(found, (side // 2, side // 2), (0, 1))[:side, :side]


def _clean(kernel: Field) -> Field:
    """Return a kernel without noise: no weak weights, no small islands, its mass in the middle, sum 1."""
    kernel = np.where(kernel < 0.05 * kernel.max(), 0, kernel)
    islands, count = ndimage.label(kernel, np.ones((3, 3)))
    masses = ndimage.sum_labels(kernel, islands, np.arange(1, count + 1))
    kept = np.flatnonzero(masses >= min(0.1 * kernel.sum(), masses.max())) + 1
    kernel = np.where(np.isin(islands, kept), kernel, 0)
    middle = np.array(ndimage.center_of_mass(kernel))
    moved = ndimage.shift(kernel, np.round(len(kernel) // 2 - middle), order=0)
    return moved / moved.sum()


def _repeating(picture: Field, margin: int) -> Field:
    """Continue a picture by a ramp from its end to its beginning, so that it repeats without a step."""
    for axis in (0, 1):
        rows = np.moveaxis(picture, axis, 0)
        share = np.arange(1, margin + 1)[:, None] / (margin + 1)
        ramp = rows[-1] * (1 - share) + rows[0] * share
        picture = np.moveaxis(np.concatenate([rows, ramp]), 0, axis)
    return picture


def _spectrum(kernel: Field, shape: tuple[int, ...]) -> Field:
    wide = np.zeros(shape)
    wide[: len(kernel), : len(kernel)] = kernel
    return fft.rfft2(np.roll(wide, (-(len(kernel) // 2), -(len(kernel) // 2)), (0, 1)))


def deblurred(pair: Pair, smooth: float) -> NDArray[np.uint8]:
    """Return the picture filtered with the kernel that was found in it."""
    return wiener(replace(pair, kernel=estimated_kernel(pair.blurry, smooth)))


def main(arguments: list[str] | None = None) -> None:
    """Deblur a test set, and say how long a picture took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--testset", type=Path, required=True)
    parser.add_argument("--smooth", type=float, default=2, help="sigma in pixels; 1 without noise")
    parser.add_argument("--limit", type=int, help="only the first N pictures")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    pairs = open_pairs(testset=given.testset, limit=given.limit)
    start = time.process_time()
    for pair in pairs:
        save_picture(given.out / f"{pair.name}.png", deblurred(pair, given.smooth))
    each = (time.process_time() - start) / len(pairs)
    print(f"{len(pairs):,} pictures, {each:.2f} s of processor time each")


if __name__ == "__main__":
    main()
