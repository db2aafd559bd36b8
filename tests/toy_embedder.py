"""Face embedders small enough to make in a test: the picture itself, flattened, is the vector."""

from __future__ import annotations

from pathlib import Path

import torch


def write_onnx(path: Path, shape=(1, 3, 4, 4), element_type=1, inputs=1) -> Path:
    """Write an ONNX model of one Flatten node, in the encoding of its Protocol Buffers.

    ``shape`` may hold a name in place of a number; element type 1 is float32, 2 is uint8.
    """
    names = [f"picture{i}" for i in range(inputs)]
    node = _text(1, names[0]) + _text(2, "vector") + _text(4, "Flatten")
    graph = _bytes(1, node) + _text(2, "toy")
    for name in names:
        graph += _bytes(11, _value(name, shape, element_type))
    graph += _bytes(12, _value("vector", ("n", "d"), element_type))
    path.write_bytes(_number(1, 8) + _bytes(8, _number(2, 13)) + _bytes(7, graph))
    return path


def write_torchscript(path: Path) -> Path:
    """Write a TorchScript program that flattens its input."""
    torch.jit.save(torch.jit.trace(torch.nn.Flatten(), torch.zeros(1, 3, 4, 4)), str(path))
    return path


def _value(name, shape, element_type):
    dimensions = b"".join(_bytes(1, _text(2, d) if isinstance(d, str) else _number(1, d)) for d in shape)
    tensor = _number(1, element_type) + _bytes(2, dimensions)
    return _text(1, name) + _bytes(2, _bytes(1, tensor))


def _number(field, value):
    return _varint(field << 3) + _varint(value)


def _bytes(field, value):
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field, value):
    return _bytes(field, value.encode())


def _varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])
