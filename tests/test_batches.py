"""The walk over the data: complete, reproducible, resumable, the same for any number of processes."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import small_dataset
import torch

from blurgen.errors import InputError
from umsn.patches.batches import (
    Batches,
    Order,
    PatchDataset,
    Patches,
    ShardPatches,
    as_pixels,
    one_hot,
    to_device,
)

CPU = torch.device("cpu")


class Numbered:
    """Patches whose every byte tells their row."""

    endless = False

    def __init__(self, length, patch_size=8):
        self.length, self.patch_size = length, patch_size

    def __len__(self):
        return self.length

    def read(self, rows):
        n, p = len(rows), self.patch_size
        clean = torch.from_numpy(np.asarray(rows, np.uint8)).reshape(n, 1, 1, 1).expand(n, p, p, 3)
        return Patches(clean.contiguous(), clean.contiguous(), clean[..., 0].contiguous(), _kernels(n))


def _kernels(count):
    """Return kernels of one tap, two columns left of the middle."""
    kernels = torch.zeros(count, 5, 5, dtype=torch.int32)
    kernels[:, 2, 0] = 32768
    return kernels


def rows_of(batches, first, count):
    """Return the rows in the batches of ``count`` iterations."""
    return [
        (batch.clean[:, 0, 0, 0] * 255).round().int().tolist()
        for batch in islice(batches.starting_at(first), count)
    ]


@pytest.mark.parametrize("length", [1, 2, 7, 100])
def test_every_epoch_visits_every_row_once(length):
    order = Order(length, seed=5)
    for epoch in range(3):
        assert sorted(order.rows(epoch * length, length)) == list(range(length))


def test_epochs_and_seeds_differ():
    order = Order(100, seed=5)
    assert (order.rows(0, 100) != order.rows(100, 100)).any()
    assert (order.rows(0, 100) != Order(100, seed=6).rows(0, 100)).any()


def test_rows_depend_on_the_position_alone():
    whole = Order(7, seed=1).rows(0, 50)
    parts = Order(7, seed=1)
    assert (np.concatenate([parts.rows(33, 17), parts.rows(0, 33)]) == np.roll(whole, 17)).all()


def test_a_training_can_go_on_in_the_middle_of_an_epoch():
    options = {"batch_size": 4, "seed": 3, "device": CPU}
    whole = rows_of(Batches(Numbered(10), **options), 0, 9)
    assert rows_of(Batches(Numbered(10), **options), 4, 5) == whole[4:]


@pytest.mark.parametrize("threads", [1, 3])
def test_processes_share_the_joint_batch(threads):
    options = {"batch_size": 4, "seed": 3, "device": CPU, "flips": True}
    joint = list(islice(Batches(Numbered(10), **options).starting_at(0), 5))
    shares = [
        list(islice(Batches(Numbered(10), **options, rank=r, ranks=2, threads=threads).starting_at(0), 5))
        for r in range(2)
    ]
    for i, batch in enumerate(joint):
        assert torch.equal(batch.clean, torch.cat([s[i].clean for s in shares]))


def test_an_endless_source_is_used_up_in_order():
    source = Numbered(4)
    source.endless = True
    assert rows_of(Batches(source, batch_size=3, seed=3, device=CPU), 1, 3) == [
        [3, 4, 5],
        [6, 7, 8],
        [9, 10, 11],
    ]


def test_half_of_the_patches_are_mirrored_whole_and_always_the_same_ones():
    class Slopes(Numbered):
        def read(self, rows):
            x = torch.arange(8).byte().expand(len(rows), 8, 8)
            image = x[..., None].expand(-1, -1, -1, 3).contiguous()
            return Patches(image, image + 1, x.contiguous(), _kernels(len(rows)))

    def mirrored(first, count, **options):
        batches = Batches(Slopes(10), batch_size=4, seed=3, device=CPU, flips=True, **options)
        found = []
        for batch in islice(batches.starting_at(first), count):
            clean, blurry = ((image * 255).round().int() for image in (batch.clean, batch.blurry))
            assert torch.equal(blurry, clean + 1)
            # Label 0 is background; 1, one pixel from where the slope begins, is skin.
            assert torch.equal(batch.classes == 0, clean[:, 0] == 0)
            for row in clean[:, 0, 0].tolist():
                assert row in ([*range(8)], [*range(7, -1, -1)])
                found.append(row[0] == 7)
            taps = batch.kernels[:, 2, [0, 4]]
            assert taps.tolist() == [[0, 1] if f else [1, 0] for f in found[-len(taps) :]]
        return found

    whole = mirrored(0, 50)
    assert 70 <= sum(whole) <= 130
    assert mirrored(20, 30) == whole[80:]
    shares = [mirrored(0, 50, rank=r, ranks=2) for r in range(2)]
    assert [f for i in range(0, 100, 2) for s in shares for f in s[i : i + 2]] == whole


def test_kernels_are_what_the_pictures_were_blurred_with(tmp_path):
    dataset = small_dataset.build(small_dataset.write_photos(tmp_path / "photos"), tmp_path / "data")
    batch = next(Batches(ShardPatches(dataset), batch_size=4, seed=0, device=CPU, flips=True).starting_at(0))
    radius = batch.kernels.shape[-1] // 2
    turned = batch.kernels.flip(1, 2)[:, None]
    for clean, blurry, weights in zip(batch.clean, batch.blurry, turned, strict=True):
        blurred = torch.nn.functional.conv2d(clean[:, None], weights[None])[:, 0]
        inside = blurry[:, radius:-radius, radius:-radius]
        # What is left is the noise of the recipe.
        assert (blurred - inside).square().mean().sqrt() < 1.2 * dataset.recipe.noise_sigma


def test_pictures_come_with_the_channels_last():
    batch = next(Batches(Numbered(4), batch_size=2, seed=0, device=CPU).starting_at(0))
    for image in (batch.clean, batch.blurry):
        assert image.is_contiguous(memory_format=torch.channels_last)


def test_pixels_and_masks_are_what_the_networks_take():
    image = torch.arange(2 * 4 * 4 * 3, dtype=torch.uint8).reshape(2, 4, 4, 3)
    labels = torch.tensor([0, 1, 2, 9, 10, 255, 6, 8], dtype=torch.uint8).reshape(2, 2, 2).repeat(1, 2, 2)
    batch = to_device(Patches(image, image, labels, _kernels(2)), CPU)
    assert batch.clean.shape == (2, 3, 4, 4)
    assert batch.clean.dtype == torch.float32
    assert (as_pixels(batch.clean) == image.numpy()).all()
    assert batch.classes[0, 0, :2].tolist() == [0, 1]
    assert batch.classes[0, 1, :2].tolist() == [2, 2]
    assert batch.classes[1, 0, :2].tolist() == [3, 255]
    assert batch.masks.sum(1).unique().tolist() == [0, 1]
    assert (batch.masks.sum(1) == 0).equal(batch.classes == 255)
    assert torch.equal(one_hot(batch.classes), batch.masks)


@pytest.mark.parametrize("workers", [0, 2])
def test_anyone_may_train_in_a_loop_of_their_own(workers):
    loader = torch.utils.data.DataLoader(PatchDataset(Numbered(10)), batch_size=4, num_workers=workers)
    rows = []
    for blurry, clean, classes in loader:
        assert blurry.shape[1:] == clean.shape[1:] == (3, 8, 8)
        assert classes.shape[1:] == (8, 8)
        rows += (clean[:, 0, 0, 0] * 255).round().int().tolist()
    assert rows == list(range(10))


def test_a_failing_disk_reaches_the_training():
    class Broken(Numbered):
        def read(self, rows):
            raise InputError("shard-00003.h5: not readable")

    with pytest.raises(InputError, match="shard-00003"):
        next(Batches(Broken(4), batch_size=2, seed=0, device=CPU).starting_at(0))


def test_waiting_is_counted():
    batches = Batches(Numbered(4), batch_size=2, seed=0, device=CPU)
    next(batches.starting_at(0))
    assert batches.waited > 0


def test_an_empty_set_is_refused():
    class Empty:
        recipe = SimpleNamespace(patch_size=8)

        def open_set(self, name):
            return []

    with pytest.raises(InputError, match="'isolated/hair' of the dataset has no rows"):
        ShardPatches(Empty(), "isolated/hair")


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="'batch_size' must be a multiple of 2"):
        Batches(Numbered(4), batch_size=3, seed=0, device=CPU, ranks=2)
