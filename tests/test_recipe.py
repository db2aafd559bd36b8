"""A recipe says what every sample is made of, and survives its file unchanged or not at all."""

from __future__ import annotations

import json
import re

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blurgen.errors import InputError
from blurgen.synthesis.recipe import INDEX_DTYPE, FacesUsed, KernelsUsed, Recipe


def recipe(**changes) -> Recipe:
    faces = FacesUsed(changes.pop("faces", 3), "0123456789abcdef" * 2, [{"source": "folder", "count": 3}])
    kernels = KernelsUsed(changes.pop("kernels", 50), changes.pop("max_size", 9), "f" * 32)
    values = {
        "seed": 1,
        "count": 100,
        "patch_size": 16,
        "noise_sigma": 0.03,
        "shard_size": 10,
        "class_isolated": True,
        "isolation": "composite",
    }
    return Recipe(**(values | changes), faces=faces, kernels=kernels)


sides = st.integers(16, 300)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**64 - 1),
    samples=st.lists(st.integers(0, 2**40), min_size=1, max_size=6),
    faces=st.lists(st.tuples(sides, sides), min_size=1, max_size=5),
    kernels=st.integers(1, 100_000),
    max_size=st.sampled_from([1, 3, 9, 29]),
)
def test_plan_is_that_of_the_format(seed, samples, faces, kernels, max_size):
    heights, widths = zip(*faces, strict=True)
    made = recipe(seed=seed, faces=len(faces), kernels=kernels, max_size=max_size)
    index = made.plan(samples, heights, widths)
    assert index.dtype == INDEX_DTYPE
    assert index["sample"].tolist() == samples
    for row, sample in zip(index, samples, strict=True):
        expected = naive.plan(seed, sample, heights, widths, kernels, max_size, 16)
        assert tuple(row)[1:] == expected


def test_a_sample_does_not_depend_on_its_neighbours():
    made, heights, widths = recipe(faces=3), [40, 16, 25], [30, 16, 90]
    whole = made.plan(np.arange(1000), heights, widths)
    assert np.array_equal(made.plan(np.arange(400, 500), heights, widths), whole[400:500])
    assert np.array_equal(made.plan(np.arange(1000)[::-1], heights, widths), whole[::-1])


def test_every_pixel_the_blur_reads_is_real_where_the_face_is_large_enough():
    index = recipe(faces=1, max_size=9).plan(np.arange(2000), [16 + 8 + 5], [16 + 8])
    assert set(index["top"]) == set(range(4, 10))
    assert set(index["left"]) == {4}


def test_plan_refuses_faces_that_do_not_fit():
    with pytest.raises(ValueError, match=re.escape("'heights' must have 3 entries, not 2")):
        recipe(faces=3).plan([0], [20, 20], [20, 20])
    with pytest.raises(ValueError, match=re.escape("'heights' must be at least 16, not 15")):
        recipe(faces=2).plan([0], [20, 20], [20, 15])


@pytest.mark.parametrize("samples", [[-1, 1.7], [0.0, 1.0], [True], ["1"], [None], [[1, 2]], 3])
def test_plan_refuses_what_are_no_sample_numbers(samples):
    with pytest.raises(ValueError, match=r"^Argument 'samples' must be whole numbers \[n\], not "):
        recipe(faces=1).plan(samples, [20], [20])


def test_plan_refuses_negative_sample_numbers():
    with pytest.raises(ValueError, match=r"^Argument 'samples' must be at least 0, not -3"):
        recipe(faces=1).plan([4, -3, -1], [20], [20])


@pytest.mark.parametrize("samples", [[2**64 - 1], np.array([7], np.uint8), np.array([7], np.int16)])
def test_plan_takes_whole_numbers_of_any_type(samples):
    made = recipe(faces=1)
    (row,) = made.plan(samples, [40], [50])
    assert tuple(row)[1:] == naive.plan(1, int(samples[0]), [40], [50], 50, 9, 16)
    assert int(row["sample"]) == int(samples[0])
    assert len(made.plan([], [40], [50])) == 0


def test_shards_cover_all_samples_once():
    made = recipe(count=25, shard_size=10)
    assert [made.shard_samples(number) for number in range(made.shard_count)] == [(0, 10), (10, 20), (20, 25)]


def test_json_gives_back_the_same_recipe():
    made = recipe(seed=2**64 - 1, noise_sigma=0, isolation="layered")
    assert Recipe.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("seed",), -1),
        (("seed",), 2**64),
        (("seed",), 1.0),
        (("seed",), True),
        (("count",), 0),
        (("count",), "100"),
        (("count",), 10**30),
        (("patch_size",), 7),
        (("patch_size",), None),
        (("noise_sigma",), float("nan")),
        (("noise_sigma",), 0.3),
        (("noise_sigma",), "0.03"),
        (("shard_size",), 0),
        (("class_isolated",), 1),
        (("isolation",), "other"),
        (("isolation",), []),
        (("faces",), []),
        (("faces", "count"), 0),
        (("faces", "digest"), "../../etc/passwd"),
        (("faces", "digest"), "F" * 32),
        (("faces", "sources"), "folder"),
        (("faces", "sources"), [1]),
        (("kernels", "count"), 2**32),
        (("kernels", "max_size"), 28),
        (("kernels", "digest"), None),
        (("unknown",), 1),
        (("faces", "unknown"), 1),
    ],
)
def test_json_that_is_no_recipe_is_refused(path, value):
    tree = recipe().to_json()
    place = tree
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(InputError, match=rf"^there.*{path[-1]}"):
        Recipe.from_json(tree, "there")


@pytest.mark.parametrize("missing", ["seed", "faces", "isolation"])
def test_json_without_a_field_is_refused(missing):
    tree = recipe().to_json()
    del tree[missing]
    with pytest.raises(InputError, match=f"missing required field `{missing}`"):
        Recipe.from_json(tree)


def test_differences_name_what_differs():
    one, other = recipe(seed=1, kernels=50), recipe(seed=2, kernels=60)
    assert one.differences(one) == []
    assert one.differences(other) == ["seed 1, there 2", "kernels.count 50, there 60"]
