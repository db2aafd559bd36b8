"""From the checkpoint of a training to weights small enough to be given away, and a card."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from blurgen.errors import InputError
from umsn import checkpoint
from umsn.devices import usable_device

CARD: Final = ("name", "description", "training_data", "licence", "scores", "contact")
"""What a card may say, each a text: who may use the weights for what, what they saw, how good they are."""

_KEPT: Final = ("network", "s_net")
"""Networks that are kept: the confidence network is of use to a training only."""


def export_weights(
    source: str | os.PathLike[str], out: str | os.PathLike[str], card: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Write the networks of a checkpoint that its task needs in half precision, and return their card.

    The card is what is given, and ``source_sha256``, ``parameters`` and ``precision``. What the checkpoint
    says of its training stays in the header. Raises InputError for a checkpoint that cannot be used and for a
    card with other entries than ``CARD``.
    """
    unknown = sorted(set(card or {}) - set(CARD))
    if unknown:
        raise InputError(f"A card has no entry '{unknown[0]}'; there are {', '.join(CARD)}.")
    networks = checkpoint.load_networks(source, usable_device("cpu"))
    about = checkpoint.read_header(source, "networks").about
    kept = {name: networks[name] for name in _KEPT if name in networks}
    tensors = {
        full: tensor
        for name, network in kept.items()
        for full, tensor in checkpoint.with_prefix(name, network.state_dict()).items()
    }
    made: dict[str, Any] = {
        **(card or {}),
        "source_sha256": hashlib.sha256(Path(source).read_bytes()).hexdigest(),
        "parameters": {name: sum(p.numel() for p in network.parameters()) for name, network in kept.items()},
        "precision": "float16",
    }
    header = {key: value for key, value in about.items() if key not in ("format", "version", "kind")}
    header |= {"networks": {name: about["networks"][name] for name in kept}, "card": made}
    checkpoint.save(out, "networks", tensors, header, half=True)
    return made
