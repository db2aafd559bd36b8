"""What a training left beside a checkpoint is found, checked and read, or said to be missing."""

from __future__ import annotations

import json

import pytest

from blurgen.errors import InputError
from umsn import checkpoint
from umsn.nets import BNet, config_of
from umsn.nets.base import BNetConfig
from umsn.runs import folder as run_folder


def save_bnet(path, **about):
    network = BNet(BNetConfig(width=2, blocks=1, last_width=2))
    networks = {"network": {"name": "bnet", "config": config_of(network)}}
    tensors = checkpoint.with_prefix("network", network.state_dict())
    checkpoint.save(path, "networks", tensors, {"networks": networks, **about})
    return path


def save_variant(folder, variant, named=None):
    stage = {"kind": "umsn", "image": "blurry", "name": variant}
    path = folder / f"{named or variant}.safetensors"
    return save_bnet(path, stage=stage, variant=variant, masks="snet")


def test_a_checkpoint_says_what_it_is(tmp_path):
    found = run_folder.describe(save_variant(tmp_path, "umsn"))
    assert (found.of.kind, found.of.image, found.variant) == ("umsn", "blurry", "umsn")
    assert (found.stage, found.masks) == ("umsn", "snet")


def test_one_that_does_not_is_of_no_stage(tmp_path):
    found = run_folder.describe(save_bnet(tmp_path / "a.safetensors"))
    assert (found.of.kind, found.variant) == ("", "")
    with pytest.raises(InputError, match="is of stage '', not of variant 'umsn'"):
        run_folder.require_variant(found.path, "umsn")


@pytest.mark.parametrize("about", [{"stage": 7}, {"stage": {"kind": 3}}, {"iteration": "7"}])
def test_one_that_talks_nonsense_is_refused(tmp_path, about):
    with pytest.raises(InputError, match=r"a\.safetensors: (stage|stage\.kind|iteration): must be "):
        run_folder.describe(save_bnet(tmp_path / "a.safetensors", **about))


def test_rows_of_the_ablation_come_from_folders_and_by_name(tmp_path):
    paths = {v: save_variant(tmp_path, v) for v in ("umsn", "bnet", "nested")}
    other = tmp_path / "other=1.safetensors"
    rows = run_folder.ablation_rows([str(tmp_path), f"mine={other}"])
    assert list(rows.items()) == [
        ("bnet", paths["bnet"]),
        ("nested", paths["nested"]),
        ("umsn", paths["umsn"]),
        ("mine", other),
    ]


def test_a_file_under_another_variant_s_name_is_refused(tmp_path):
    save_variant(tmp_path, "masks", named="nested")
    with pytest.raises(InputError, match="is of variant 'masks', not of variant 'nested'"):
        run_folder.ablation_rows([str(tmp_path)])


def test_what_a_training_kept_is_found_by_iteration(tmp_path):
    stage = {"kind": "umsn", "image": "blurry", "name": "umsn"}
    last = save_bnet(tmp_path / "umsn.safetensors", stage=stage, variant="umsn", iteration=900)
    trained = run_folder.describe(last)
    assert trained.iteration == 900 and run_folder.kept_checkpoints(trained) == {}
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in (
        "umsn-000400",
        "umsn-000040",
        "umsn-000900",
        "umsn-no-confidence-000040",
        "umsn-000100.part",
    ):
        (folder / f"{name}.safetensors").write_bytes(b"")
    found = run_folder.kept_checkpoints(trained)
    assert found == {40: folder / "umsn-000040.safetensors", 400: folder / "umsn-000400.safetensors"}
    save_bnet(found[40], stage=stage, variant="umsn", iteration=40)
    run_folder.require_moment(found[40], trained, 40)
    for about in (
        {"stage": stage, "variant": "umsn", "iteration": 41},
        {"stage": stage, "variant": "nested", "iteration": 40},
        {"stage": {**stage, "name": "bnet"}, "variant": "umsn", "iteration": 40},
    ):
        save_bnet(found[40], **about)
        with pytest.raises(InputError, match=r"umsn-000040\.safetensors is of stage .* take it away"):
            run_folder.require_moment(found[40], trained, 40)


@pytest.mark.parametrize(
    ("name", "about"),
    [
        ("seed", {"seed": 2}),
        ("data", {"data": {"seed": 4}}),
        ("starts_from", {"starts_from": {"segmentation": "b"}}),
        ("differences", {"stage": {"kind": "umsn", "name": "umsn", "differences": {"step_every": 2}}}),
    ],
)
def test_a_kept_network_of_another_training_is_refused(tmp_path, name, about):
    stage = {"kind": "umsn", "name": "umsn", "differences": {"step_every": 1}}
    same = {"stage": stage, "seed": 1, "data": {"seed": 3}, "starts_from": {"segmentation": "a"}}
    last = save_bnet(tmp_path / "umsn.safetensors", **same, iteration=900)
    trained = run_folder.describe(last)
    kept = run_folder.kept_path(tmp_path, "umsn", 40)
    kept.parent.mkdir()
    save_bnet(kept, **same, iteration=40)
    assert run_folder.kept_checkpoints(trained) == {40: kept}
    run_folder.require_moment(kept, trained, 40)
    save_bnet(kept, **{**same, **about}, iteration=40)
    with pytest.raises(InputError, match=rf"is of another training than .* \({name}\); take it away"):
        run_folder.require_moment(kept, trained, 40)


def test_the_log_is_read_whatever_was_left_in_it(tmp_path):
    assert run_folder.log_lines(tmp_path, "umsn") == []
    lines = [
        {"stage": "umsn", "event": "start"},
        {"stage": "umsn", "iteration": 40, "loss": 2.0},
        {"stage": "bnet", "iteration": 20, "loss": 1.0},
        {"stage": "umsn", "iteration": 20, "loss": 3.0},
    ]
    text = "\n".join(map(json.dumps, lines)) + '\n[1]\n{"stage": "umsn", "iterat'
    (tmp_path / "metrics.jsonl").write_text(text)
    assert [one["iteration"] for one in run_folder.log_lines(tmp_path, "umsn")] == [20, 40]
    (tmp_path / "metrics.jsonl").write_bytes(b"\xff\xfe\n" + text.encode())
    assert [one["iteration"] for one in run_folder.log_lines(tmp_path, "umsn")] == [20, 40]
