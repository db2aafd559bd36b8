"""The paper's numbers, as the paper prints them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from umsn.nets import SIZES
from umsn.training.differences import LAMBDA, Differences
from umsn.training.stages import PAPER, PERCEPTUAL_WEIGHT, PRESETS, QUICK, RELEASED

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


def test_a_constant_rate():
    assert {stage.schedule for stage in PAPER.stages} == {"constant"}


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS.keys())
def test_the_stages_come_in_the_order_of_the_paper(preset):
    assert [s.name for s in preset.stages] == ["segmentation", "segmentation-blurry", *FIRST_STAGES, "umsn"]
    trained = [s for s in preset.stages if preset.differences.first_stage or s.kind != "first-stage"]
    assert preset.select("all") == tuple(trained)
    assert tuple(s.name for s in preset.select("first-stage")) == FIRST_STAGES
    assert [s.class_number for s in preset.select("first-stage")] == [0, 1, 2, 3]
    assert [s.name for s in preset.select("segmentation")] == ["segmentation"]
    assert all(preset.select(choice) for choice in preset.choices)


def test_a_preset_names_a_size_of_networks():
    assert {preset.networks for preset in PRESETS.values()} == set(SIZES)


@pytest.mark.parametrize("preset", [PAPER, QUICK])
def test_the_default_is_the_paper(preset):
    assert preset.differences == Differences()
    assert all(stage.differences == Differences() for stage in preset.stages)


def test_what_the_released_code_does():
    """Numbers as they stand in its files; its images are in [-1, 1], where losses are twice as large."""
    (stage,) = RELEASED.select("umsn")
    assert stage.differences == Differences(
        noise=4 / 255 / 2,
        step_every=2,
        class_weights=(1.2, 1.2, 3.6, 1.2),
        confidence_lambda=0.0075,
        gradient_weight=0.15,
        half_scale_weight=0.33,
        half_scale_gradient_weight=0.08,
        first_stage=False,
        snet_batch_statistics=True,
        cn_repeats_third=True,
    )
    assert stage.differences.noise == pytest.approx(0.0078, abs=5e-5)
    assert stage.losses == {
        "confidence": 1,
        "perceptual": 2e-4,
        "gradient": 0.15,
        "half_scale": 0.33,
        "half_scale_gradient": 0.08,
    }
    assert (stage.schedule, stage.learning_rate, stage.batch_size) == ("halving", 2e-4, 10)


def test_a_difference_concerns_the_stages_it_can_change():
    clean, blurry = RELEASED.select("segmentation")[0], RELEASED.select("segmentation-blurry")[0]
    # Noise too is of UMSN alone: the line that adds it is commented out where the code trains S-Net.
    assert clean.differences == blurry.differences == Differences(snet_batch_statistics=True)
    assert {s.differences for s in RELEASED.select("first-stage")} == {Differences()}
    assert {s.schedule for s in RELEASED.stages if s.kind != "umsn"} == {"constant"}


@pytest.mark.parametrize(
    ("variant", "idle"),
    [
        ("umsn", ()),
        ("umsn-no-confidence", ("class_weights", "confidence_lambda", "cn_repeats_third")),
        ("nested", ("class_weights", "confidence_lambda", "cn_repeats_third", "first_stage")),
        (
            "bnet",
            (
                *("class_weights", "confidence_lambda", "cn_repeats_third", "first_stage"),
                "snet_batch_statistics",
            ),
        ),
    ],
)
def test_a_difference_that_cannot_act_on_a_variant_is_as_in_the_paper(variant, idle):
    released = RELEASED.differences
    paper = {name: getattr(Differences(), name) for name in idle}
    assert released.of_variant(variant) == replace(released, **paper)
    assert all(getattr(released, name) != value for name, value in paper.items())


def test_without_its_differences_the_released_preset_trains_the_networks_of_the_paper():
    plain = RELEASED.with_differences(Differences())
    for ours, theirs in zip(plain.stages, PAPER.stages, strict=True):
        assert replace(ours, batch_size=16, schedule="constant") == theirs


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("noise", 1.5),
        ("noise", "none"),
        ("step_every", 0),
        ("class_weights", (1.0, 1.0)),
        ("class_weights", (1.0, 1.0, 0.0, 1.0)),
        ("confidence_lambda", 0.0),
        ("gradient_weight", -0.1),
        ("half_scale_weight", -0.1),
        ("half_scale_gradient_weight", float("nan")),
        *((name, float("inf")) for name in ("noise", "confidence_lambda", "gradient_weight")),
        ("class_weights", (1.0, 1.0, float("inf"), 1.0)),
    ],
)
def test_a_difference_that_cannot_be_is_named(name, value):
    with pytest.raises(ValueError, match=f"Argument '{name}' must "):
        Differences(**{name: value})


def test_quick_needs_no_file():
    assert PAPER.perceptual
    assert not QUICK.perceptual
    assert not PAPER.without_perceptual().perceptual


def test_an_unknown_stage_is_named():
    with pytest.raises(
        ValueError, match=r"'stage' must be one of all, first-stage, segmentation, .* not 'unet'"
    ):
        PAPER.select("unet")
