"""The networks of the ablation study (Table VI), all of one size, and the three sizes there are."""

from __future__ import annotations

import itertools
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any, Final

import torch

from umsn.nets.base import BNet, BNetConfig
from umsn.nets.checks import default_inner
from umsn.nets.confidence import ConfidenceNetConfig
from umsn.nets.first_stage import FirstStageConfig
from umsn.nets.segmentation import SNetConfig
from umsn.nets.umsn import UMSN, UMSNConfig

SIZES: Final = ("paper", "small", "quick")
"""`paper`: Appendix A. The same, narrower: `small` for an hour on a laptop's CPU, `quick` for minutes."""

VARIANTS: Final = ("bnet", "masks", "nested", "umsn-no-confidence", "umsn")
"""The rows of Table VI, in order."""

TOLERANCE: Final = 0.005
"""How far apart the variants' parameter counts may lie, as a share of UMSN's."""

# On a laptop's CPU the number of steps decides: at equal time, fewer channels learned more. The channels
# inside are such that the rows of Table VI can be made equal.
_TRUNKS: Final[dict[str, dict[str, Any]]] = {
    "paper": {},
    "small": {"width": 16, "blocks": 3, "last_width": 8, "inner": (16, 32, 32, 32, 16)},
    "quick": {"width": 8, "blocks": 2, "last_width": 8, "inner": (8, 18, 18, 8)},
}
_CLASSES: Final[dict[str, dict[str, Any]]] = {
    "paper": {},
    "small": {"class_width": 4, "class_blocks": 1, "class_channels": 4, "class_inner": 4},
    "quick": {"class_width": 2, "class_blocks": 1, "class_channels": 2, "class_inner": 2},
}
_CONFIDENCE: Final[dict[str, dict[str, Any]]] = {"paper": {}, "small": {"width": 4}, "quick": {"width": 4}}


def network_config(name: str, size: str = "paper") -> dict[str, Any]:
    """The complete configuration of "snet", "bnet", "first-stage", "umsn" or "confidence" in one of `SIZES`.

    The first-stage network's F-Net always fits the UMSN of the same size.
    """
    _require("size", size, SIZES)
    umsn = UMSNConfig(**_TRUNKS[size], **_CLASSES[size])
    configs: dict[str, Any] = {
        "snet": SNetConfig(**_TRUNKS[size]),
        "bnet": BNetConfig(**_TRUNKS[size]),
        "first-stage": FirstStageConfig(
            umsn.class_width, umsn.class_blocks, umsn.class_channels, umsn.last_width, umsn.class_inner
        ),
        "umsn": umsn,
        "confidence": ConfidenceNetConfig(**_CONFIDENCE[size]),
    }
    _require("name", name, tuple(configs))
    return asdict(configs[name])


def variant_config(variant: str, size: str = "paper") -> tuple[str, dict[str, Any]]:
    """Network name and configuration of a row of Table VI, with as many parameters as UMSN of that size.

    Section IV-C: "B-Net and UMSN are configured to have the same number of learnable parameters by setting
    appropriate number of output channels in the intermediate convolutional layers of the ResBlock." So UMSN
    keeps Appendix A's numbers, and the other variants get more channels inside their ResBlocks than 3n.
    The last two variants are one network, trained with and without confidence.
    """
    _require("variant", variant, VARIANTS)
    if variant.startswith("umsn"):
        return "umsn", network_config("umsn", size)
    umsn = UMSNConfig(**network_config("umsn", size))
    plain = BNetConfig(
        umsn.width,
        umsn.blocks,
        umsn.last_width,
        masks=variant != "bnet",
        nested=variant == "nested",
        inner=umsn.inner or default_inner(umsn.width, umsn.blocks, umsn.last_width),
    )
    return "bnet", asdict(_enlarged(plain, umsn))


@lru_cache
def _enlarged(plain: BNetConfig, umsn: UMSNConfig) -> BNetConfig:
    """`plain` with more inner channels in its ResBlocks, to be as large as UMSN.

    Those at half resolution first, where channels cost least time; in steps as coarse as will do, for
    processors want channel numbers divisible by 16 or 8. The last ResBlock, the smallest, makes up the rest.
    """
    steps = (16, 8, 4, 2, 1)
    half_resolution, last = range(1, 1 + plain.blocks), 1 + plain.blocks
    inner = list(plain.inner)
    with torch.device("meta"):
        target = _parameters(UMSN(umsn))
        for step, block in [*itertools.product(steps, half_resolution), *itertools.product(steps, (last,))]:
            inner[block] += step
            config = replace(plain, inner=tuple(inner))
            size = _parameters(BNet(config))
            if abs(size - target) <= TOLERANCE * target:
                return config
            if size > target:
                inner[block] -= step
    raise ValueError(f"No numbers of inner channels make {plain} as large as {umsn}.")


def _parameters(net: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def _require(argument: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"Argument '{argument}' must be one of {', '.join(allowed)}, not {value!r}.")
