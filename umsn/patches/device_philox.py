"""Random words of a recipe on the training device, those of ``blurgen.randomness.philox`` to the bit."""

from __future__ import annotations

import torch
from torch import Tensor

from blurgen.randomness.philox import Stream

Four = tuple[Tensor, Tensor, Tensor, Tensor]
"""Words, int64 below 2^32."""


def words(seed: int, stream: Stream, sample: Tensor, block: Tensor) -> Four:
    """Return the words of blocks of samples' streams; ``sample`` and ``block`` are int64 of one shape."""
    number = torch.full_like(block, int(stream))
    return philox4x32(block, sample & 0xFFFFFFFF, sample >> 32, number, seed & 0xFFFFFFFF, seed >> 32)


def noise_halves(seed: int, sample: Tensor, elements: int) -> Tensor:
    """Return the 16-bit halves of the noise stream, int64 ``[n, elements]`` (FORMAT.md sections 1 and 3)."""
    blocks = torch.arange((elements + 7) // 8, device=sample.device).expand(len(sample), -1)
    found = torch.stack(words(seed, Stream.NOISE, sample[:, None].expand_as(blocks), blocks), dim=2)
    halves = torch.stack((found & 0xFFFF, found >> 16), dim=3)
    return halves.view(len(sample), -1)[:, :elements]


def philox4x32(c0: Tensor, c1: Tensor, c2: Tensor, c3: Tensor, k0: int, k1: int) -> Four:
    """Return Philox4x32-10 of counters under one key; all words are int64 below 2^32.

    The 64-bit products overflow a signed integer, harmlessly: their bits are those of the unsigned product.
    """
    for _ in range(10):
        p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = (
            ((p1 >> 32) & 0xFFFFFFFF) ^ c1 ^ k0,
            p1 & 0xFFFFFFFF,
            ((p0 >> 32) & 0xFFFFFFFF) ^ c3 ^ k1,
            p0 & 0xFFFFFFFF,
        )
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3
