"""CN: how well a class of an image has been deblurred (section III-E, Fig. 6). Used in training only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from umsn.nets.checks import EXPANSION, require_positive
from umsn.nets.folded import FOLD, fold, pad_to_multiple

_LEAK = 0.1


@dataclass(frozen=True)
class ConfidenceNetConfig:
    """The defaults are the widths of the authors' network; the paper gives none."""

    width: int = 16
    stages: int = 4
    folded: bool = False
    """Work at a quarter of the resolution, on folded images, as the compact networks do."""
    repeats_third: bool = False
    """Apply the third stage's convolutions twice and the fourth's never, as the released code does."""

    def __post_init__(self) -> None:
        require_positive(width=self.width, stages=self.stages)
        if self.repeats_third and self.stages != 4:
            raise ValueError(f"Argument 'repeats_third' needs four stages, not {self.stages}.")


class ConfidenceStage(nn.Module):
    """[N, n, H, W] -> [N, n, H, W]: 1x1 (n -> 6n), 3x3 (6n -> 6n), 3x3 (6n -> 2n), shortcut, 1x1 (2n -> n).

    A ResBlock(n, 2n) without dilation and without instance normalisation, brought back to n channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        out, inner = 2 * width, 2 * width * EXPANSION
        self.conv1 = nn.Conv2d(width, inner, 1)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1)
        self.conv3 = nn.Conv2d(inner, out, 3, padding=1)
        self.shortcut = nn.Conv2d(width, out, 1, bias=False)
        self.transition = nn.Conv2d(out, width, 1)

    def forward(self, x: Tensor, *, convolutions_of: ConfidenceStage) -> Tensor:
        """`convolutions_of` is the stage, mostly this one, whose convolutions the transition follows."""
        x = _rectified(x)
        its = convolutions_of
        branch = its.conv3(_rectified(its.conv2(_rectified(its.conv1(x)))))
        return self.transition(_rectified(branch + its.shortcut(x)))


def _rectified(x: Tensor) -> Tensor:
    """ReLU with a leak: without normalisation before it, a plain one can die and leave C the same for all."""
    return F.leaky_relu(x, _LEAK)


class ConfidenceNet(nn.Module):
    """Masked output and masked target, [N, 3, H, W] each -> confidence C [N] in (0, 1].

    Four stages, with pooling in between, and the mean over the image.

    The loss is smallest where C = min(1, lambda / L): C is a matter of how large the error is. Hence two
    things that the released code does otherwise: there is no instance normalisation, which would divide the
    size of the error out of every layer, and the output is linear in the logarithm of the pooled features,
    so that C proportional to 1 / L is the simplest thing to learn. The weights start there: the first layer
    as one of the difference of its two images, the last with C falling as the error grows. (The released
    code also fits 128x128 images only, and applies its third convolutions twice and its fourth never: with
    `repeats_third` so does this, and the fourth stage has only its 1x1 transition to learn.)
    """

    def __init__(self, config: ConfidenceNetConfig = ConfidenceNetConfig()) -> None:
        super().__init__()
        self.config = config
        self._image_channels = 3 * (FOLD * FOLD if config.folded else 1)
        self.first = nn.Conv2d(2 * self._image_channels, config.width, 3, padding=1)
        self.stages = nn.ModuleList(ConfidenceStage(config.width) for _ in range(config.stages - 1))
        self.head = nn.Linear(config.width, 1)
        self._start_from_the_error()

    @torch.no_grad()
    def _start_from_the_error(self) -> None:
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
                if conv.bias is not None:
                    nn.init.zeros_(conv.bias)
        images = self._image_channels
        self.first.weight[:, images:] = -self.first.weight[:, :images]
        nn.init.constant_(self.head.weight, -1 / self.config.width)
        nn.init.constant_(self.head.bias, math.log(0.01))

    def forward(self, masked_output: Tensor, masked_target: Tensor) -> Tensor:
        """C [N] in (0, 1], float32."""
        return self.log_confidence(masked_output, masked_target).exp()

    def log_confidence(self, masked_output: Tensor, masked_target: Tensor) -> Tensor:
        """log C [N] <= 0, float32; finite where C itself would round to 0."""
        images = [masked_output, masked_target]
        if self.config.folded:
            images = [fold(pad_to_multiple(image, FOLD)) for image in images]
        pair = torch.cat(images, dim=1)
        x = self.first(pair.contiguous(memory_format=torch.channels_last))
        for i, stage in enumerate(self.stages):
            x = F.avg_pool2d(x, 2, ceil_mode=True)
            repeat = self.config.repeats_third and i == len(self.stages) - 1
            x = stage(x, convolutions_of=self.stages[i - 1] if repeat else stage)
        pooled = x.float().abs().mean(dim=(2, 3))
        with torch.autocast(pooled.device.type, enabled=False):
            return F.logsigmoid(self.head(torch.log(pooled + 1e-4))).squeeze(1)

    def per_class(self, output: Tensor, target: Tensor, masks: Tensor) -> Tensor:
        """log C [N, 4] of every class of every image.

        Args:
            output: deblurred images, float [N, 3, H, W].
            target: clean images, alike.
            masks: classes of the clean images, float [N, 4, H, W].
        """
        count, classes = masks.shape[:2]
        masked = [(masks.unsqueeze(2) * images.unsqueeze(1)).flatten(0, 1) for images in (output, target)]
        return self.log_confidence(*masked).view(count, classes)
