"""ResBlock, the building block of every network of the paper (section III-A, Fig. 4).

Conv l x l (p, q) in the figures is `NormReLUConv`: instance normalisation, ReLU, convolution.

Every module here can hold several networks side by side: with `groups=4`, all channel numbers are per
group, and the tensors carry the groups' channels one group after another. Concatenating the parameters of
four modules along their first axis gives the parameters of the grouped module, name by name; `UMSN` runs
its four F-Nets that way, in one pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from umsn.nets.checks import EXPANSION, require_size


class InstanceNorm(nn.Module):
    """Each channel of each image to mean 0 and variance 1, then a learned scale and shift per channel.

    The scale and shift are learned because a ReLU follows: without them, every ReLU of the network
    would cut at its channel's mean. The authors' released code does not learn them.

    With `over_batch` the mean and variance are those of all images of the batch, and there are no running
    averages: batch normalisation that is never put in eval mode.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.over_batch = False
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        if self.over_batch:
            return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)
        if x.is_cuda:
            return self.by_moments(x)
        # One group per channel is instance normalisation. PyTorch's own instance_norm gives the same numbers,
        # but copies to another memory layout first and is several times slower on the CPU.
        return F.group_norm(x, x.shape[1], self.weight, self.bias, self.eps)

    def by_moments(self, x: Tensor) -> Tensor:
        """The same, spelt out: what PyTorch has for a GPU copies to float32, channels first, and back.

        The moments are float32; the output has the type and the memory layout of the input.
        """
        with torch.autocast(x.device.type, enabled=False):
            variance, mean = torch.var_mean(x.float(), (2, 3), correction=0, keepdim=True)
            scale = self.weight[:, None, None] * torch.rsqrt(variance + self.eps)
            return (x * scale + (self.bias[:, None, None] - mean * scale)).to(x.dtype)


class SharedSeparableConv(nn.Module):
    """One 3x3 filter shared by all channels, initialised to the identity (Fig. 4; Wang and Ji 2018).

    Ahead of a dilated convolution it mixes each pixel with the neighbours that the dilation would skip,
    which removes gridding.
    """

    def __init__(self, groups: int = 1) -> None:
        super().__init__()
        weight = torch.zeros(groups, 1, 3, 3)
        weight[:, :, 1, 1] = 1
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        weight = self.weight.repeat_interleave(channels // self.weight.shape[0], dim=0)
        if x.is_cuda and torch.compiler.is_compiling():
            return shifted_sum(x, weight)
        return F.conv2d(x, weight, padding=1, groups=channels)


def shifted_sum(x: Tensor, weight: Tensor) -> Tensor:
    """A depthwise 3x3 convolution of [N, C, H, W] with [C, 1, 3, 3] as nine products added up.

    A compiler makes one loop of them. On a GPU the gradient of a depthwise convolution's weights takes longer
    than a dense convolution.
    """
    height, width = x.shape[-2:]
    padded, weight = F.pad(x, (1, 1, 1, 1)), weight.to(x.dtype)
    products = [
        weight[:, :, i, j, None] * padded[..., i : i + height, j : j + width]
        for i in range(3)
        for j in range(3)
    ]
    return sum(products[1:], products[0])


class NormReLUConv(nn.Module):
    """Instance normalisation, ReLU, convolution: Conv l x l (p, q) of the paper's figures.

    A dilated convolution has a shared separable one ahead of it. With `raw_input` the normalisation and
    the ReLU are left out.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        *,
        dilation: int = 1,
        raw_input: bool = False,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.norm = None if raw_input else InstanceNorm(groups * in_channels)
        self.smooth = SharedSeparableConv(groups) if dilation > 1 else None
        self.conv = nn.Conv2d(
            groups * in_channels,
            groups * out_channels,
            size,
            padding=size // 2 * dilation,
            dilation=dilation,
            groups=groups,
            bias=False,
        )
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="linear" if raw_input else "relu")

    def forward(self, x: Tensor) -> Tensor:
        if self.norm is not None:
            x = F.relu(self.norm(x))
        if self.smooth is not None:
            x = self.smooth(x)
        return self.conv(x)


class DenseTransition(nn.Module):
    """1x1 convolution of a block's input concatenated with its output, to `out_channels` (section III-B).

    The convolution of a concatenation is the sum of two convolutions; as such it needs no copy and works
    in groups.
    """

    def __init__(self, in_channels: int, out_channels: int, groups: int = 1) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.groups = groups
        fan_in = in_channels + out_channels
        self.weight = nn.Parameter(torch.randn(groups * out_channels, fan_in, 1, 1) / math.sqrt(fan_in))

    def forward(self, block_input: Tensor, block_output: Tensor) -> Tensor:
        of_input, of_output = self.weight.tensor_split([self.in_channels], dim=1)
        return F.conv2d(block_input, of_input, groups=self.groups) + F.conv2d(
            block_output, of_output, groups=self.groups
        )


class DenseConnections(nn.Module):
    """1x1 convolutions of maps that earlier blocks gave, added to [N, width, H, W] (section III-B).

    "All convolutional layers are densely connected" is so without another channel in any block: the
    convolution of a concatenation is the sum of convolutions, and the width stays Appendix A's.
    """

    def __init__(self, channels: Sequence[int], width: int, groups: int = 1) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(groups * each, groups * width, 1, groups=groups, bias=False) for each in channels
        )
        for conv in self.convs:
            # Together as large as what they are added to, at most.
            nn.init.normal_(conv.weight, std=1 / math.sqrt(sum(channels)))  # type: ignore[arg-type]

    def forward(self, x: Tensor, earlier: Sequence[Tensor]) -> Tensor:
        for conv, maps in zip(self.convs, earlier, strict=True):
            x = x + conv(maps)
        return x


class ResBlock(nn.Module):
    """ResBlock(m, n): [N, m, H, W] -> [N, n, H, W] (Fig. 4).

    1x1 (m -> 3n), 3x3 (3n -> 3n), 3x3 of dilation 2 (3n -> 3n), 3x3 of dilation 2 (3n -> n), plus a 1x1
    shortcut (m -> n); then the dense connection. `inner` replaces 3n (section IV-C makes networks equally
    large that way).

    The path through shortcut and transition is linear: what instance normalisation takes out of the
    branch, brightness and contrast, goes on beside it.

    Differs from the paper: the first block of a network (`raw_input`) does not normalise and rectify what
    it is given. A ReLU on the normalised picture would hide everything darker than its mean from the
    branch, and normalising masks would make a mask of all ones and one of all zeros the same.

    Differs from the released code, which leaves the smoothing out ahead of the first dilated convolution
    and puts a normalisation and a ReLU ahead of the transition.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, inner: int = 0, raw_input: bool = False, groups: int = 1
    ) -> None:
        super().__init__()
        inner = inner or EXPANSION * out_channels
        self.layers = nn.Sequential(
            NormReLUConv(in_channels, inner, 1, raw_input=raw_input, groups=groups),
            NormReLUConv(inner, inner, 3, groups=groups),
            NormReLUConv(inner, inner, 3, dilation=2, groups=groups),
            NormReLUConv(inner, out_channels, 3, dilation=2, groups=groups),
        )
        self.shortcut = nn.Conv2d(groups * in_channels, groups * out_channels, 1, groups=groups, bias=False)
        nn.init.kaiming_normal_(self.shortcut.weight, nonlinearity="linear")
        self.transition = DenseTransition(in_channels, out_channels, groups)

    def forward(self, x: Tensor) -> Tensor:
        return self.transition(x, self.layers(x) + self.shortcut(x))


def downsample(x: Tensor) -> Tensor:
    """AvgPool of Appendix A: [N, C, H, W] -> [N, C, H / 2, W / 2]."""
    return F.avg_pool2d(x, 2)


def upsample(x: Tensor) -> Tensor:
    """Upsample of Appendix A, bilinear: [N, C, H, W] -> [N, C, 2 H, 2 W]."""
    if torch.compiler.is_compiling():
        # As inductor of PyTorch 2.13 compiles interpolate in S-Net for a CPU, it lets no gradient through.
        return _doubled(_doubled(x, 2), 3)
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _doubled(x: Tensor, along: int) -> Tensor:
    """Twice as many values along one axis, each a quarter of a step from an old one, linear in between."""
    size = x.shape[along]
    before = torch.cat((x.narrow(along, 0, 1), x.narrow(along, 0, size - 1)), dim=along)
    after = torch.cat((x.narrow(along, 1, size - 1), x.narrow(along, size - 1, 1)), dim=along)
    pair = torch.stack((0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after), dim=along + 1)
    return pair.flatten(along, along + 1)


def residual_head(channels: int) -> nn.Conv2d:
    """Conv3x3(channels, 3), last layer of a deblurring network; its output is added to the blurry image.

    It is linear, so that a residual may be of any size. Its weights start small: an untrained network
    nearly returns its input, which is where learning a correction ought to start.
    """
    conv = nn.Conv2d(channels, 3, 3, padding=1)
    nn.init.normal_(conv.weight, std=0.01 / math.sqrt(9 * channels))
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def pad_to_even(x: Tensor) -> Tensor:
    """Mirror the last row and column of [N, C, H, W] where H or W is odd: a network halves and doubles them.

    Raises ValueError for images smaller than 2x2.
    """
    require_size(x)
    height, width = x.shape[-2:]
    if height % 2 == 0 and width % 2 == 0:
        return x
    return F.pad(x, (0, width % 2, 0, height % 2), mode="reflect")
