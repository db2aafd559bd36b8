"""The networks of the ablation study (Table VI), all equally large, and the three sizes there are."""

from __future__ import annotations

import itertools
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any, Final

import torch

from umsn.nets.base import BNet, BNetConfig
from umsn.nets.checks import default_inner
from umsn.nets.compact import (
    CompactBNet,
    CompactBNetConfig,
    CompactFirstStageConfig,
    CompactSNetConfig,
    CompactUMSN,
    CompactUMSNConfig,
)
from umsn.nets.confidence import ConfidenceNetConfig
from umsn.nets.first_stage import FirstStageConfig
from umsn.nets.folded import default_inner as compact_inner
from umsn.nets.kernel_guided import KernelGuidedConfig
from umsn.nets.registry import count_parameters
from umsn.nets.segmentation import SNetConfig
from umsn.nets.umsn import UMSN, UMSNConfig

SIZES: Final = ("paper", "compact", "quick")
"""`paper`: Appendix A. `compact`: the same parts at a quarter of the resolution (``umsn.nets.compact``), for
hours on a processor; `quick`: those, narrower, for minutes."""

VARIANTS: Final = ("bnet", "masks", "nested", "umsn-no-confidence", "umsn")
"""The rows of Table VI, in order."""

KERNEL_GUIDED: Final = "kernel-guided"
"""What is not in the paper: the network that estimates the kernel (``umsn.nets.kernel_guided``)."""

TOLERANCE: Final = 0.005
"""How far apart the variants' parameter counts may lie, as a share of UMSN's."""

# What learned most in the same time on a processor; docs/networks.md has what was measured.
_COMPACT: Final[dict[str, dict[str, Any]]] = {
    "compact": {"widths": (64, 128, 256), "blocks": (1, 2, 3)},
    "quick": {"widths": (32, 48, 64), "blocks": (1, 1, 1)},
}
_S_NETS: Final[dict[str, dict[str, Any]]] = {
    "compact": {"widths": (32, 64, 128), "blocks": (1, 1, 2)},
    "quick": {"widths": (32, 48, 64), "blocks": (1, 1, 1)},
}
_CLASSES: Final[dict[str, dict[str, Any]]] = {
    "compact": {"class_width": 32, "class_blocks": 2},
    "quick": {"class_width": 16, "class_blocks": 1},
}
_KERNEL_GUIDED: Final[dict[str, dict[str, Any]]] = {
    "compact": {},
    "quick": {
        "widths": (32, 48, 64),
        "blocks": (1, 1, 1),
        "estimator_widths": (32, 48, 64),
        "lag_widths": (16, 32, 64),
        "lag_blocks": (1, 1, 1),
    },
}
_CONFIDENCE_WIDTHS: Final = {"compact": 8, "quick": 4}


def network_config(name: str, size: str = "paper") -> dict[str, Any]:
    """The complete configuration of "snet", "bnet", "first-stage", "umsn" or "confidence" in one of `SIZES`.

    "kernel-estimator" and "kernel-guided" are there in all but the paper's size.
    The first-stage network's F-Net always fits the UMSN of the same size.
    """
    _require("size", size, SIZES)
    configs = _paper_configs() if size == "paper" else _compact_configs(size)
    _require("name", name, tuple(configs))
    return asdict(configs[name])


def _paper_configs() -> dict[str, Any]:
    umsn = UMSNConfig()
    return {
        "snet": SNetConfig(),
        "bnet": BNetConfig(),
        "first-stage": FirstStageConfig(
            umsn.class_width, umsn.class_blocks, umsn.class_channels, umsn.last_width, umsn.class_inner
        ),
        "umsn": umsn,
        "confidence": ConfidenceNetConfig(),
    }


def _compact_configs(size: str) -> dict[str, Any]:
    umsn = CompactUMSNConfig(**_COMPACT[size], **_CLASSES[size])
    guided = KernelGuidedConfig(**_KERNEL_GUIDED[size])
    return {
        "snet": CompactSNetConfig(**_S_NETS[size]),
        "bnet": CompactBNetConfig(**_COMPACT[size]),
        "first-stage": CompactFirstStageConfig(width=umsn.class_width, blocks=umsn.class_blocks),
        "umsn": umsn,
        "confidence": ConfidenceNetConfig(width=_CONFIDENCE_WIDTHS[size], folded=True),
        "kernel-estimator": guided.estimator,
        KERNEL_GUIDED: guided,
    }


def variant_config(variant: str, size: str = "paper") -> tuple[str, dict[str, Any]]:
    """Network name and configuration of a row of Table VI, with as many parameters as UMSN of that size.

    Section IV-C: "B-Net and UMSN are configured to have the same number of learnable parameters by setting
    appropriate number of output channels in the intermediate convolutional layers of the ResBlock." So UMSN
    keeps its numbers, and the other variants get more channels inside their ResBlocks.
    The last two variants are one network, trained with and without confidence.
    """
    _require("variant", variant, VARIANTS)
    if variant.startswith("umsn"):
        return "umsn", network_config("umsn", size)
    parts = {"masks": variant != "bnet", "nested": variant == "nested"}
    return "bnet", asdict(_enlarged(size, **parts))


@lru_cache
def _enlarged(size: str, *, masks: bool, nested: bool) -> BNetConfig | CompactBNetConfig:
    """The B-Net of that size with more channels inside its ResBlocks, to be as large as UMSN.

    Those at the lowest resolution first, where channels cost least time; in steps as coarse as will do, for
    processors want channel numbers divisible by 16 or 8. Another ResBlock, a small one, makes up the rest.
    """
    plain: BNetConfig | CompactBNetConfig
    if size == "paper":
        plain = BNetConfig(masks=masks, nested=nested)
        inner = list(default_inner(plain.width, plain.blocks, plain.last_width))
        low, rest = range(1, 1 + plain.blocks), 1 + plain.blocks
    else:
        plain = CompactBNetConfig(**_COMPACT[size], masks=masks, nested=nested)
        inner = list(compact_inner(plain.widths, plain.blocks))
        first = sum(plain.blocks[:-1])
        low, rest = range(first, first + plain.blocks[-1]), len(inner) - 1
    network: Any = BNet if size == "paper" else CompactBNet
    with torch.device("meta"):
        target = count_parameters(UMSN() if size == "paper" else CompactUMSN(_compact_configs(size)["umsn"]))
        for step, places in itertools.product((32, 16, 8, 4, 2, 1), (low, (rest,))):
            for place in itertools.cycle(places):
                inner[place] += step
                config = replace(plain, inner=tuple(inner))
                found = count_parameters(network(config))
                if abs(found - target) <= TOLERANCE * target:
                    return config
                if found > target:
                    inner[place] -= step
                    break
    raise ValueError(f"No numbers of inner channels make {plain} as large as UMSN of size {size}.")


def _require(argument: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"Argument '{argument}' must be one of {', '.join(allowed)}, not {value!r}.")
