"""Checkpoints: safetensors with JSON beside the tensors. Nothing in them can run.

A file appears under its name whole or not at all. The safetensors header holds ``umsn``, a JSON object:
``format`` ("umsn-checkpoint"), ``version`` (1), ``kind`` and what the writer adds. Kinds: ``networks`` are
finished networks, everything needed to use them; ``training`` is a training to be continued.

A file may be foreign: its header is read first, by itself and never more than ``MOST_HEADER`` of it, and
networks are held against it (``require_fit``) before a tensor is read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, TypeVar

import msgspec
import torch
from msgspec import Meta
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn

from blurgen.errors import InputError
from blurgen.files.atomic import write_file
from blurgen.files.strict_json import Record, convert
from umsn.nets import build_network

FORMAT: Final = "umsn-checkpoint"
VERSION: Final = 1

MOST_HEADER: Final = 1 << 22
"""Bytes; the state of a training of the paper's UMSN has a header of about a tenth of it."""

_DTYPES: Final = {
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "U8": torch.uint8,
    "I64": torch.int64,
}
_HALF: Final = (torch.float16, torch.bfloat16)
# In msgspec 0.19 its errors are no ValueError.
_DAMAGE: Final = (SafetensorError, msgspec.MsgspecError, ValueError, RuntimeError, OSError)

Form = tuple[object, tuple[int, ...]]
"""Type (a torch.dtype where it is one that checkpoints have) and shape of a tensor."""

_Value = TypeVar("_Value")


class Header(NamedTuple):
    """What a checkpoint says before its tensors are read."""

    about: dict[str, Any]
    forms: dict[str, Form]
    """By name of the tensor."""


class Made(Record, frozen=True):
    """What a network is made from (``umsn.nets.build_network``)."""

    name: str
    config: dict[str, Any]


_Networks = Annotated[dict[str, Made], Meta(max_length=8)]  # three are used


def save(
    path: str | os.PathLike[str],
    kind: str,
    tensors: Mapping[str, Tensor],
    about: Mapping[str, Any],
    *,
    half: bool = False,
) -> None:
    """Write a checkpoint, whole or not at all.

    ``about`` is JSON-able. With ``half``, float32 tensors are written as float16, of half the size;
    ``fill`` makes float32 of them again. Raises InputError when the folder cannot be written, the disk is
    full, or a number is too large for float16.
    """
    header = {"format": FORMAT, "version": VERSION, "kind": kind, **about}
    # Tied or strided tensors are not for safetensors: every one is written out on its own.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    if half:
        plain = {name: _halved(name, tensor, path) for name, tensor in plain.items()}
    text = msgspec.json.encode(header, order="sorted").decode()
    write_file(path, serialise(plain, metadata={"umsn": text}))


def load(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors (on the CPU) and what else a checkpoint of one kind says.

    Raises InputError when the file is missing, damaged, foreign, of a newer version or of another kind.
    """
    header = read_header(path, kind)
    return read_tensors(path), header.about


def read_header(path: str | os.PathLike[str], kind: str) -> Header:
    """Return what a checkpoint of one kind says of itself, without reading its tensors.

    Raises InputError as ``load`` does.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such checkpoint.")
    try:
        with path.open("rb") as file:
            if int.from_bytes(file.read(8), "little") > MOST_HEADER:
                raise ValueError("A header out of proportion.")
        with safe_open(path, framework="pt") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            forms = {
                name: (_DTYPES.get(dtype := part.get_dtype(), dtype), tuple(part.get_shape()))
                for name, part in parts.items()
            }
            about = msgspec.json.decode((file.metadata() or {})["umsn"], type=dict[str, Any])
        if about["format"] != FORMAT:
            raise ValueError("Of another format.")
    except (*_DAMAGE, KeyError) as error:
        raise _foreign(path) from error
    if (version := about.get("version")) != VERSION:
        raise InputError(f"{path} is a umsn checkpoint of version {version}; this umsn reads {VERSION}.")
    if about.get("kind") != kind:
        raise InputError(f"{path} holds '{about.get('kind')}', not '{kind}'; {_REMEDY[kind]}.")
    return Header(about, forms)


def made_in(header: Header, path: str | os.PathLike[str]) -> dict[str, Made]:
    """Return by name what the networks of a checkpoint are made from; InputError if it does not say."""
    made = convert(header.about.get("networks"), _Networks, f"{path}, networks")
    if "network" not in made:
        raise InputError(f"{path} does not say which network it is of.")
    return made


def read_tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint, on the CPU; InputError when the file is damaged."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except _DAMAGE as error:
        raise _foreign(path) from error


_REMEDY: Final = {
    "networks": "give the checkpoint of a stage, such as RUN/umsn.safetensors",
    "training": "give the state of a training, such as RUN/umsn.state.safetensors",
}


def _foreign(path: str | os.PathLike[str]) -> InputError:
    return InputError(
        f"{path} is not a umsn checkpoint, or is damaged; give a .safetensors file written by 'umsn train'."
    )


def _halved(name: str, tensor: Tensor, path: str | os.PathLike[str]) -> Tensor:
    if tensor.dtype != torch.float32:
        return tensor
    half = tensor.half()
    if not torch.isfinite(half).all() and torch.isfinite(tensor).all():
        raise InputError(f"{path}: '{name}' has numbers too large for half precision; keep the full one.")
    return half


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ``tensors`` with ``prefix.`` before each name."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def under_prefix(prefix: str, tensors: Mapping[str, _Value]) -> dict[str, _Value]:
    """Return the tensors, or what is said of them, whose names begin with ``prefix.``, without it."""
    return {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}.")
    }


def require_fit(network: nn.Module, forms: Mapping[str, Form], path: str | os.PathLike[str]) -> None:
    """Raise InputError unless tensors of these ``forms`` are the weights of ``network``.

    It names the first that is missing, extra, or of another shape or type; half precision will do where the
    network has float32.
    """
    wanted = network.state_dict()
    for name in sorted(wanted.keys() | forms.keys()):
        if name not in forms:
            raise InputError(f"{path}: '{name}' is missing; the checkpoint is of another network.")
        if name not in wanted:
            raise InputError(f"{path}: '{name}' is not part of the network that the checkpoint names.")
        (dtype, shape), expected = forms[name], wanted[name]
        same_type = dtype == expected.dtype or (dtype in _HALF and expected.dtype == torch.float32)
        if not same_type or shape != expected.shape:
            raise InputError(
                f"{path}: '{name}' is {dtype} {list(shape)}, expected {expected.dtype} "
                f"{list(expected.shape)}; the checkpoint is of another network."
            )


def fill(network: nn.Module, tensors: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Give ``network`` (which may be on the meta device) the weights ``tensors``, as float32.

    Raises InputError as ``require_fit`` does.
    """
    require_fit(network, {name: (t.dtype, tuple(t.shape)) for name, t in tensors.items()}, path)
    whole = {name: t.float() if t.dtype in _HALF else t for name, t in tensors.items()}
    network.load_state_dict(whole, assign=True)


def load_networks(path: str | os.PathLike[str], device: torch.device) -> dict[str, nn.Module]:
    """Return the networks of a stage's checkpoint by name (``network``, ``s_net``), ready for use.

    Raises InputError when the file is missing, damaged, foreign, of another network than it says, or of a
    training that diverged.
    """
    header = read_header(path, "networks")
    made = made_in(header, path)
    try:
        # On the meta device, so that the sizes a file claims take no memory before its tensors prove them.
        with torch.device("meta"):
            networks = {name: build_network(each.name, each.config) for name, each in made.items()}
    except (RuntimeError, InputError) as error:
        raise InputError(f"{path} does not say which networks it holds ({error}).") from error
    for name, network in networks.items():
        require_fit(network, under_prefix(name, header.forms), path)
    tensors = read_tensors(path)
    for name, network in networks.items():
        fill(network, under_prefix(name, tensors), path)
        if not all(torch.isfinite(p).all() for p in network.parameters()):
            raise InputError(f"{path} holds weights that are NaN or infinite; train it again.")
        network.eval().requires_grad_(False).to(device)
    return networks
