"""Checkpoints whose networks change pictures, without a training."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from umsn import checkpoint
from umsn.nets import build_network, config_of, network_config, network_name, variant_config


def save(folder: Path, variant: str = "umsn") -> Path:
    """Write ``umsn.safetensors`` of size ``quick``, with an S-Net, and return its path."""
    torch.manual_seed(0)
    networks = {
        "network": build_network(*variant_config(variant, "quick")),
        "s_net": build_network("snet", network_config("snet", "quick")),
    }
    # As networks begin, the output is nearly the input: any export would do.
    with torch.no_grad():
        for p in networks["network"].parameters():
            p.add_(0.02 * torch.randn_like(p))
    return _written(folder / "umsn.safetensors", networks)


def save_guided(folder: Path) -> Path:
    """Write ``kernel-guided.safetensors`` of size ``quick`` and return its path."""
    torch.manual_seed(0)
    name = "kernel-guided"
    return _written(
        folder / f"{name}.safetensors", {"network": build_network(name, network_config(name, "quick"))}
    )


def _written(path: Path, networks: dict[str, nn.Module]) -> Path:
    tensors, made = {}, {}
    for name, network in networks.items():
        tensors |= checkpoint.with_prefix(name, network.state_dict())
        made[name] = {"name": network_name(network), "config": config_of(network)}
    checkpoint.save(path, "networks", tensors, {"networks": made})
    return path
