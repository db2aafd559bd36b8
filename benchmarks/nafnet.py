"""NAFNet, written from its paper for comparison: Chen, Chu, Zhang, Sun, "Simple Baselines for Image
Restoration", ECCV 2022, section 4 and Fig. 3; 36 blocks as for GoPro.

With width 32 it has 17.1 million parameters, with width 16 4.35 million, as published.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ENCODER: Final = (1, 1, 1, 28)
"""Blocks at each resolution on the way down."""
MIDDLE: Final = 1
DECODER: Final = (1, 1, 1, 1)


class LayerNorm2d(nn.Module):
    """Each pixel's channels to mean 0 and variance 1, then a learned scale and shift per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def simple_gate(x: Tensor) -> Tensor:
    """Half of the channels times the other half: the network's only nonlinearity (equation 4)."""
    first, second = x.chunk(2, dim=1)
    return first * second


class NAFBlock(nn.Module):
    """Fig. 3(c): 1x1, depthwise 3x3, gate, channel attention, 1x1; then 1x1, gate, 1x1; each residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        twice = 2 * channels
        self.norms = nn.ModuleList([LayerNorm2d(channels), LayerNorm2d(channels)])
        self.widen = nn.Conv2d(channels, twice, 1)
        self.depthwise = nn.Conv2d(twice, twice, 3, padding=1, groups=twice)
        self.attention = nn.Conv2d(channels, channels, 1)
        self.mix = nn.Conv2d(channels, channels, 1)
        self.feed = nn.Conv2d(channels, twice, 1)
        self.forward_mix = nn.Conv2d(channels, channels, 1)
        self.scales = nn.ParameterList(torch.zeros(1, channels, 1, 1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = simple_gate(self.depthwise(self.widen(self.norms[0](x))))
        # Simplified channel attention (equation 6).
        y = self.mix(y * self.attention(F.adaptive_avg_pool2d(y, 1)))
        x = x + self.scales[0] * y
        y = self.forward_mix(simple_gate(self.feed(self.norms[1](x))))
        return x + self.scales[1] * y


class NAFNet(nn.Module):
    """Blurry image [N, 3, H, W] -> deblurred image; H and W are multiples of 16."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.enter, self.leave = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 3, 3, padding=1)
        self.down, self.lower, self.up, self.raised = (nn.ModuleList() for _ in range(4))
        channels = width
        for blocks in ENCODER:
            self.down.append(_blocks(channels, blocks))
            self.lower.append(nn.Conv2d(channels, 2 * channels, 2, stride=2))
            channels *= 2
        self.middle = _blocks(channels, MIDDLE)
        for blocks in DECODER:
            self.raised.append(
                nn.Sequential(nn.Conv2d(channels, 2 * channels, 1, bias=False), nn.PixelShuffle(2))
            )
            channels //= 2
            self.up.append(_blocks(channels, blocks))

    def forward(self, blurry: Tensor) -> Tensor:
        x = self.enter(blurry)
        skips = []
        for blocks, lower in zip(self.down, self.lower, strict=True):
            x = blocks(x)
            skips.append(x)
            x = lower(x)
        x = self.middle(x)
        for raised, blocks, skip in zip(self.raised, self.up, reversed(skips), strict=True):
            x = blocks(raised(x) + skip)
        return blurry + self.leave(x)


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(NAFBlock(channels) for _ in range(count)))
