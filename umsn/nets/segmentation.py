"""S-Net: which semantic class each pixel of a face shows (section III-A)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn

from blurgen.labels import CLASS_NAMES
from umsn.nets.blocks import InstanceNorm
from umsn.nets.trunk import Trunk, TrunkConfig


@dataclass(frozen=True)
class SNetConfig(TrunkConfig):
    """The defaults are those of the paper's B-Net; the paper gives no channel numbers for S-Net."""

    batch_statistics: bool = False
    """Normalise over the batch, in use as in training, as the released code's S-Net does by oversight."""


class SNet(nn.Module):
    """Image [N, 3, H, W] in [0, 1] -> logits [N, 4, H, W] of background, skin, features, hair.

    B-Net's eight ResBlocks with four class maps at the end.

    Differs from the released code, whose S-Net pools twice, normalises over the batch in its middle layers
    (and so gives masks that depend on the batch; here, in all layers, with `batch_statistics`) and repeats
    the image at half resolution: 6.19 million parameters against 5.63 here.
    """

    def __init__(self, config: SNetConfig = SNetConfig()) -> None:
        super().__init__()
        self.config = config
        self.trunk = Trunk(3, config)
        for layer in self.trunk.modules():
            if isinstance(layer, InstanceNorm):
                layer.over_batch = config.batch_statistics
        self.head = nn.Conv2d(config.last_width, len(CLASS_NAMES), 3, padding=1)
        nn.init.normal_(self.head.weight, std=0.1 / math.sqrt(9 * config.last_width))
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.trunk(image))


def segment(s_net: nn.Module | None, image: Tensor) -> Tensor:
    """Return the class maps int64 ``[N, H, W]``, 0 to 3, that S-Net finds in images ``[N, 3, H, W]``.

    Raises ValueError where there is no S-Net.
    """
    if s_net is None:
        raise ValueError("Argument 's_net' must be given: masks are to come from it.")
    return s_net(image).argmax(1)
