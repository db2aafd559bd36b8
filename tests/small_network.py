"""A checkpoint whose network changes pictures, without a training."""

from __future__ import annotations

from pathlib import Path

import torch

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
    tensors, made = {}, {}
    for name, network in networks.items():
        tensors |= checkpoint.with_prefix(name, network.state_dict())
        made[name] = {"name": network_name(network), "config": config_of(network)}
    path = folder / "umsn.safetensors"
    checkpoint.save(path, "networks", tensors, {"networks": made})
    return path
