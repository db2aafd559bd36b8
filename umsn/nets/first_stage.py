"""F-Net-i and the first-stage network, which learns to deblur one semantic class (section III-C)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from umsn.nets.blocks import (
    DenseConnections,
    ResBlock,
    downsample,
    pad_to_even,
    residual_head,
    upsample,
)
from umsn.nets.checks import require_positive
from umsn.nets.trunk import DenseBlocks


@dataclass(frozen=True)
class FirstStageConfig:
    """Appendix A by default."""

    width: int = 16
    blocks: int = 3
    out_channels: int = 8
    last_width: int = 16
    inner: int = 0
    """Channels inside every ResBlock; 0: 3n in ResBlock(m, n)."""

    def __post_init__(self) -> None:
        require_positive(
            width=self.width, blocks=self.blocks, out_channels=self.out_channels, last_width=self.last_width
        )
        if self.inner < 0:
            raise ValueError(f"Argument 'inner' must not be negative, not {self.inner}.")


class FNet(nn.Module):
    """Blurry image and mask of one class, [N, 4, H, W] -> class features [N, out_channels, H/2, W/2].

    ResBlock(., 16) - AvgPool - ResBlock(16, 16) x3 - ResBlock(16, 8), dense (Appendix A). H and W are even.

    Differs from the paper: Appendix A writes ResBlock(3, 16), which leaves no room for the mask that section
    III-C says is an input; here, as in the released code, the first block has 4 input channels. The image is
    not multiplied by the mask, for a blurred pixel's light lies on both sides of a class's border.
    """

    def __init__(self, width: int, blocks: int, out_channels: int, inner: int = 0, groups: int = 1) -> None:
        super().__init__()
        self.first = ResBlock(3 + 1, width, inner=inner, raw_input=True, groups=groups)
        self.blocks = DenseBlocks(
            width, width, blocks + 1, inner=(inner,) * (blocks + 1), out_channels=out_channels, groups=groups
        )

    def forward(self, image_and_mask: Tensor) -> Tensor:
        return self.halved(self.first(image_and_mask))

    def halved(self, first: Tensor) -> Tensor:
        """What the F-Net makes of its first block's output [N, width, H, W]."""
        return self.blocks(downsample(first))


class FirstStage(nn.Module):
    """Blurry image [N, 3, H, W] and mask [N, 1, H, W] of one class -> image with that class deblurred.

    F-Net-i - Upsample - ResBlock(8, 16) - Conv3x3(16, 3), added to the blurry image. The order is that of
    B-Net, to which Appendix A calls this network similar: at full resolution the last ResBlock, which is
    also given the picture and what the first made of it, can draw edges one pixel wide. Trained on images in
    which only that class is blurred (section IV-A.2a).

    Differs from the released code, whose first-stage networks (0.36 million parameters against 0.26 here)
    have other widths, a Tanh and two more convolutions, and never see class-isolated images.
    """

    def __init__(self, config: FirstStageConfig = FirstStageConfig()) -> None:
        super().__init__()
        self.config = config
        self.f_net = FNet(config.width, config.blocks, config.out_channels, config.inner)
        self.skip = DenseConnections((config.width, 3 + 1), config.out_channels)
        self.last = ResBlock(config.out_channels, config.last_width, inner=config.inner)
        self.head = residual_head(config.last_width)

    def forward(self, blurry: Tensor, mask: Tensor) -> Tensor:
        height, width = blurry.shape[-2:]
        x = pad_to_even(torch.cat((blurry, mask.to(blurry.dtype)), dim=1))
        first = self.f_net.first(x)
        features = self.last(self.skip(upsample(self.f_net.halved(first)), (first, x)))
        return blurry + self.head(features)[..., :height, :width]
