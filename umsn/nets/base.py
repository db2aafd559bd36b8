"""B-Net, and B-Net with semantic maps and nested residuals (sections III-B, III-C; Table VI)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blurgen.labels import CLASS_NAMES
from umsn.nets.blocks import residual_head
from umsn.nets.trunk import Trunk, TrunkConfig


@dataclass(frozen=True)
class BNetConfig(TrunkConfig):
    """Appendix A by default; `masks` and `nested` are the second and third row of Table VI."""

    masks: bool = False
    """The class masks are an input, beside the blurry image."""
    nested: bool = False
    """Nested residual learning; needs `masks`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nested and not self.masks:
            raise ValueError("Argument 'nested' must be False where 'masks' is False: it works on the masks.")


class NestedResidual(nn.Module):
    """The inner of the two residual connections (section III-C, "nested residual learning").

    A 1x1 convolution of blurry image and masks, rectified, gives class-specific residual feature maps; the
    last ResBlock's output is added to them. What follows turns the sum into the residual of the image.
    The ReLU is what makes the maps class-specific: a mask can lift a pixel over its threshold or keep it
    below, where a linear map could only add the same amount to every pixel of a class.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3 + len(CLASS_NAMES), channels, 1)

    def forward(self, image_and_masks: Tensor, features: Tensor) -> Tensor:
        return features + F.relu(self.conv(image_and_masks))


class BNet(nn.Module):
    """Blurry image [N, 3, H, W] in [0, 1] -> deblurred image [N, 3, H, W], not clamped.

    ResBlock(3, 64) - AvgPool - six ResBlock(64, 64) - Upsample - ResBlock(64, 16) - Conv3x3(16, 3), dense;
    the output is added to the blurry image (Appendix A).

    `forward` takes masks [N, 4, H, W] whether or not the configuration uses them, so that every network of
    Table VI is called alike. `class_features` [N, class_channels, H/2, W/2] are for `UMSN`.
    """

    def __init__(self, config: BNetConfig = BNetConfig(), class_channels: int = 0) -> None:
        super().__init__()
        self.config = config
        self.trunk = Trunk(3 + (len(CLASS_NAMES) if config.masks else 0), config, class_channels)
        self.nested = NestedResidual(config.last_width) if config.nested else None
        self.head = residual_head(config.last_width)
        self._start_quietly()

    @torch.no_grad()
    def _start_quietly(self) -> None:
        """Begin with the picture: the trunk, as yet noise, comes in slowly.

        The last layers see the trunk's output, of the size of 1, added to maps of the picture, in which what
        matters is of the size of the noise, 0.03. The paper says nothing of how weights begin; small networks
        learn about half a decibel more this way in their first minute.
        """
        self.trunk.last.transition.weight.mul_(0.05)
        if self.nested is not None:
            self.nested.conv.weight.mul_(4)

    def forward(
        self, blurry: Tensor, masks: Tensor | None = None, class_features: Tensor | None = None
    ) -> Tensor:
        x = blurry
        if self.config.masks:
            if masks is None:
                raise ValueError("Argument 'masks' must be given: this network is configured to use masks.")
            x = torch.cat((blurry, masks.to(blurry.dtype)), dim=1)
        features = self.trunk(x, class_features)
        if self.nested is not None:
            features = self.nested(x, features)
        return blurry + self.head(features)
