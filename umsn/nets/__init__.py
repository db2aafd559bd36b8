"""The paper's networks (section III, Appendix A), and how a checkpoint stores and rebuilds them.

A network's configuration is a frozen dataclass, JSON-able field by field:

    net = build_network("umsn", {"width": 16, "blocks": 2})
    network_name(net), config_of(net)      # what a checkpoint keeps
    build_network(name, config)            # the same network again; unknown keys are refused

Images are float [N, 3, H, W] in [0, 1]; masks float [N, 4, H, W], one-hot, all zero where the class is
unknown. Any height and width from 2 up will do. Outputs are not clamped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from torch import nn

from blurgen.errors import InputError
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
from umsn.nets.variants import KERNEL_GUIDED, SIZES, VARIANTS, network_config, variant_config

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
    values = dict(config or {})
    form = values.get("form", "compact")
    if form != "compact":
        raise InputError(
            f"The configuration of network '{name}' has form = {form!r}; "
            "it must be 'compact' or not be there."
        )
    network, config_type = (COMPACT if "form" in values and name in COMPACT else known)[name]
    return network(_strict(name, config_type, values))


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
    config = dataclasses.asdict(net.config)  # type: ignore[call-overload]
    return {key: list(value) if isinstance(value, tuple) else value for key, value in config.items()}


def count_parameters(net: nn.Module) -> int:
    """How many numbers there are to learn."""
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)


def _strict(name: str, config_type: type, values: dict[str, Any]) -> Any:
    defaults = {field.name: field.default for field in dataclasses.fields(config_type)}
    for key, value in values.items():
        if key not in defaults:
            raise InputError(f"The configuration of network '{name}' has an unknown field '{key}'.")
        wanted = (list, tuple) if isinstance(defaults[key], tuple) else (type(defaults[key]),)
        if type(value) not in wanted:
            raise InputError(
                f"The configuration of network '{name}' has {key} = {value!r}; "
                f"it must be a {wanted[0].__name__}."
            )
        if wanted[0] is list:
            values[key] = tuple(value)
    try:
        return config_type(**values)
    except ValueError as error:
        raise InputError(f"The configuration of network '{name}' cannot be used: {error}") from error


__all__ = [
    "BEYOND",
    "COMPACT",
    "KERNEL_GUIDED",
    "NETWORKS",
    "SIZES",
    "UMSN",
    "VARIANTS",
    "BNet",
    "BNetConfig",
    "CompactBNet",
    "CompactBNetConfig",
    "CompactFirstStage",
    "CompactFirstStageConfig",
    "CompactSNet",
    "CompactSNetConfig",
    "CompactUMSN",
    "CompactUMSNConfig",
    "ConfidenceNet",
    "ConfidenceNetConfig",
    "FirstStage",
    "FirstStageConfig",
    "KernelEstimator",
    "KernelEstimatorConfig",
    "KernelGuided",
    "KernelGuidedConfig",
    "SNet",
    "SNetConfig",
    "UMSNConfig",
    "build_network",
    "config_of",
    "count_parameters",
    "network_config",
    "network_name",
    "variant_config",
]
