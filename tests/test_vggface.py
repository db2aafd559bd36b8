"""The three files of VGG-Face in circulation give the same features; other files are refused in one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
import torch.nn.functional as F
from torch import Tensor

from blurgen.errors import InputError
from umsn.vggface import VGGFace, load_vgg_face

SIZES = [
    ("conv1_1", 3, 64),
    ("conv1_2", 64, 64),
    ("conv2_1", 64, 128),
    ("conv2_2", 128, 128),
    ("conv3_1", 128, 256),
    ("conv3_2", 256, 256),
    ("conv3_3", 256, 256),
    ("conv4_1", 256, 512),
    ("conv4_2", 512, 512),
    ("conv4_3", 512, 512),
    ("conv5_1", 512, 512),
    ("conv5_2", 512, 512),
    ("conv5_3", 512, 512),
]
Weights = dict[str, tuple[Tensor, Tensor]]


@pytest.fixture(scope="module")
def weights() -> Weights:
    """A network of VGG-Face's shape, its filters for RGB."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: (
            torch.randn(outputs, inputs, 3, 3, generator=generator) / (4.5 * inputs) ** 0.5,
            torch.randn(outputs, generator=generator),
        )
        for name, inputs, outputs in SIZES
    }


def write_dag(path: Path, weights: Weights) -> None:
    state = {f"{name}.weight": weight for name, (weight, _) in weights.items()}
    state |= {f"{name}.bias": bias for name, (_, bias) in weights.items()}
    torch.save(state | {"fc6.weight": torch.zeros(2, 2)}, path)


def write_sequential(path: Path, weights: Weights) -> None:
    """Convolutions, ReLUs and poolings numbered in order; filters for BGR."""
    state, position, block = {}, 0, "1"
    for name, (weight, bias) in weights.items():
        if name[4] != block:
            position, block = position + 1, name[4]
        state[f"{position}.weight"] = weight[:, [2, 1, 0]] if name == "conv1_1" else weight
        state[f"{position}.bias"] = bias
        position += 2
    torch.save(state, path)


def layer_structs(weights: Weights) -> list[dict[str, object]]:
    layers: list[dict[str, object]] = []
    for name, (weight, bias) in weights.items():
        pair = np.empty((1, 2), dtype=object)
        pair[0, 0], pair[0, 1] = weight.permute(2, 3, 1, 0).numpy(), bias.numpy()[:, None]
        layers += [
            {"name": name, "type": "conv", "weights": pair, "pad": np.ones(4), "stride": 1.0},
            {"name": name.replace("conv", "relu"), "type": "relu"},
        ]
    return layers


def write_matconvnet(path: Path, weights: Weights) -> None:
    cells = np.empty((1, 2 * len(weights)), dtype=object)
    cells[0, :] = layer_structs(weights)
    scipy.io.savemat(path, {"layers": cells, "meta": {"inputs": 1.0}})


def write_oxford_mat(path: Path, weights: Weights) -> None:
    """As in vgg_face_matconvnet.tar.gz: everything in a struct `net`."""
    cells = np.empty((1, 2 * len(weights)), dtype=object)
    cells[0, :] = layer_structs(weights)
    scipy.io.savemat(path, {"net": {"layers": cells}})


def write_old_mat(path: Path, weights: Weights) -> None:
    """As before MatConvNet 1.0-beta9: fields `filters` and `biases`."""
    layers = [
        {"name": name, "type": "conv", "filters": w.permute(2, 3, 1, 0).numpy(), "biases": b.numpy()[None]}
        for name, (w, b) in weights.items()
    ]
    cells = np.empty((1, len(layers)), dtype=object)
    cells[0, :] = layers
    scipy.io.savemat(path, {"layers": cells})


WRITERS: dict[str, Callable[[Path, Weights], None]] = {
    "vgg_face_dag.pth": write_dag,
    "VGG_FACE.pth": write_sequential,
    "vgg-face.mat": write_matconvnet,
    "vgg_face.mat": write_oxford_mat,
    "old.mat": write_old_mat,
}


def expected_features(weights: Weights, image: Tensor, layer: str) -> Tensor:
    """VGG-16's convolutions written out: RGB, 0 to 255, less the mean colour."""
    x = image * 255 - torch.tensor([129.186279, 104.762383, 93.593964]).view(1, 3, 1, 1)
    last_of_block = {"conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3"}
    for name, (weight, bias) in weights.items():
        x = F.conv2d(x, weight, bias, padding=1).clamp(min=0)
        if layer == "relu1_2" and name == "conv1_2":
            return x
        if name in last_of_block:
            x = F.max_pool2d(x, 2)
    return x


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_the_same_features(name: str, weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / name
    WRITERS[name](path, weights)
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    relu1_2 = load_vgg_face(path, "relu1_2")(image)
    assert relu1_2.shape == (1, 64, 32, 32)
    torch.testing.assert_close(relu1_2, expected_features(weights, image, "relu1_2"), rtol=1e-4, atol=1e-2)
    pool5 = load_vgg_face(str(path), "pool5")(image)
    assert pool5.shape == (1, 512, 1, 1)
    torch.testing.assert_close(pool5, expected_features(weights, image, "pool5"), rtol=1e-3, atol=1e-1)


def test_gradients_reach_the_image_and_not_the_weights() -> None:
    net, image = VGGFace(), torch.rand(1, 3, 8, 8, requires_grad=True)
    net(image).sum().backward()
    assert image.grad.any()
    assert all(not p.requires_grad and p.grad is None for p in net.parameters())


def refused(path: Path, message: str) -> None:
    with pytest.raises(InputError) as error:
        load_vgg_face(path)
    text = str(error.value)
    assert str(path) in text and message in text and "give vgg_face_dag.pth" in text
    assert "\n" not in text


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere.pth", "There is no VGG-Face weights file")


@pytest.mark.parametrize("name", ["vgg.pth", "vgg.mat"])
@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04" + bytes(200), bytes(300)])
def test_a_file_that_is_none_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    refused(path, "")


def test_a_truncated_file_is_refused(weights: Weights, tmp_path: Path) -> None:
    for name in ("vgg_face_dag.pth", "vgg-face.mat"):
        path = tmp_path / name
        WRITERS[name](path, dict(list(weights.items())[:2]))
        path.write_bytes(path.read_bytes()[:5000])
        refused(path, "")


def test_weights_of_another_network_are_refused_by_shape(weights: Weights, tmp_path: Path) -> None:
    wider = weights | {"conv1_2": (torch.zeros(96, 64, 3, 3), torch.zeros(96))}
    for name in ("vgg_face_dag.pth", "VGG_FACE.pth", "vgg-face.mat"):
        path = tmp_path / name
        WRITERS[name](path, wider)
        refused(path, "conv1_2.weight has shape (96, 64, 3, 3), not (64, 64, 3, 3)")


@pytest.mark.parametrize("name", WRITERS)
def test_a_missing_layer_is_named(name: str, weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / name
    WRITERS[name](path, dict(list(weights.items())[:3]))
    refused(path, "it has no layer conv2_2")


def test_a_table_that_is_no_table_of_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.pth"
    torch.save([torch.zeros(3)], path)
    refused(path, "holds a list and no table of weights")
    torch.save({"conv1_1.weight": "text", "conv1_1.bias": 3}, path)
    refused(path, "it has no layer conv1_1")
    scipy.io.savemat(tmp_path / "other.mat", {"layers": np.eye(3)})
    refused(tmp_path / "other.mat", "it has no layer conv1_1")


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    path, mark = tmp_path / "bomb.pth", tmp_path / "exploded"
    torch.save({"0.weight": Bomb(mark)}, path)
    refused(path, "cannot be read")
    assert not mark.exists()


def test_an_unknown_layer_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("'layer' must be one of relu1_2, pool5, not 'fc7'")):
        VGGFace("fc7")
