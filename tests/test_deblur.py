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
from umsn.nets import build_network, config_of, network_name
from umsn.patches.batches import to_image
from umsn.restore.deblur import LABEL_OF_CLASS, Deblurrer, Segmenter, in_tiles, picture_files, process_files

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
        with pytest.raises(InputError, match="does not say which network"):
            Deblurrer(path, "cpu")


def test_tiles_leave_no_seam():
    # A function that looks 3 pixels far gives the same in tiles as in one piece.
    def smooth(image):
        return torch.nn.functional.avg_pool2d(image, 7, stride=1, padding=3, count_include_pad=False)

    image = to_image(picture(201, 150), torch.device("cpu"))
    whole, tiled = smooth(image), in_tiles(smooth, image, tile=64, overlap=32)
    assert torch.allclose(whole[..., 8:-8, 8:-8], tiled[..., 8:-8, 8:-8], atol=0.02)
    assert torch.allclose(in_tiles(lambda x: x, image, tile=64, overlap=16), image, atol=1e-6)


def test_no_tile_is_larger_than_allowed():
    seen = []
    in_tiles(lambda x: seen.append(x.shape[-2:]) or x, torch.zeros(1, 3, 1000, 513), tile=512, overlap=64)
    assert max(max(shape) for shape in seen) == 512
    assert len(seen) == 3 * 2


def test_wrong_pixels_are_named(trained):
    with pytest.raises(ValueError, match=r"'pixels' must be uint8 \[H, W, 3\], not float64 \[4, 4, 3\]"):
        Deblurrer(trained, "cpu")(np.zeros((4, 4, 3)))


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(InputError, match="--device cuda:77 cannot be used here"):
        usable_device("cuda:77")
    with pytest.raises(InputError, match="--device gpu cannot be used here"):
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
    done = list(process_files(lambda pixels: pixels, [tmp_path], tmp_path / "out"))
    assert [(path.name, error is None) for path, error in done] == [
        ("a.png", True),
        ("b.png", False),
        ("c.png", True),
    ]
    assert "b.png" in str(done[1][1])
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
        assert [e for _, e in process_files(np.copy, [tmp_path / "a.png"], out, keep_metadata=keep)] == [None]
        with Image.open(out / "a.png") as result:
            assert (np.asarray(result) == upright).all()
            expected = {0x010F: "A camera", 0x0112: 1} if keep else {}
            assert dict(result.getexif()) == expected
            assert result.info.get("icc_profile") == (b"a profile" if keep else None)


def test_no_picture_is_lost(tmp_path):
    Image.fromarray(picture(20, 30)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a.png would be replaced by its own result; choose another --out"):
        list(process_files(lambda pixels: pixels, [tmp_path / "a.png"], tmp_path))
    Image.fromarray(picture(20, 30)).save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"a.png and .*a.jpg would both become"):
        list(process_files(lambda pixels: pixels, [tmp_path], tmp_path / "out"))
    assert not (tmp_path / "out").exists()
