"""Checkpoints: safetensors with JSON beside the tensors. Nothing in them can run.

A file appears under its name whole or not at all. The safetensors header holds ``umsn``, a JSON object:
``format`` ("umsn-checkpoint"), ``version`` (1), ``kind`` and what the writer adds. Kinds: ``networks`` are
finished networks, everything needed to use them; ``training`` is a training to be continued.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn

from blurgen.errors import InputError
from blurgen.files.atomic import write_file
from umsn.nets import build_network

FORMAT: Final = "umsn-checkpoint"
VERSION: Final = 1


def save(
    path: str | os.PathLike[str], kind: str, tensors: Mapping[str, Tensor], about: dict[str, Any]
) -> None:
    """Write a checkpoint, whole or not at all.

    ``about`` is JSON-able. Raises InputError when the folder cannot be written or the disk is full.
    """
    header = {"format": FORMAT, "version": VERSION, "kind": kind, **about}
    # Tied or strided tensors are not for safetensors: every one is written out on its own.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    data = serialise(plain, metadata={"umsn": json.dumps(header, sort_keys=True)})
    write_file(path, data)


def load(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors (on the CPU) and the header of a checkpoint of one kind.

    Raises InputError when the file is missing, damaged, foreign, of a newer version or of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such checkpoint.")
    foreign = f"{path} is not a umsn checkpoint; give a .safetensors file written by 'umsn train'."
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            about = json.loads((file.metadata() or {}).get("umsn", "null"))
            if not isinstance(about, dict) or about.get("format") != FORMAT:
                raise InputError(foreign)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, RecursionError, OSError) as error:
        raise InputError(f"{foreign} (Damaged or of another kind.)") from error
    if about.get("version") != VERSION:
        raise InputError(
            f"{path} is a umsn checkpoint of version {about.get('version')}; this umsn reads {VERSION}."
        )
    if about.get("kind") != kind:
        raise InputError(f"{path} holds '{about.get('kind')}', not '{kind}'; {_REMEDY[kind]}.")
    return tensors, about


_REMEDY: Final = {
    "networks": "give the checkpoint of a stage, such as RUN/umsn.safetensors",
    "training": "give the state of a training, such as RUN/umsn.state.safetensors",
}


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ``tensors`` with ``prefix.`` before each name."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def under_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with ``prefix.``, without it."""
    return {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}.")
    }


def fill(network: nn.Module, tensors: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Give ``network`` (which may be on the meta device) the weights ``tensors``.

    Raises InputError naming the first that is missing, extra, or of another shape or type.
    """
    wanted = network.state_dict()
    for name in sorted(wanted.keys() | tensors.keys()):
        if name not in tensors:
            raise InputError(f"{path}: '{name}' is missing; the checkpoint is of another network.")
        if name not in wanted:
            raise InputError(f"{path}: '{name}' is not part of the network that the checkpoint names.")
        found, expected = (f"{t.dtype} {list(t.shape)}" for t in (tensors[name], wanted[name]))
        if found != expected:
            raise InputError(
                f"{path}: '{name}' is {found}, expected {expected}; the checkpoint is of another network."
            )
    network.load_state_dict(dict(tensors), assign=True)


def load_networks(path: str | os.PathLike[str], device: torch.device) -> dict[str, nn.Module]:
    """Return the networks of a stage's checkpoint by name (``network``, ``s_net``), ready for use.

    Raises InputError when the file is missing, damaged, foreign, of another network than it says, or of a
    training that diverged.
    """
    tensors, about = load(path, "networks")
    networks = {}
    try:
        # On the meta device, so that the sizes a file claims take no memory before its tensors prove them.
        with torch.device("meta"):
            for name, made in about["networks"].items():
                networks[name] = build_network(made["name"], made["config"])
    except (KeyError, TypeError, AttributeError, InputError) as error:
        raise InputError(f"{path} does not say which networks it holds ({error}).") from error
    for name, network in networks.items():
        fill(network, under_prefix(name, tensors), path)
        if not all(torch.isfinite(p).all() for p in network.parameters()):
            raise InputError(f"{path} holds weights that are NaN or infinite; train it again.")
        network.eval().requires_grad_(False).to(device)
    if "network" not in networks:
        raise InputError(f"{path} does not say which network it is of.")
    return networks
