"""What B-Net, UMSN and S-Net have in common: eight ResBlocks, six of them at half resolution (Appendix A)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from umsn.nets.blocks import DenseConnections, ResBlock, downsample, pad_to_even, upsample
from umsn.nets.checks import default_inner, require_inner, require_positive


@dataclass(frozen=True)
class TrunkConfig:
    """Appendix A by default."""

    width: int = 64
    blocks: int = 6
    last_width: int = 16
    inner: tuple[int, ...] = ()
    """Channels inside the first ResBlock, each of the `blocks` and the last; empty: 3n in ResBlock(m, n)."""

    def __post_init__(self) -> None:
        require_positive(width=self.width, blocks=self.blocks, last_width=self.last_width)
        require_inner(self.inner, self.blocks)


class Trunk(nn.Module):
    """ResBlock - AvgPool - `blocks` ResBlocks - Upsample - ResBlock: [N, C, H, W] -> [N, last_width, H, W].

    "A combination of UNet and DenseNet": every ResBlock at half resolution is given the outputs of all
    before it, and the last one, at full resolution, those of the first and the picture itself.

    `extra_channels` at half resolution can join the first ResBlock's pooled output (UMSN's F-Nets do), and so
    every block after it.
    """

    def __init__(self, in_channels: int, config: TrunkConfig, extra_channels: int = 0) -> None:
        super().__init__()
        width, blocks, last_width = config.width, config.blocks, config.last_width
        inner = config.inner or default_inner(width, blocks, last_width)
        self.first = ResBlock(in_channels, width, inner=inner[0], raw_input=True)
        self.blocks = DenseBlocks(width + extra_channels, width, blocks, inner=inner[1:-1])
        self.skip = DenseConnections((width, in_channels), width)
        self.last = ResBlock(width, last_width, inner=inner[-1])

    def forward(self, x: Tensor, extra: Tensor | None = None) -> Tensor:
        height, width = x.shape[-2:]
        x = pad_to_even(x)
        first = self.first(x)
        half = downsample(first)
        if extra is not None:
            half = torch.cat((half, extra), dim=1)
        return self.last(self.skip(upsample(self.blocks(half)), (first, x)))[..., :height, :width]


class DenseBlocks(nn.Module):
    """ResBlocks one after another, each given the outputs of all before it and what went into the first.

    [N, in_channels, H, W] -> [N, out_channels, H, W], where `out_channels` (`width` where 0) are the last
    block's. `inner` holds the channels inside each block, or one number for all.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        blocks: int,
        *,
        inner: tuple[int, ...],
        out_channels: int = 0,
        groups: int = 1,
    ) -> None:
        super().__init__()
        outputs = [width] * (blocks - 1) + [out_channels or width]
        self.blocks = nn.ModuleList(
            ResBlock(width if i else in_channels, channels, inner=inner[i], groups=groups)
            for i, channels in enumerate(outputs)
        )
        # The output of the block right before goes in as it is; the connections are those that skip blocks.
        self.dense = nn.ModuleList(
            DenseConnections((in_channels, *outputs[: i - 1]), width, groups) for i in range(1, blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        earlier: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            given = self.dense[i - 1](x, earlier) if i else x
            earlier.append(x)
            x = block(given)
        return x
