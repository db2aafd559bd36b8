"""Checkpoints come back exactly, or are refused in one line."""

from __future__ import annotations

import json
import os
import resource
import struct
import time

import pytest
import torch
from fuzz_readers import check, damaged, damages, the_settings
from hypothesis import given, seed
from safetensors.torch import save_file
from torch import nn

from blurgen.errors import InputError
from umsn import checkpoint
from umsn.checkpoint import load_networks
from umsn.nets import build_network, config_of
from umsn.runs import folder as run_folder

CPU = torch.device("cpu")
TINY = {"width": 2, "blocks": 1, "last_width": 2}


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


# --- half precision ---------------------------------------------------------------------------------------


def save_bnet(path, config=None, *, half=False, **about):
    torch.manual_seed(0)
    network = build_network("bnet", TINY)
    made = {"name": "bnet", "config": config_of(network) | (config or {})}
    tensors = checkpoint.with_prefix("network", network.state_dict())
    checkpoint.save(path, "networks", tensors, {"networks": {"network": made}, **about}, half=half)
    return network


def test_half_precision_is_half_as_large_and_comes_back_as_float32(tmp_path):
    network = save_bnet(tmp_path / "whole.safetensors")
    save_bnet(tmp_path / "half.safetensors", half=True)
    found = load_networks(tmp_path / "half.safetensors", CPU)["network"]
    for name, expected in network.state_dict().items():
        assert found.state_dict()[name].dtype == torch.float32
        assert torch.equal(found.state_dict()[name], expected.half().float())
    forms = checkpoint.read_header(tmp_path / "half.safetensors", "networks").forms
    assert {dtype for dtype, _ in forms.values()} == {torch.float16}


def test_numbers_too_large_for_half_precision_are_named(tmp_path):
    tensors = {"a": torch.ones(2, dtype=torch.int64), "b": torch.tensor([1e6])}
    with pytest.raises(InputError, match="'b' has numbers too large for half precision"):
        checkpoint.save(tmp_path / "a.safetensors", "networks", tensors, {}, half=True)
    assert not list(tmp_path.iterdir())


# --- files that mean harm ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"blocks": 10_000_000}, "'blocks' must be from 1 to 64, not 10,000,000"),
        ({"width": 10_000_000}, "'width' must be from 1 to 4,096"),
        ({"blocks": 64}, "is missing; the checkpoint is of another network"),
        ({"width": 4_096}, "the checkpoint is of another network"),
    ],
)
def test_a_network_larger_than_its_tensors_is_refused_at_once(tmp_path, config, message):
    path = tmp_path / "bomb.safetensors"
    save_bnet(path, config)
    start = time.process_time()
    with pytest.raises(InputError, match=message):
        load_networks(path, CPU)
    assert time.process_time() - start < 5


def test_networks_by_the_thousand_are_not_built(tmp_path):
    path = tmp_path / "bomb.safetensors"
    made = {"name": "bnet", "config": TINY}
    about = {"networks": {str(number): made for number in range(20_000)}}
    checkpoint.save(path, "networks", {"a": torch.ones(1)}, about)
    start = time.process_time()
    with pytest.raises(InputError, match="length <= 8"):
        load_networks(path, CPU)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("claimed", [0, 1, 10**7, 2**40, 2**64 - 1])
def test_a_header_out_of_proportion_is_not_read(tmp_path, claimed):
    path = tmp_path / "bomb.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", claimed) + b'{"a": ')
        file.truncate(2 << 30)  # takes no room on the disk
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"bomb\.safetensors is not a umsn checkpoint"):
        load_networks(path, CPU)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # in kB


def test_what_a_checkpoint_says_is_read_without_its_tensors(tmp_path, monkeypatch):
    save_bnet(tmp_path / "umsn.safetensors", variant="bnet")
    monkeypatch.setattr(checkpoint, "read_tensors", None)
    assert run_folder.describe(tmp_path / "umsn.safetensors").variant == "bnet"


def test_a_damaged_checkpoint_is_refused_or_read_within_bounds(tmp_path):
    path = tmp_path / "umsn.safetensors"
    save_bnet(path)
    sound = path.read_bytes()

    @seed(0)
    @given(ways=damages(len(sound)))
    @the_settings(150)
    def run(ways):
        path.write_bytes(damaged(sound, ways))
        try:
            load_networks(path, CPU)
        except InputError as error:
            check(error, tmp_path)

    run()
