"""However a picture is cut, what comes out is the same; no more than allowed is worked on at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from umsn.nets import build_network
from umsn.restore import tiles
from umsn.restore.tiles import Tiling, count_tiles, in_tiles

CPU = torch.device("cpu")


def picture(height, width, count=1, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3)).astype(np.uint8)


def as_floats(part):
    return part.permute(0, 3, 1, 2).float()


def whole(function, *sources, tiling, **options):
    """Return what all rows together become, and check that they come in order, each once."""
    parts, next_row = [], 0
    for rows, part in in_tiles(function, sources, tiling, CPU, **options):
        assert rows.start == next_row and part.shape[2] == rows.stop - rows.start
        next_row = rows.stop
        parts.append(part)
    assert next_row == sources[0].shape[1]
    return torch.cat(parts, dim=2)


class Plain(nn.Module):
    """No normalisation, half the resolution within."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.inner = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(16, 16, 5, padding=2)
        self.last = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, x):
        height, width = x.shape[-2:]
        x = F.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
        x = self.inner(F.pixel_unshuffle(torch.tanh(self.first(x)), 2))
        return self.last(F.pixel_shuffle(torch.tanh(x), 2))[..., :height, :width]


def test_how_far_a_network_sees_is_measured():
    # 1 + 2 x 2 + 1, and 1 for the squares of 2 x 2.
    assert tiles.reach(Plain(), 3, CPU) == 7
    assert tiles.reach(nn.Conv2d(3, 3, 9, padding=16, dilation=4), 3, CPU) == 16
    assert tiles.reach(nn.Conv2d(3, 3, 1), 3, CPU) == 0
    assert tiles.reach(lambda x: x - x.mean(dim=(2, 3), keepdim=True), 3, CPU) is None


def test_networks_that_normalise_by_picture_are_told_from_others():
    tiny = {"width": 4, "blocks": 1, "last_width": 4}
    assert tiles.normalises(build_network("bnet", tiny)) and tiles.normalises(build_network("snet", tiny))
    assert not tiles.normalises(Plain())


@pytest.mark.parametrize("shape", [(64, 64), (200, 131), (65, 300), (40, 20), (1, 2)])
def test_cropped_tiles_give_what_the_picture_in_one_piece_gives(shape):
    network = Plain().requires_grad_(False)

    def function(part):
        return network(as_floats(part) / 255)

    source = picture(*shape, count=2)
    # The margin is at least what the network sees; wherever the cuts are, the result is the same.
    results = [
        whole(function, source, tiling=Tiling(side, step, blended=False))
        for side, step in ((512, 512), (64, 48), (96, 64), (64, 32))
    ]
    for other in results[1:]:
        assert torch.allclose(results[0], other, atol=1e-5)
    if min(shape) >= tiles.SMALLEST:
        assert torch.allclose(results[0], function(torch.from_numpy(source)), atol=1e-5)


def test_the_margin_covers_what_a_network_sees():
    for reach in (0, 1, 6, 32, 33, 300, 1_000):
        tiling = tiles.cropped(reach)
        assert (tiling.side - tiling.step) // 2 >= reach and tiling.step % tiles.ALIGN == 0
        assert tiling.step >= tiling.side // 2 >= tiles.TILE // 2


@pytest.mark.parametrize("shape", [(300, 200), (128, 129), (90, 500), (20, 128)])
def test_blended_windows_count_one_in_all(shape):
    source = picture(*shape)
    found = whole(as_floats, source, tiling=tiles.windows(128))
    assert torch.allclose(found, as_floats(torch.from_numpy(source)), atol=1e-3)


def test_windows_of_other_brightness_leave_no_seam():
    # Each window is of one value, far from its neighbours': the steps from pixel to pixel stay small.
    values = iter([*range(0, 100, 10)] * 100)

    def function(part):
        return torch.stack([torch.full((1, *part.shape[1:3]), float(next(values))) for _ in part])

    found = whole(function, picture(128, 700), tiling=tiles.windows(128))
    steps = found.diff(dim=3).abs().max()
    assert steps < 10 * 1.1 * np.pi / 128 and found.max() - found.min() > 50


@pytest.mark.parametrize("tiling", [Tiling(64, 48, blended=False), tiles.windows(64)])
def test_no_more_goes_through_at_once_than_allowed(tiling):
    seen = []

    def function(part):
        seen.append(tuple(part.shape))
        return as_floats(part)

    source = picture(200, 300, count=2)
    whole(function, source, tiling=tiling, most=3 * 64 * 64)
    assert max(n * h * w for n, h, w, _ in seen) <= 3 * 64 * 64 and max(n for n, *_ in seen) == 3
    assert sum(n for n, *_ in seen) == count_tiles((source,), tiling)
    seen.clear()
    whole(function, source, tiling=tiling, most=0)
    assert {n for n, *_ in seen} == {1}


def test_what_belongs_to_a_picture_goes_with_it():
    image, classes = picture(150, 90), picture(150, 90, seed=1)[..., 0]

    def function(part, of_class):
        return as_floats(part) * (of_class[:, None] > 128)

    found = whole(function, image, classes, tiling=Tiling(64, 48, blended=False))
    assert torch.equal(found, function(torch.from_numpy(image), torch.from_numpy(classes)))


def test_steps_that_leave_gaps_are_refused():
    with pytest.raises(ValueError, match="'step' must be from 1 to 64, not 65"):
        Tiling(64, 65, blended=False)
