"""The paper's numbers, as the paper prints them."""

from __future__ import annotations

import pytest

from umsn.nets import SIZES
from umsn.stages import LAMBDA, PAPER, PERCEPTUAL_WEIGHT, PRESETS, QUICK

FIRST_STAGES = ("first-stage-background", "first-stage-skin", "first-stage-features", "first-stage-hair")


@pytest.mark.parametrize(
    ("name", "shards", "image", "losses", "iterations", "learning_rate"),
    [
        ("segmentation", "full", "clean", {"cross_entropy": 1}, 60_000, 2e-4),
        ("segmentation-blurry", "full", "blurry", {"cross_entropy": 1}, 30_000, 1e-5),
        ("first-stage-skin", "isolated/skin", "blurry", {"l1": 1, "perceptual": 2e-4}, 50_000, 2e-4),
        ("umsn", "full", "blurry", {"confidence": 1, "perceptual": 2e-4}, 100_000, 2e-4),
    ],
)
def test_section_iv_a(name, shards, image, losses, iterations, learning_rate):
    (stage,) = PAPER.select(name)
    assert (stage.shards, stage.image, dict(stage.losses)) == (shards, image, losses)
    assert (stage.iterations, stage.learning_rate, stage.batch_size) == (iterations, learning_rate, 16)


def test_the_weights_of_the_losses():
    assert (LAMBDA, PERCEPTUAL_WEIGHT) == (0.01, 0.0002)


def test_whole_patches_at_a_constant_rate():
    assert PAPER.crop is None
    assert PAPER.schedule == "constant"


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS.keys())
def test_the_stages_come_in_the_order_of_the_paper(preset):
    assert [s.name for s in preset.stages] == ["segmentation", "segmentation-blurry", *FIRST_STAGES, "umsn"]
    assert preset.select("all") == preset.stages
    assert tuple(s.name for s in preset.select("first-stage")) == FIRST_STAGES
    assert [s.class_number for s in preset.select("first-stage")] == [0, 1, 2, 3]
    assert [s.name for s in preset.select("segmentation")] == ["segmentation"]
    assert all(preset.select(choice) for choice in preset.choices)


def test_a_preset_names_a_size_of_networks():
    assert set(PRESETS) == set(SIZES)


def test_quick_needs_no_file():
    assert PAPER.perceptual
    assert not QUICK.perceptual
    assert not PAPER.without_perceptual().perceptual


def test_an_unknown_stage_is_named():
    with pytest.raises(
        ValueError, match=r"'stage' must be one of all, first-stage, segmentation, .* not 'unet'"
    ):
        PAPER.select("unet")
