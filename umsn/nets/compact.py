"""The paper's networks of size ``compact``: the same parts, worked on folded pictures (``umsn.nets.folded``).

B-Net is a U with connections that leave every level; UMSN gives it the features of four F-Nets, one per
semantic class, at half of its resolution, as in Fig. 2; nested residuals, masks and the sum with the blurry
picture are as in the networks of the paper's size (``umsn.nets.base``, ``umsn.nets.umsn``), and they are
called alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blurgen.labels import CLASS_NAMES
from umsn.nets.checks import require_positive, require_size
from umsn.nets.folded import (
    FOLD,
    MIDDLE_GREY,
    Block,
    FoldedTrunk,
    convolution,
    fold,
    pad_to_multiple,
    require_trunk,
    unfold,
)

_CLASSES = len(CLASS_NAMES)
_AREA = FOLD * FOLD


@dataclass(frozen=True)
class _TrunkConfig:
    """What those of networks with a trunk begin with."""

    form: Literal["compact"] = "compact"
    widths: tuple[int, ...] = (64, 128, 256)
    """Channels at 1/4, 1/8, 1/16 of the picture's resolution, and so on."""
    blocks: tuple[int, ...] = (1, 2, 3)
    """Blocks at each of these on the way down; on the way up as many, but for the last."""
    inner: tuple[int, ...] = ()
    """Channels inside each block, in the order of their use; empty: as many as outside."""

    def __post_init__(self) -> None:
        require_trunk(self.widths, self.blocks, self.inner)


@dataclass(frozen=True)
class CompactBNetConfig(_TrunkConfig):
    """`masks` and `nested` are the second and third row of Table VI."""

    masks: bool = False
    nested: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nested and not self.masks:
            raise ValueError("Argument 'nested' must be False where 'masks' is False: it works on the masks.")


@dataclass(frozen=True)
class CompactUMSNConfig(_TrunkConfig):
    """B-Net's numbers, then those of the F-Nets."""

    class_width: int = 32
    class_blocks: int = 3
    """Blocks of each F-Net at 1/8 of the resolution."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(class_width=self.class_width, class_blocks=self.class_blocks)


@dataclass(frozen=True)
class CompactFirstStageConfig:
    """An F-Net, and what makes a picture of its features."""

    form: Literal["compact"] = "compact"
    width: int = 32
    blocks: int = 3

    def __post_init__(self) -> None:
        require_positive(width=self.width, blocks=self.blocks)


@dataclass(frozen=True)
class CompactSNetConfig(_TrunkConfig):
    """The trunk of B-Net, narrower."""

    widths: tuple[int, ...] = (32, 64, 128)
    blocks: tuple[int, ...] = (1, 1, 2)


class CompactBNet(nn.Module):
    """Blurry image [N, 3, H, W] in [0, 1] -> deblurred image [N, 3, H, W], not clamped.

    `forward` takes masks [N, 4, H, W] whether or not the configuration uses them. `class_features` [N,
    class_channels, h / 2, w / 2], with h and w those of the folded picture, are for `CompactUMSN`.
    """

    def __init__(self, config: CompactBNetConfig = CompactBNetConfig(), class_channels: int = 0) -> None:
        super().__init__()
        self.config = config
        channels = _AREA * (3 + (_CLASSES if config.masks else 0))
        self.trunk = FoldedTrunk(channels, config.widths, config.blocks, config.inner, class_channels)
        self.nested = convolution(channels, config.widths[0], 1, share=0.1) if config.nested else None
        self.head = _quiet_head(config.widths[0], 3)

    def forward(self, blurry: Tensor, masks: Tensor | None = None) -> Tensor:
        if self.config.masks and masks is None:
            raise ValueError("Argument 'masks' must be given: this network is configured to use masks.")
        folded = folded_input(blurry, masks if self.config.masks else None, FOLD * self.trunk.multiple)
        return restored(blurry, self.residual(folded))

    def residual(self, folded: Tensor, class_features: Tensor | None = None) -> Tensor:
        """What is added to the blurry picture, folded, from picture and masks, folded as well."""
        features = F.relu(self.trunk(folded, class_features))
        if self.nested is not None:
            # Nested residual learning: the trunk's maps are added to class-specific ones of the picture.
            features = features + F.relu(self.nested(folded))
        return self.head(features)


class CompactFNet(nn.Module):
    """Folded image and mask of one class, [N, 64, h, w] -> its features [N, width, h / 2, w / 2].

    Block - fold by 2 - blocks, as Appendix A's ResBlock - AvgPool - ResBlocks.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.enter = convolution(_AREA * (3 + 1), width, 3)
        self.first = Block(width, width)
        self.lower = convolution(4 * width, width, 1)
        self.blocks = nn.Sequential(*(Block(width, width) for _ in range(blocks)))

    def forward(self, folded: Tensor) -> Tensor:
        return self.halved(self.entered(folded))

    def entered(self, folded: Tensor) -> Tensor:
        """The features before the resolution is halved, [N, width, h, w]."""
        return self.first(self.enter(folded))

    def halved(self, entered: Tensor) -> Tensor:
        """What the F-Net makes of these."""
        return self.blocks(self.lower(fold(entered, 2)))


class CompactFirstStage(nn.Module):
    """Blurry image [N, 3, H, W] and mask [N, 1, H, W] of one class -> image with that class deblurred."""

    def __init__(self, config: CompactFirstStageConfig = CompactFirstStageConfig()) -> None:
        super().__init__()
        self.config = config
        self.f_net = CompactFNet(config.width, config.blocks)
        self.upper = convolution(config.width, 4 * config.width, 1)
        self.last = Block(config.width, config.width)
        self.head = _quiet_head(config.width, 3)

    def forward(self, blurry: Tensor, mask: Tensor) -> Tensor:
        entered = self.f_net.entered(folded_input(blurry, mask, 2 * FOLD))
        features = entered + unfold(self.upper(self.f_net.halved(entered)), 2)
        return restored(blurry, self.head(F.relu(self.last(features))))


class CompactUMSN(nn.Module):
    """Blurry image [N, 3, H, W] in [0, 1], masks [N, 4, H, W] -> deblurred image [N, 3, H, W], not clamped.

    The F-Nets' features join a B-Net that also sees the masks and learns nested residuals.
    """

    def __init__(self, config: CompactUMSNConfig = CompactUMSNConfig()) -> None:
        super().__init__()
        self.config = config
        self.f_nets = nn.ModuleList(
            CompactFNet(config.class_width, config.class_blocks) for _ in range(_CLASSES)
        )
        self.base = CompactBNet(
            CompactBNetConfig(
                widths=config.widths, blocks=config.blocks, inner=config.inner, masks=True, nested=True
            ),
            class_channels=_CLASSES * config.class_width,
        )

    def forward(self, blurry: Tensor, masks: Tensor) -> Tensor:
        folded = folded_input(blurry, masks, FOLD * self.base.trunk.multiple)
        return restored(blurry, self.base.residual(folded, self.class_features(folded)))

    def class_features(self, folded: Tensor) -> Tensor:
        """What the F-Nets see in picture and masks, folded: [N, 4 class_width, h / 2, w / 2]."""
        image, *masks = folded.split([3 * _AREA] + [_AREA] * _CLASSES, dim=1)
        return torch.cat(
            [f_net(torch.cat((image, mask), dim=1)) for f_net, mask in zip(self.f_nets, masks, strict=True)],
            dim=1,
        )

    def load_first_stage(self, index: int, net: CompactFirstStage) -> None:
        """Take F-Net-`index` (0 background, 1 skin, 2 features, 3 hair) from a trained first-stage network.

        Raises ValueError if its F-Net has another size than this network's.
        """
        theirs = (net.config.width, net.config.blocks)
        ours = (self.config.class_width, self.config.class_blocks)
        if theirs != ours:
            raise ValueError(
                f"The first-stage network's F-Net has width and blocks {theirs}; this UMSN needs {ours}."
            )
        self.f_nets[index].load_state_dict(net.f_net.state_dict())


class CompactSNet(nn.Module):
    """Image [N, 3, H, W] in [0, 1] -> logits [N, 4, H, W] of background, skin, features, hair."""

    def __init__(self, config: CompactSNetConfig = CompactSNetConfig()) -> None:
        super().__init__()
        self.config = config
        self.trunk = FoldedTrunk(3 * _AREA, config.widths, config.blocks, config.inner)
        self.head = _quiet_head(config.widths[0], _CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        features = self.trunk(folded_input(image, None, FOLD * self.trunk.multiple))
        return unfold(self.head(F.relu(features)).float())[..., :height, :width]


def folded_input(image: Tensor, masks: Tensor | None, multiple: int) -> Tensor:
    """Image less middle grey, and each of the masks if there are any, extended to whole multiples and folded.

    Raises ValueError for images smaller than 2x2.
    """
    require_size(image)
    parts = [image - MIDDLE_GREY]
    if masks is not None:
        parts += masks.to(image.dtype).split(1, dim=1)
    return torch.cat([fold(pad_to_multiple(part, multiple)) for part in parts], dim=1)


def restored(blurry: Tensor, folded_residual: Tensor) -> Tensor:
    """The blurry image plus what a network adds, float32 under autocast too."""
    height, width = blurry.shape[-2:]
    return blurry + unfold(folded_residual.float())[..., :height, :width]


def _quiet_head(width: int, channels: int) -> nn.Conv2d:
    """The last layer. It starts small: an untrained network nearly returns its input."""
    return convolution(width, _AREA * channels, 3, share=0.02)
