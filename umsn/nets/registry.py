"""Networks by name, and how a checkpoint stores and rebuilds them.

A network's configuration is a frozen dataclass, JSON-able field by field:

    net = build_network("umsn", {"width": 16, "blocks": 2})
    network_name(net), config_of(net)      # what a checkpoint keeps
    build_network(name, config)            # the same network again; unknown keys are refused
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

import msgspec
from torch import nn

from blurgen.errors import InputError
from blurgen.files.strict_json import convert
from umsn.nets.base import BNet, BNetConfig
from umsn.nets.compact import (
    CompactBNet,
    CompactBNetConfig,
    CompactFirstStage,
    CompactFirstStageConfig,
    CompactSNet,
    CompactSNetConfig,
    CompactUMSN,
    CompactUMSNConfig,
)
from umsn.nets.confidence import ConfidenceNet, ConfidenceNetConfig
from umsn.nets.first_stage import FirstStage, FirstStageConfig
from umsn.nets.kernel_estimator import KernelEstimator, KernelEstimatorConfig
from umsn.nets.kernel_guided import KernelGuided, KernelGuidedConfig
from umsn.nets.segmentation import SNet, SNetConfig
from umsn.nets.umsn import UMSN, UMSNConfig

NETWORKS: Final[dict[str, tuple[type[nn.Module], type]]] = {
    "snet": (SNet, SNetConfig),
    "bnet": (BNet, BNetConfig),
    "first-stage": (FirstStage, FirstStageConfig),
    "umsn": (UMSN, UMSNConfig),
    "confidence": (ConfidenceNet, ConfidenceNetConfig),
}
"""Name -> (network, its configuration), as the paper draws them; the names are those of checkpoints."""

COMPACT: Final[dict[str, tuple[type[nn.Module], type]]] = {
    "snet": (CompactSNet, CompactSNetConfig),
    "bnet": (CompactBNet, CompactBNetConfig),
    "first-stage": (CompactFirstStage, CompactFirstStageConfig),
    "umsn": (CompactUMSN, CompactUMSNConfig),
}
"""The same for configurations whose field ``form`` is ``compact``."""

BEYOND: Final[dict[str, tuple[type[nn.Module], type]]] = {
    "kernel-estimator": (KernelEstimator, KernelEstimatorConfig),
    "kernel-guided": (KernelGuided, KernelGuidedConfig),
}
"""Those that are not in the paper."""


def build_network(name: str, config: Mapping[str, Any] | None = None) -> nn.Module:
    """The network called `name`, with freshly drawn weights. Fields missing in `config` have their defaults.

    Raises InputError for an unknown name, an unknown field or a value of the wrong type or out of range:
    the configuration may come from a file.
    """
    known = NETWORKS | BEYOND
    if name not in known:
        raise InputError(f"There is no network '{name}'; there are {', '.join(known)}.")
    values, where = dict(config or {}), f"The configuration of network '{name}'"
    network, kind = (COMPACT if name in COMPACT and "form" in values else known)[name]
    for key in values.keys() - {field.name for field in fields(kind)}:
        raise InputError(f"{where} has an unknown field '{key}'.")
    return network(convert(values, kind, where))


def network_name(net: nn.Module) -> str:
    """The name under which `build_network` makes networks of this type; ValueError if it makes none."""
    for name, (network, _) in (*NETWORKS.items(), *COMPACT.items(), *BEYOND.items()):
        if type(net) is network:
            return name
    raise ValueError(
        f"Argument 'net' must be one of {', '.join(NETWORKS | BEYOND)}, not {type(net).__name__}."
    )


def config_of(net: nn.Module) -> dict[str, Any]:
    """The configuration of a network as JSON-able values, complete: defaults are spelt out."""
    network_name(net)
    return msgspec.json.decode(msgspec.json.encode(net.config))


def count_parameters(net: nn.Module) -> int:
    """How many numbers there are to learn."""
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
