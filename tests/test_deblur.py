"""A photograph of any size and kind goes in; one of the same size comes out, without ground truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from blurgen.errors import InputError
from blurgen.labels import CLASS_OF_LABEL
from umsn import checkpoint
from umsn.devices import usable_device
from umsn.nets import build_network, config_of, network_config, network_name
from umsn.patches.batches import as_pixels
from umsn.restore import tiles
from umsn.restore.deblur import LABEL_OF_CLASS, Deblurrer, Segmenter
from umsn.restore.files import picture_files, process_files, whole

TINY = {"width": 4, "blocks": 1, "last_width": 4}
TINY_UMSN = {**TINY, "class_width": 2, "class_blocks": 1, "class_channels": 2}


def save(path, **networks):
    tensors, made = {}, {}
    for name, network in networks.items():
        tensors |= checkpoint.with_prefix(name, network.state_dict())
        made[name] = {"name": network_name(network), "config": config_of(network)}
    checkpoint.save(path, "networks", tensors, {"networks": made})
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("trained")
    umsn, s_net = build_network("umsn", TINY_UMSN), build_network("snet", TINY)
    return save(folder / "umsn.safetensors", network=umsn, s_net=s_net)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("shape", [(128, 128), (31, 57), (1, 1), (2, 300), (600, 41)])
def test_any_size(trained, shape):
    blurry = picture(*shape)
    assert Deblurrer(trained, "cpu")(blurry).shape == blurry.shape
    labels = Segmenter(trained, "cpu")(blurry)
    assert labels.shape == shape
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) <= {0, 1, 6, 10}


def test_labels_of_classes_read_back_as_those_classes():
    assert CLASS_OF_LABEL[LABEL_OF_CLASS].tolist() == [0, 1, 2, 3]


def test_an_untrained_network_hardly_changes_the_picture(trained):
    # The output is the picture plus a residual, which begins near zero.
    blurry = picture(64, 64)
    difference = Deblurrer(trained, "cpu")(blurry).astype(int) - blurry
    assert np.abs(difference).max() <= 40


def test_b_net_needs_no_s_net(tmp_path):
    path = save(tmp_path / "bnet.safetensors", network=build_network("bnet", TINY))
    assert Deblurrer(path, "cpu")(picture(40, 40)).shape == (40, 40, 3)


def test_masks_without_an_s_net_are_refused(tmp_path):
    path = save(tmp_path / "umsn.safetensors", network=build_network("umsn", TINY_UMSN))
    with pytest.raises(InputError, match="has no S-Net to make masks with; train the segmentation stages"):
        Deblurrer(path, "cpu")


def test_the_checkpoint_of_another_stage_is_refused(tmp_path):
    path = save(tmp_path / "segmentation.safetensors", network=build_network("snet", TINY))
    with pytest.raises(InputError, match="network of kind 'snet'; deblurring takes that of stage 'umsn'"):
        Deblurrer(path, "cpu")
    assert Segmenter(path, "cpu")(picture(40, 40)).shape == (40, 40)
    path = save(tmp_path / "bnet.safetensors", network=build_network("bnet", TINY))
    with pytest.raises(InputError, match="holds no S-Net"):
        Segmenter(path, "cpu")


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("spoilt", ["network", "s_net", "confidence"])
def test_networks_of_a_training_that_diverged_are_refused(tmp_path, spoilt, value):
    networks = {
        "network": build_network("umsn", TINY_UMSN),
        "s_net": build_network("snet", TINY),
        "confidence": build_network("confidence", {"width": 2, "stages": 2}),
    }
    with torch.no_grad():
        next(networks[spoilt].parameters()).view(-1)[0] = value
    path = save(tmp_path / "umsn.safetensors", **networks)
    for use in (Deblurrer, Segmenter):
        with pytest.raises(InputError, match=r"umsn.safetensors holds weights that are NaN or infinite"):
            use(path, "cpu")


def test_a_checkpoint_that_contradicts_itself_is_refused(tmp_path):
    network = build_network("bnet", TINY)
    tensors = checkpoint.with_prefix("network", network.state_dict())
    made = {"name": "bnet", "config": {**config_of(network), "width": 4_000}}
    path = tmp_path / "huge.safetensors"
    checkpoint.save(path, "networks", tensors, {"networks": {"network": made}})
    with pytest.raises(InputError, match=r"expected .*; the checkpoint is of another network"):
        Deblurrer(path, "cpu")
    for networks in ({}, {"network": {"name": "gan", "config": {}}}, {"network": 3}, 7):
        checkpoint.save(path, "networks", tensors, {"networks": networks})
        with pytest.raises(InputError, match=r"networks|say which network"):
            Deblurrer(path, "cpu")


def test_a_batch_is_what_its_pictures_are_one_by_one(trained):
    pictures = np.stack([picture(40, 50, seed) for seed in range(3)])
    for network in (Deblurrer(trained, "cpu"), Segmenter(trained, "cpu")):
        together = network.batch(pictures)
        for one, result in zip(pictures, together, strict=True):
            assert np.array_equal(network(one), result)


def test_masks_that_depend_on_the_batch_are_made_one_by_one(tmp_path):
    torch.manual_seed(1)
    networks = {
        "network": build_network("umsn", TINY_UMSN),
        "s_net": build_network("snet", TINY | {"batch_statistics": True}),
    }
    deblur = Deblurrer(save(tmp_path / "umsn.safetensors", **networks), "cpu")
    pictures = np.stack([picture(40, 40, seed) // (1 + seed) for seed in range(3)])
    together = deblur.batch(pictures)
    assert all(np.array_equal(deblur(one), result) for one, result in zip(pictures, together, strict=True))


def test_windows_are_as_large_as_the_patches_of_the_training(tmp_path):
    network = build_network("bnet", TINY)
    tensors = checkpoint.with_prefix("network", network.state_dict())
    networks = {"network": {"name": "bnet", "config": config_of(network)}}
    path = tmp_path / "bnet.safetensors"
    for about, side in (
        ({"data": {"patch_size": 96}}, 96),
        ({"data": {"patch_size": "64"}}, 128),
        ({"data": {"patch_size": 10**9}}, 128),
        ({"data": [96]}, 128),
        ({}, 128),
    ):
        checkpoint.save(path, "networks", tensors, {"networks": networks, **about})
        deblur = Deblurrer(path, "cpu")
        assert deblur.tiling(300, 300) == tiles.windows(side)
        shown = []
        deblur.network.register_forward_pre_hook(lambda _, x, shown=shown: shown.append(x[0].shape[-2:]))
        deblur(picture(150, 200))
        assert set(shown) == {(side, side)}


def test_wrong_pixels_are_named(trained):
    with pytest.raises(ValueError, match=r"must be uint8 \[H, W, 3\], not float64 \[4, 4, 3\]"):
        Deblurrer(trained, "cpu")(np.zeros((4, 4, 3)))


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(InputError, match="device='cuda:77' cannot be used here"):
        usable_device("cuda:77")
    with pytest.raises(InputError, match="device='gpu' cannot be used here"):
        usable_device("gpu")


def test_folders_stand_for_their_pictures(tmp_path):
    for name in ("b.png", "a.jpg", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in picture_files([tmp_path])] == ["a.jpg", "b.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no pictures"):
        picture_files([tmp_path / "empty"])
    with pytest.raises(InputError, match="none: there is no such file or folder"):
        picture_files([tmp_path / "none"])


def test_a_bad_file_does_not_stop_the_others(tmp_path):
    for name in ("a", "c"):
        Image.fromarray(picture(20, 30)).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    done = list(process_files(whole(np.copy), [tmp_path], tmp_path / "out"))
    assert [(d.path.name, d.error is None) for d in done] == [
        ("a.png", True),
        ("b.png", False),
        ("c.png", True),
    ]
    assert "b.png" in str(done[1].error)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]
    assert (np.asarray(Image.open(tmp_path / "out" / "a.png")) == picture(20, 30)).all()


def test_what_a_photograph_says_beside_its_pixels_is_kept_on_demand(tmp_path):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "A camera", 6  # to be turned by a quarter to the right
    upright = picture(30, 20)
    stored = Image.fromarray(np.rot90(upright).copy())
    stored.save(tmp_path / "a.png", exif=exif, icc_profile=b"a profile")
    for keep in (True, False):
        out = tmp_path / str(keep)
        (done,) = process_files(whole(np.copy), [tmp_path / "a.png"], out, keep_metadata=keep)
        assert done.error is None
        with Image.open(out / "a.png") as result:
            assert (np.asarray(result) == upright).all()
            expected = {0x010F: "A camera", 0x0112: 1} if keep else {}
            assert dict(result.getexif()) == expected
            assert result.info.get("icc_profile") == (b"a profile" if keep else None)


def test_where_a_photograph_was_taken_is_kept_on_demand_only(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0)})
    Image.fromarray(picture(30, 20)).save(tmp_path / "a.jpg", exif=exif)
    with Image.open(tmp_path / "a.jpg") as source:
        assert source.getexif().get_ifd(0x8825)[1] == "N"
    for gps in (False, True):
        (done,) = process_files(
            whole(np.copy), [tmp_path / "a.jpg"], tmp_path / str(gps), keep_metadata=True, keep_gps=gps
        )
        with Image.open(done.target) as result:
            assert result.getexif()[0x010F] == "A camera"
            assert bool(result.getexif().get_ifd(0x8825)) == gps


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_picture_of_sixteen_bits_is_remarked_upon(tmp_path, name):
    Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100).save(tmp_path / name)
    (done,) = process_files(whole(np.copy), [tmp_path / name], tmp_path / "out")
    assert done.remarks == (
        f"{tmp_path / name}: has 16 bits a channel; the networks work with 8, and so the result has 8",
    )
    Image.fromarray(picture(20, 30)).save(tmp_path / name)
    (done,) = process_files(whole(np.copy), [tmp_path / name], tmp_path / "out")
    assert done.error is None and done.remarks == ()


def test_no_picture_is_lost(tmp_path):
    Image.fromarray(picture(20, 30)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a.png would be replaced by its own result; choose another folder"):
        list(process_files(whole(np.copy), [tmp_path / "a.png"], tmp_path))
    Image.fromarray(picture(20, 30)).save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"a.png and .*a.jpg would both become"):
        list(process_files(whole(np.copy), [tmp_path], tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@torch.no_grad()
def test_large_pictures_are_the_same_wherever_they_are_cut(tmp_path, monkeypatch):
    """Networks without normalisation by picture: within one grey level, and mostly to the last."""
    torch.manual_seed(0)
    umsn, s_net = (build_network(name, network_config(name, "quick")) for name in ("umsn", "snet"))
    umsn.base.head.weight.mul_(20)
    deblur = Deblurrer(save(tmp_path / "umsn.safetensors", network=umsn, s_net=s_net), "cpu", "fp32")
    monkeypatch.setattr(tiles, "TILE", 1_024)
    tiling = deblur.tiling(64, 10_000)
    assert not tiling.blended
    blurry = picture(64, tiling.side + 200)
    found = deblur(blurry)
    assert np.abs(found.astype(int) - blurry).mean() > 5
    in_one_piece = as_pixels(deblur._apply(torch.from_numpy(blurry)[None]))[0]
    assert np.abs(found.astype(int) - in_one_piece).max() <= 1
    elsewhere = np.concatenate([blurry[:, : 3 * tiles.ALIGN], blurry], axis=1)
    moved = deblur(elsewhere)[:, 3 * tiles.ALIGN :]
    border = (tiling.side - tiling.step) // 2
    assert np.abs(moved.astype(int) - found)[:, border:].max() <= 1
