"""Checkpoints come back exactly, or are refused in one line."""

from __future__ import annotations

import json
import os

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from blurgen.errors import InputError
from umsn import checkpoint


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "umsn.safetensors"
    tensors = {"umsn.weight": torch.randn(3, 4).T, "s_net.weight": torch.ones(2, dtype=torch.uint8)}
    checkpoint.save(path, "networks", tensors, {"iteration": 7})
    return path, tensors


def test_what_is_saved_comes_back(saved):
    path, tensors = saved
    loaded, about = checkpoint.load(path, "networks")
    assert about["iteration"] == 7
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


def test_the_same_content_is_the_same_file(saved, tmp_path):
    path, tensors = saved
    again = tmp_path / "again.safetensors"
    checkpoint.save(again, "networks", tensors, {"iteration": 7})
    assert again.read_bytes() == path.read_bytes()


def test_an_interrupted_write_leaves_the_old_file(saved, monkeypatch):
    path, _ = saved
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(path, "networks", {"a": torch.ones(1)}, {})
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.safetensors: there is no such checkpoint"):
        checkpoint.load(tmp_path / "none.safetensors", "networks")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\x80\x04K\x01."),  # a pickle
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: save_file({"weight": torch.ones(2)}, path),
        lambda path: save_file({"weight": torch.ones(2)}, path, metadata={"umsn": "[["}),
        lambda path: save_file({"weight": torch.ones(2)}, path, metadata={"umsn": "[]"}),
    ],
    ids=["empty", "pickle", "truncated", "foreign", "no JSON", "no object"],
)
def test_a_foreign_or_damaged_file_is_refused(saved, spoil):
    path, _ = saved
    spoil(path)
    with pytest.raises(InputError, match=r"umsn\.safetensors is not a umsn checkpoint"):
        checkpoint.load(path, "networks")


def test_another_kind_or_version_is_refused(saved):
    path, _ = saved
    with pytest.raises(InputError, match="holds 'networks', not 'training'"):
        checkpoint.load(path, "training")
    header = {"format": checkpoint.FORMAT, "version": 99, "kind": "networks"}
    save_file({"weight": torch.ones(2)}, path, metadata={"umsn": json.dumps(header)})
    with pytest.raises(InputError, match="version 99"):
        checkpoint.load(path, "networks")


def test_another_network_is_refused_by_the_name_of_its_tensor():
    network = nn.Linear(2, 3)
    good = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    checkpoint.fill(network, good, "f")
    assert not network.weight.any()
    with pytest.raises(InputError, match="f: 'bias' is missing"):
        checkpoint.fill(network, {"weight": good["weight"]}, "f")
    with pytest.raises(InputError, match="f: 'extra' is not part of the network"):
        checkpoint.fill(network, {**good, "extra": torch.ones(1)}, "f")
    with pytest.raises(
        InputError, match=r"'weight' is torch.float32 \[2, 3\], expected torch.float32 \[3, 2\]"
    ):
        checkpoint.fill(network, {**good, "weight": good["weight"].T}, "f")
