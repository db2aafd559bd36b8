"""VGG-Face features (Parkhi, Vedaldi, Zisserman 2015) from a weights file that the user has.

Three files are in circulation, all of the same network:

- `vgg_face_dag.pth` (Albanie's conversion from MatConvNet): `conv1_1.weight`, ...; RGB;
- `VGG_FACE.pth`, a sequential network converted from the authors' Torch file: `0.weight`, `2.weight`,
  `5.weight`, ...; BGR, as the Caffe original;
- `vgg_face.mat` or `vgg-face.mat` (MatConvNet): filters [height, width, in, out]; RGB.

The network wants values from 0 to 255 less the mean colour, not divided by anything. The BGR file's first
filters are turned round on loading, so that the features of the three files are the same and the input is
always RGB in [0, 1]. A file's weights are read without running anything in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.io
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blurgen.errors import InputError

MEAN_RGB: Final = (129.186279296875, 104.76238250732422, 93.59396362304688)
"""Mean colour of VGG-Face's training images, grey levels from 0 to 255."""

# (name, input channels, output channels, position in the sequential file)
_LAYERS: Final = (
    ("conv1_1", 3, 64, 0),
    ("conv1_2", 64, 64, 2),
    ("conv2_1", 64, 128, 5),
    ("conv2_2", 128, 128, 7),
    ("conv3_1", 128, 256, 10),
    ("conv3_2", 256, 256, 12),
    ("conv3_3", 256, 256, 14),
    ("conv4_1", 256, 512, 17),
    ("conv4_2", 512, 512, 19),
    ("conv4_3", 512, 512, 21),
    ("conv5_1", 512, 512, 24),
    ("conv5_2", 512, 512, 26),
    ("conv5_3", 512, 512, 28),
)
_DEPTH: Final = {"relu1_2": 2, "pool5": len(_LAYERS)}
_REMEDY: Final = "give vgg_face_dag.pth, VGG_FACE.pth or MatConvNet's vgg_face.mat"

_Weights = dict[str, tuple[Tensor, Tensor]]


class VGGFace(nn.Module):
    """RGB images [N, 3, H, W] in [0, 1] -> features: relu1_2 [N, 64, H, W] or pool5 [N, 512, H//32, W//32].

    Its weights are frozen; gradients reach the images.
    """

    mean: Tensor

    def __init__(self, layer: str = "relu1_2") -> None:
        super().__init__()
        if layer not in _DEPTH:
            raise ValueError(f"Argument 'layer' must be one of {', '.join(_DEPTH)}, not {layer!r}.")
        self.layer = layer
        for name, inputs, outputs, _ in _LAYERS[: _DEPTH[layer]]:
            self.add_module(name, nn.Conv2d(inputs, outputs, 3, padding=1))
        self.register_buffer("mean", torch.tensor(MEAN_RGB).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        x = image * 255 - self.mean
        block = "1"
        for name, conv in self.named_children():
            if name[4] != block:
                x, block = F.max_pool2d(x, 2), name[4]
            x = F.relu(conv(x))
        return F.max_pool2d(x, 2) if self.layer == "pool5" else x


def load_vgg_face(path: str | os.PathLike[str], layer: str = "relu1_2") -> VGGFace:
    """VGG-Face up to `layer` ("relu1_2" for the perceptual loss, "pool5" for the VGG-Face distance).

    Raises InputError, one line that names the file, if it is missing, is of none of the three kinds, or a
    layer in it has another shape than VGG-Face's.
    """
    path = Path(path)
    net = VGGFace(layer)
    weights = _read(path)
    for name, inputs, outputs, _ in _LAYERS[: _DEPTH[layer]]:
        weight, bias = weights[name]
        for what, found, wanted in (
            ("weight", tuple(weight.shape), (outputs, inputs, 3, 3)),
            ("bias", tuple(bias.shape), (outputs,)),
        ):
            if found != wanted:
                raise InputError(
                    f"'{path}' is not VGG-Face: {name}.{what} has shape {found}, not {wanted}; {_REMEDY}."
                )
        net.get_submodule(name).load_state_dict({"weight": weight, "bias": bias})
    return net


def _read(path: Path) -> _Weights:
    """Weight and bias of every convolution the file has, for RGB, float32."""
    if not path.is_file():
        raise InputError(f"There is no VGG-Face weights file '{path}'; {_REMEDY}.")
    weights = _read_mat(path) if path.suffix.lower() == ".mat" else _read_state_dict(path)
    missing = [name for name, *_ in _LAYERS if name not in weights]
    if missing:
        raise InputError(f"'{path}' is not VGG-Face: it has no layer {missing[0]}; {_REMEDY}.")
    return weights


def _read_state_dict(path: Path) -> _Weights:
    state = _guarded(path, lambda: torch.load(path, map_location="cpu", weights_only=True))
    if not isinstance(state, dict):
        raise InputError(f"'{path}' holds a {type(state).__name__} and no table of weights; {_REMEDY}.")
    sequential = "0.weight" in state
    weights: _Weights = {}
    for name, _, _, position in _LAYERS:
        key = str(position) if sequential else name
        weight, bias = state.get(f"{key}.weight"), state.get(f"{key}.bias")
        if isinstance(weight, Tensor) and isinstance(bias, Tensor):
            weights[name] = weight.float(), bias.float()
    if sequential and "conv1_1" in weights:
        weight, bias = weights["conv1_1"]
        weights["conv1_1"] = weight.flip(1), bias
    return weights


def _read_mat(path: Path) -> _Weights:
    content = _guarded(path, lambda: scipy.io.loadmat(path, struct_as_record=False, squeeze_me=True))
    # Oxford's own file wraps the layers in a struct 'net'; MatConvNet's has them on top.
    layers = content.get("layers", getattr(content.get("net"), "layers", ()))
    weights: _Weights = {}
    for layer in np.atleast_1d(np.asarray(layers, dtype=object)):
        name = getattr(layer, "name", None)
        # Files from before MatConvNet 1.0-beta9 have two fields in place of one.
        pair = getattr(layer, "weights", None)
        if pair is None:
            pair = getattr(layer, "filters", None), getattr(layer, "biases", None)
        if isinstance(name, str) and name.startswith("conv") and len(pair) == 2:
            filters, bias = (np.asarray(a) for a in pair)
            if filters.ndim == 4 and filters.dtype.kind == "f" and bias.dtype.kind == "f":
                weights[name] = (
                    torch.from_numpy(filters.transpose(3, 2, 0, 1).astype(np.float32)),
                    torch.from_numpy(bias.astype(np.float32).reshape(-1)),
                )
    return weights


def _guarded(path: Path, read: Callable[[], Any]) -> Any:
    """What `read` reads; InputError if the file cannot be read, whatever is wrong with it."""
    try:
        return read()
    except Exception as error:  # whatever a reader of foreign files may raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"'{path}' cannot be read as VGG-Face weights ({reason}); {_REMEDY}.") from error
