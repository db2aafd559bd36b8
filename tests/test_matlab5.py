"""MATLAB v5 files are read as scipy reads them, whatever type, order of bytes and compression they have."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from blurgen.files.bounded import Budget
from blurgen.kernels.matlab5 import NotMatlab, variables


def read(path):
    content = path.read_bytes()
    budget = Budget(str(path), len(content))
    return {variable.name: variable.read(budget) for variable in variables(content)}


def same(ours, theirs):
    if theirs.dtype == object:
        cells = theirs.ravel(order="F")
        return len(ours) == len(cells) and all(map(same, ours, cells))
    if theirs.dtype.kind not in "biuf":
        return ours is None
    return ours.shape == theirs.shape and np.array_equal(ours, theirs)


@pytest.mark.parametrize("compress", [True, False])
def test_as_scipy_reads_it(tmp_path, compress):
    random = np.random.default_rng(1)
    types = ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
    written = {f"k_{kind}": (random.random((3, 4, 2)) * 100).astype(kind) for kind in types}
    cells = np.empty((2, 3), object)
    inner = np.empty((1, 2), object)
    inner[0] = [np.eye(3), np.zeros((0, 0))]
    cells.ravel()[:] = [np.arange(n * n).reshape(n, n) for n in range(1, 6)] + [inner]
    written |= {"cells": cells, "one": 7.5, "no": np.zeros((3, 0)), "yes": np.eye(4) > 0}
    others = {"text": "words", "complex": np.ones((3, 3), complex), "struct": {"a": 1}}
    savemat(tmp_path / "k.mat", written | others, do_compression=compress)
    ours, theirs = read(tmp_path / "k.mat"), loadmat(tmp_path / "k.mat")
    assert set(ours) == set(written)
    for name in written:
        assert same(ours[name], theirs[name]), name


def test_the_other_order_of_bytes(tmp_path):
    numbers = np.arange(12.0).reshape(3, 4, order="F")
    tag = struct.pack(">II", 6, 8) + struct.pack(">II", 6, 0) + struct.pack(">IIii", 5, 8, 3, 4)
    tag += struct.pack(">HHc3x", 1, 1, b"k") + struct.pack(">II", 9, 96) + numbers.T.astype(">f8").tobytes()
    content = b"MATLAB 5.0".ljust(124) + b"\x01\x00MI" + struct.pack(">II", 14, len(tag)) + tag
    (tmp_path / "k.mat").write_bytes(content)
    assert np.array_equal(loadmat(tmp_path / "k.mat")["k"], numbers)
    assert np.array_equal(read(tmp_path / "k.mat")["k"], numbers)


def test_what_is_no_such_file_is_told():
    for content in (b"", b"hello", bytes(200), b"MATLAB 5.0".ljust(124) + b"\x00\x01XX"):
        with pytest.raises(NotMatlab):
            list(variables(content))
