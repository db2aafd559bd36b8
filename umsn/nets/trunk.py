"""What B-Net, UMSN and S-Net have in common: eight ResBlocks, six of them at half resolution (Appendix A)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from umsn.nets.blocks import ResBlock, downsample, pad_to_even, upsample
from umsn.nets.checks import default_inner


class Trunk(nn.Module):
    """ResBlock - AvgPool - `blocks` ResBlocks - Upsample - ResBlock: [N, C, H, W] -> [N, last_width, H, W].

    `extra_channels` at half resolution can join the first ResBlock's pooled output (UMSN's F-Nets do).
    `inner` gives the channels inside each of the `blocks` + 2 ResBlocks, in order; 3n where empty.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        width: int,
        blocks: int,
        last_width: int,
        inner: tuple[int, ...] = (),
        extra_channels: int = 0,
    ) -> None:
        super().__init__()
        inner = inner or default_inner(width, blocks, last_width)
        self.first = ResBlock(in_channels, width, inner=inner[0], raw_input=True)
        self.blocks = nn.Sequential(
            *(
                ResBlock(width + (extra_channels if i == 0 else 0), width, inner=inner[1 + i])
                for i in range(blocks)
            )
        )
        self.last = ResBlock(width, last_width, inner=inner[-1])

    def forward(self, x: Tensor, extra: Tensor | None = None) -> Tensor:
        height, width = x.shape[-2:]
        x = downsample(self.first(pad_to_even(x)))
        if extra is not None:
            x = torch.cat((x, extra), dim=1)
        x = self.last(upsample(self.blocks(x)))
        return x[..., :height, :width]
