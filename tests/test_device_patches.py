"""Patches made by PyTorch are those of the shards, bit for bit."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
import torch
from scipy import ndimage
from small_training import build

from blurgen.errors import InputError
from blurgen.randomness.philox import Stream, words
from blurgen.synthesis.camera.settings import Camera
from umsn.patches.batches import ShardPatches, to_device
from umsn.patches.device_camera import first_of_area
from umsn.patches.device_patches import DevicePatches
from umsn.patches.device_philox import philox4x32

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(scope="module", params=["composite", "layered"])
def dataset(request, tmp_path_factory):
    return build(
        tmp_path_factory.mktemp(request.param), 1, recipe_only=True, isolation=request.param, largest=29
    )


CAMERAS = [
    Camera(clip_level=100, tone="family"),
    Camera(motion="rotation", sensor="sony-a7r3", demosaic="bilinear", clip_level=90),
    Camera(sensor="none", clip_level=256),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("isolation", ["composite", "layered"])
@pytest.mark.parametrize("camera", CAMERAS)
def test_every_byte_of_a_camera_is_that_of_the_shards(camera, isolation, device, tmp_path):
    dataset = build(tmp_path, 1, recipe_only=True, isolation=isolation, largest=13, camera=camera)
    for set_name in ("full", "isolated/skin", "isolated/features"):
        ours, theirs = DevicePatches(dataset, set_name, torch.device(device)), ShardPatches(dataset, set_name)
        rows = np.random.default_rng(0).permutation(len(ours))[:6]
        for found, expected in zip(ours.read(rows), theirs.read(rows), strict=True):
            assert torch.equal(found.cpu(), expected)


def test_areas_that_wind_are_one_and_the_first_pixel_names_them():
    random = np.random.default_rng(0)
    mask = random.random((3, 40, 40)) < 0.45
    found = first_of_area(torch.from_numpy(mask)).numpy()
    for picture, places in zip(mask, found, strict=True):
        areas, _ = ndimage.label(picture, np.ones((3, 3)))
        for area in range(1, areas.max() + 1):
            assert (places[areas == area] == np.flatnonzero(areas == area)[0]).all()
        assert (places[~picture] == 1600).all()


def test_a_camera_keeps_its_own_noise(tmp_path):
    dataset = build(tmp_path, 1, recipe_only=True, largest=13, camera=Camera())
    with pytest.raises(InputError, match="its pictures are a camera's"):
        DevicePatches(dataset, "full", torch.device("cpu"), noise=0.01)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "set", ["full", "isolated/background", "isolated/skin", "isolated/features", "isolated/hair"]
)
def test_every_byte_is_that_of_the_shards(dataset, set, device):
    ours, theirs = DevicePatches(dataset, set, torch.device(device)), ShardPatches(dataset, set)
    assert len(ours) == len(theirs)
    rows = np.random.default_rng(0).permutation(len(ours))[:16]
    for name, found, expected in zip(
        ("clean", "blurry", "labels", "kernels"), ours.read(rows), theirs.read(rows), strict=True
    ):
        assert found.device.type == device
        assert torch.equal(found.cpu(), expected), name


def test_no_setting_of_the_whole_process_is_touched(dataset, monkeypatch):
    """A training goes on in another thread meanwhile; settings put back late would be put back wrong."""

    def touched(*_, **__):
        raise AssertionError("a setting of the whole process")

    for module, name in (
        (torch.backends.cudnn, "set_flags"),
        (torch.backends.cudnn, "flags"),
        (torch._C, "_set_cudnn_enabled"),
        (torch._C, "_set_mkldnn_enabled"),
        (torch, "clear_autocast_cache"),
    ):
        monkeypatch.setattr(module, name, touched)
    source, rows = DevicePatches(dataset, "full", torch.device("cpu")), np.arange(4)
    assert torch.equal(source.read(rows).blurry, ShardPatches(dataset).read(rows).blurry)


def test_it_is_exact_when_the_user_allows_rounding(dataset):
    ours, theirs = DevicePatches(dataset, "full", torch.device("cpu")), ShardPatches(dataset)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            found = ours.read(np.arange(4))
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(found.blurry, theirs.read(np.arange(4)).blurry)


@pytest.mark.parametrize("set", ["full", "isolated/skin"])
def test_noise_of_its_own_is_gaussian_neither_rounded_nor_clipped(dataset, set):
    device, rows = torch.device("cpu"), np.arange(6)
    silent, noisy = (
        DevicePatches(dataset, set, device, noise=sigma).read(rows) for sigma in (0.0, 4 / 255 / 2)
    )
    theirs = ShardPatches(dataset, set).read(rows)
    assert torch.equal(noisy.clean, theirs.clean)
    assert torch.equal(noisy.labels, theirs.labels)
    assert silent.blurry.dtype == torch.float32
    # The blur without noise is that of the shards (noise of sigma 0.03), and has fractions.
    assert (silent.blurry - theirs.blurry.float()).std() == pytest.approx(0.03 * 255, rel=0.1)
    assert (silent.blurry != silent.blurry.round()).any()
    noise = (noisy.blurry - silent.blurry).flatten()
    assert noise.mean() == pytest.approx(0, abs=0.1)
    assert noise.std() == pytest.approx(2, rel=0.02)


def test_noise_of_its_own_comes_from_the_numbers_of_the_recipe(dataset):
    device = torch.device("cpu")
    silent, noisy = (DevicePatches(dataset, "full", device, noise=s).read(np.array([5])) for s in (0.0, 0.01))
    halves = words(dataset.recipe.seed, Stream.NOISE, 5, 3).view("<u2")
    expected = [2.55 * NormalDist().inv_cdf((int(half) + 0.5) / 65536) for half in halves]
    found = (noisy.blurry - silent.blurry).flatten()[:6]
    assert found.tolist() == pytest.approx(expected, abs=2e-4)


def test_noise_of_its_own_leaves_the_range_of_8_bits(dataset):
    blurry = DevicePatches(dataset, "full", torch.device("cpu"), noise=0.5).read(np.arange(2)).blurry
    assert blurry.min() < 0
    assert blurry.max() > 255
    patches = DevicePatches(dataset, "full", torch.device("cpu"), noise=0.5).read(np.arange(2))
    batch = to_device(patches, torch.device("cpu"))
    torch.testing.assert_close(batch.blurry, patches.blurry.permute(0, 3, 1, 2) / 255)
    assert batch.blurry.min() < 0
    assert batch.clean.min() >= 0
    assert batch.clean.max() <= 1


def test_philox_is_that_of_blurgen():
    seed, sample = 2**63 + 12345, 2**40 + 7
    counters = (
        torch.arange(3),
        *(torch.tensor(word) for word in (sample % 2**32, sample >> 32, Stream.NOISE)),
    )
    found = torch.stack(philox4x32(*counters, seed % 2**32, seed >> 32), dim=1)
    assert found.flatten().tolist() == words(seed, Stream.NOISE, sample, 12).tolist()


def test_there_are_more_patches_than_in_the_dataset(dataset):
    endless = DevicePatches(dataset, "full", torch.device("cpu"), endless=True)
    patches = endless.read(np.array([0, 10**9, 2**40]))
    assert torch.equal(patches.blurry[:1], ShardPatches(dataset).read(np.array([0])).blurry)
    assert not torch.equal(patches.blurry[1], patches.blurry[2])
    with pytest.raises(ValueError, match="'endless' must be False for set 'isolated/skin'"):
        DevicePatches(dataset, "isolated/skin", torch.device("cpu"), endless=True)


def test_a_missing_set_is_named(dataset):
    with pytest.raises(InputError, match="has no set 'isolated/ears'"):
        DevicePatches(dataset, "isolated/ears", torch.device("cpu"))
