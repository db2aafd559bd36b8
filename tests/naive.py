"""Slow, obvious reference versions, written from FORMAT.md and the equations; nothing here imports blurgen."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

import numpy as np

# --- Triplets (FORMAT.md, sections 1 to 3) ------------------------------------------------------------

CLASSES = ({0}, {1}, {2, 3, 4, 5, 6, 7, 8, 9}, {10})
KERNEL_STREAM, CROP_STREAM, NOISE_STREAM = 2, 3, 4


def philox_block(seed, stream, sample, block):
    """Return the four words of one Philox4x32-10 evaluation, as Python integers."""
    low = 2**32 - 1
    counter = [block & low, sample & low, sample >> 32, stream]
    key = [seed & low, seed >> 32]
    for _ in range(10):
        p0 = 0xD2511F53 * counter[0]
        p1 = 0xCD9E8D57 * counter[2]
        counter = [(p1 >> 32) ^ counter[1] ^ key[0], p1 & low, (p0 >> 32) ^ counter[3] ^ key[1], p0 & low]
        key = [(key[0] + 0x9E3779B9) & low, (key[1] + 0xBB67AE85) & low]
    return counter


def plan(seed, sample, heights, widths, kernel_count, kernel_size, patch):
    """Return (image, top, left, kernel) of one sample (section 2)."""
    radius = (kernel_size - 1) // 2
    image = sample % len(heights)
    kernel = (philox_block(seed, KERNEL_STREAM, sample, 0)[0] * kernel_count) >> 32
    words = philox_block(seed, CROP_STREAM, sample, 0)
    corner = []
    for word, side in zip(words, (int(heights[image]), int(widths[image])), strict=False):
        if side >= patch + 2 * radius:
            corner.append(radius + ((word * (side - patch - 2 * radius + 1)) >> 32))
        else:
            corner.append((word * (side - patch + 1)) >> 32)
    return image, corner[0], corner[1], kernel


@cache
def normal_quantiles():
    """Return Z, 65536 Python integers."""
    normal = NormalDist()
    return [math.floor(32768 * normal.inv_cdf((u + 0.5) / 65536) + 0.5) for u in range(65536)]


def noise(seed, sample, sigma, patch):
    """Return N of every element, int64 [P, P, 3] (section 3)."""
    z = normal_quantiles()
    s = math.floor(sigma * 255 * 65536 + 0.5)
    elements = []
    for e in range(patch * patch * 3):
        word = e // 2
        if e % 8 == 0:
            block = philox_block(seed, NOISE_STREAM, sample, word // 4)
        u = (block[word % 4] >> (16 * (e % 2))) & 0xFFFF
        elements.append((z[u] * s + 32768) >> 16)
    return np.array(elements, np.int64).reshape(patch, patch, 3)


def mirrored(coordinate, side):
    """Return where a coordinate lands after being mirrored about the outermost pixels, not repeated."""
    if side == 1:
        return 0
    while not 0 <= coordinate < side:
        coordinate = -coordinate if coordinate < 0 else 2 * (side - 1) - coordinate
    return coordinate


def blur(picture, kernel, top, left, patch):
    """Return B, int64 [P, P, C]: true convolution of ``picture`` [H, W, C] with a Q15 kernel [M, M]."""
    height, width, channels = picture.shape
    radius = (len(kernel) - 1) // 2
    total = np.zeros((patch, patch, channels), np.int64)
    for i in range(-radius, radius + 1):
        rows = [mirrored(top + y - i, height) for y in range(patch)]
        for j in range(-radius, radius + 1):
            weight = int(kernel[radius + i, radius + j])
            if weight:
                columns = [mirrored(left + x - j, width) for x in range(patch)]
                total += weight * picture[np.ix_(rows, columns)].astype(np.int64)
    return total


def triplet(pixels, labels, kernel, seed, sample, top, left, patch, sigma, isolation="composite"):
    """Return (clean, blurry, mask, isolated [4, P, P, 3], class pixels [4]) of one sample (section 3).

    ``pixels`` [H, W, 3] and ``labels`` [H, W] are the whole face, ``kernel`` the [M, M] Q15 weights.
    """
    inside = np.s_[top : top + patch, left : left + patch]
    clean, mask = pixels[inside], labels[inside]
    grain = noise(seed, sample, sigma, patch)
    sharp = 32768 * clean.astype(np.int64)
    blurred = blur(pixels, kernel, top, left, patch)
    isolated, counts = [], []
    for members in CLASSES:
        whole = np.isin(labels, list(members))[..., None]
        m = whole[inside]
        counts.append(int(m.sum()))
        if isolation == "composite":
            moved = np.where(m, blurred, sharp)
        else:
            share = blur(whole.astype(np.uint8), kernel, top, left, patch)
            moved = blur(whole * pixels, kernel, top, left, patch) + (32768 - share) * clean.astype(np.int64)
        isolated.append(finished(moved, grain))
    return clean, finished(blurred, grain), mask, np.array(isolated), counts


def finished(total, grain):
    """Return uint8 grey levels: a Q15 sum with its noise, rounded and clamped."""
    return np.clip((total + grain + 16384) >> 15, 0, 255).astype(np.uint8)
