"""UMSN: B-Net with the features of four F-Nets, one per semantic class (section III-C, Fig. 2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from blurgen.labels import CLASS_NAMES
from umsn.nets.base import BNet, BNetConfig
from umsn.nets.blocks import pad_to_even
from umsn.nets.checks import require_positive
from umsn.nets.first_stage import FirstStage, FNet
from umsn.nets.trunk import TrunkConfig


@dataclass(frozen=True)
class UMSNConfig(TrunkConfig):
    """Appendix A by default: B-Net's numbers, then those of the F-Nets."""

    class_width: int = 16
    class_blocks: int = 3
    class_channels: int = 8
    """Feature maps that each F-Net contributes."""
    class_inner: int = 0
    """Channels inside the F-Nets' ResBlocks; 0: 3n."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(
            class_width=self.class_width, class_blocks=self.class_blocks, class_channels=self.class_channels
        )
        if self.class_inner < 0:
            raise ValueError(f"Argument 'class_inner' must not be negative, not {self.class_inner}.")

    @property
    def f_net(self) -> tuple[int, int, int, int]:
        """Width, blocks, output channels and inner channels of each F-Net, as `FNet` takes them."""
        return self.class_width, self.class_blocks, self.class_channels, self.class_inner


class UMSN(nn.Module):
    """Blurry image [N, 3, H, W] in [0, 1], masks [N, 4, H, W] -> deblurred image [N, 3, H, W], not clamped.

    The F-Nets' features join the first layer's output (ResBlock - AvgPool) of a B-Net that also sees the
    masks and learns nested residuals. Neither ground truth nor confidence is needed here.

    `grouped` is how the F-Nets run, not what they are: one pass of grouped convolutions over all four, or
    one network after another. The results agree but for rounding, the parameters are the same
    (`f_nets.0` ... `f_nets.3`), and it may be switched at any time.

    Differs from the released code, whose forward pass needs the ground truth, which trains branches that
    the loss never reaches, and which works at half resolution a second time.
    """

    def __init__(self, config: UMSNConfig = UMSNConfig(), *, grouped: bool = True) -> None:
        super().__init__()
        self.config = config
        self.grouped = grouped
        classes = len(CLASS_NAMES)
        self.f_nets = nn.ModuleList(FNet(*config.f_net) for _ in range(classes))
        self.base = BNet(
            BNetConfig(config.width, config.blocks, config.last_width, config.inner, masks=True, nested=True),
            class_channels=classes * config.class_channels,
        )
        with torch.device("meta"):
            all_f_nets = FNet(*config.f_net, groups=classes)
        # In a tuple, so that it is no submodule: it has no weights of its own.
        self._all_f_nets = (all_f_nets,)

    def forward(self, blurry: Tensor, masks: Tensor) -> Tensor:
        features = self.class_features(blurry, masks)
        return self.base(blurry, masks, features)

    def class_features(self, blurry: Tensor, masks: Tensor) -> Tensor:
        """What the F-Nets see in the image: [N, 4 class_channels, ceil(H/2), ceil(W/2)]."""
        inputs = [
            pad_to_even(torch.cat((blurry, mask), dim=1)) for mask in masks.to(blurry.dtype).split(1, dim=1)
        ]
        # In bfloat16 grouped convolutions are slow on a GPU, and on a processor oneDNN (3.12) was seen to
        # give their weights another gradient each time.
        device = blurry.device.type
        autocast = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        if not self.grouped or autocast:
            return torch.cat([f_net(x) for f_net, x in zip(self.f_nets, inputs, strict=True)], dim=1)
        return functional_call(self._all_f_nets[0], self._joined_parameters(), (torch.cat(inputs, dim=1),))

    def load_first_stage(self, index: int, net: FirstStage) -> None:
        """Take F-Net-`index` (0 background, 1 skin, 2 features, 3 hair) from a trained first-stage network.

        Raises ValueError if its F-Net has another size than this network's.
        """
        theirs = (net.config.width, net.config.blocks, net.config.out_channels, net.config.inner)
        if theirs != self.config.f_net:
            raise ValueError(
                f"The first-stage network's F-Net has width, blocks, channels and inner {theirs}; "
                f"this UMSN needs {self.config.f_net}."
            )
        self.f_nets[index].load_state_dict(net.f_net.state_dict())

    def _joined_parameters(self) -> dict[str, Tensor]:
        each = [dict(f_net.named_parameters()) for f_net in self.f_nets]
        return {name: torch.cat([parameters[name] for parameters in each]) for name in each[0]}
