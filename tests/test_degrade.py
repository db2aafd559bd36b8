"""Rendered triplets are the bytes of FORMAT.md, whatever the face, kernel, crop and noise."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blurgen.labels import CLASS_OF_LABEL
from blurgen.synthesis.convolve import UNIT
from blurgen.synthesis.engine import Degrader, class_pixels
from blurgen.synthesis.recipe import INDEX_DTYPE

LABELS = (*range(11), 255)


def random_kernel(rng, side, taps):
    """Return uint16 [side, side] with about ``taps`` weights other than zero, which sum to 32768."""
    places = rng.permutation(side * side)[: max(1, taps)]
    cuts = np.sort(rng.integers(0, UNIT + 1, len(places) - 1))
    kernel = np.zeros(side * side, np.uint16)
    kernel[places] = np.diff(np.concatenate(([0], cuts, [UNIT])))
    return kernel.reshape(side, side)


def fitted_size(kernel):
    """Return the smallest odd size, around the centre, that holds every weight of a kernel."""
    radius = len(kernel) // 2
    return 2 * int(np.abs(np.argwhere(kernel) - radius).max()) + 1


def make_faces(rng, shapes):
    """Return (pixels, labels, offsets, heights, widths) of random faces, with gaps between them."""
    heights, widths = np.array(shapes).T
    offsets = np.cumsum(np.concatenate(([3], heights[:-1] * widths[:-1] + 2)))
    total = int(offsets[-1] + heights[-1] * widths[-1]) + 5
    pixels = rng.integers(0, 256, 3 * total, dtype=np.uint8)
    return pixels, rng.choice(np.array(LABELS, np.uint8), total), offsets, heights, widths


def face(faces, i):
    pixels, labels, offsets, heights, widths = faces
    start, shape = offsets[i], (heights[i], widths[i])
    end = start + heights[i] * widths[i]
    return pixels[3 * start : 3 * end].reshape(*shape, 3), labels[start:end].reshape(shape)


def make_index(rows):
    return np.array(rows, INDEX_DTYPE)


def assert_as_naive(faces, kernels, index, out, *, patch, sigma, seed, isolation="composite"):
    for n, row in enumerate(index):
        pixels, labels = face(faces, row["image"])
        clean, blurry, mask, isolated, counts = naive.triplet(
            pixels,
            labels,
            kernels[row["kernel"]],
            seed,
            int(row["sample"]),
            int(row["top"]),
            int(row["left"]),
            patch,
            sigma,
            isolation,
        )
        np.testing.assert_array_equal(out.clean[n], clean)
        np.testing.assert_array_equal(out.mask[n], mask)
        np.testing.assert_array_equal(out.blurry[n], blurry)
        np.testing.assert_array_equal(out.class_pixels[n], counts)
        if out.isolated is not None:
            np.testing.assert_array_equal(out.isolated[n], isolated)


@st.composite
def scenes(draw):
    """A few faces, kernels and samples, from roomy to faces far smaller than the kernel."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    patch = draw(st.integers(1, 9))
    side = 2 * draw(st.integers(0, 7)) + 1
    shapes = draw(
        st.lists(
            st.tuples(st.integers(patch, patch + 20), st.integers(patch, patch + 20)), min_size=1, max_size=3
        )
    )
    taps = draw(st.lists(st.sampled_from([1, 2, 7, side * side]), min_size=1, max_size=3))
    kernels = np.stack([random_kernel(rng, side, n) for n in taps])
    rows = []
    for _ in range(draw(st.integers(0, 3))):
        image = draw(st.integers(0, len(shapes) - 1))
        top = draw(st.integers(0, shapes[image][0] - patch))
        left = draw(st.integers(0, shapes[image][1] - patch))
        kernel = draw(st.integers(0, len(kernels) - 1))
        rows.append((draw(st.integers(0, 2**64 - 1)), image, top, left, kernel))
    return {
        "faces": make_faces(rng, shapes),
        "kernels": kernels,
        "index": make_index(rows),
        "patch": patch,
        "sigma": draw(st.sampled_from([0.0, 0.03, 0.2])),
        "seed": draw(st.integers(0, 2**64 - 1)),
        "isolation": draw(st.sampled_from(["composite", "layered"])),
    }


def degrader(faces, kernels, *, patch=8, sigma=0.03, seed=0, isolation="composite"):
    sizes = np.array([fitted_size(kernel) for kernel in kernels], np.uint8)
    return Degrader(
        *faces, kernels, sizes, patch_size=patch, noise_sigma=sigma, seed=seed, isolation=isolation
    )


@settings(max_examples=150, deadline=None)
@given(scene=scenes(), isolated=st.booleans())
def test_every_byte_is_that_of_the_format(scene, isolated):
    faces, kernels, index = scene.pop("faces"), scene.pop("kernels"), scene.pop("index")
    out = degrader(faces, kernels, **scene).degrade(index, isolated=isolated)
    assert (out.isolated is None) == (not isolated)
    assert_as_naive(faces, kernels, index, out, **scene)


@pytest.mark.parametrize("isolation", ["composite", "layered"])
@pytest.mark.parametrize(
    "patch", [43, 85]
)  # one image row: 129 and 255 elements, around one and two segments
def test_rows_longer_than_a_segment(patch, isolation):
    rng = np.random.default_rng(patch)
    faces = make_faces(rng, [(100, 90), (patch, patch)])
    kernels = np.stack([random_kernel(rng, 29, taps) for taps in (60, 841)])
    index = make_index([(2**40 + 1, 0, 3, 0, 0), (7, 1, 0, 0, 1)])
    out = degrader(faces, kernels, patch=patch, isolation=isolation).degrade(index, isolated=True)
    assert_as_naive(faces, kernels, index, out, patch=patch, sigma=0.03, seed=0, isolation=isolation)


def test_a_kernel_that_is_one_point_shifts_the_picture():
    rng = np.random.default_rng(0)
    faces = make_faces(rng, [(20, 20)])
    kernels = np.zeros((1, 7, 7), np.uint16)
    kernels[0, 3 + 2, 3 - 1] = UNIT
    out = degrader(faces, kernels, sigma=0.0).degrade(make_index([(0, 0, 6, 6, 0)]))
    np.testing.assert_array_equal(out.blurry[0], face(faces, 0)[0][4:12, 7:15])


def small():
    rng = np.random.default_rng(3)
    faces = make_faces(rng, [(30, 22), (9, 14), (40, 40)])
    kernels = np.stack([random_kernel(rng, 13, taps) for taps in (1, 9, 30)])
    rows = [(s, s % 3, s % 2, s % 5, (s * 7) % 3) for s in range(20)]
    return faces, kernels, make_index(rows)


def test_a_sample_does_not_depend_on_its_company():
    faces, kernels, index = small()
    maker = degrader(faces, kernels)
    together = maker.degrade(index, isolated=True)
    order = np.random.default_rng(0).permutation(len(index))
    shuffled = maker.degrade(index[order], isolated=True)
    for whole, mixed in zip(together, shuffled, strict=True):
        np.testing.assert_array_equal(whole[order], mixed)
    np.testing.assert_array_equal(maker.degrade(index).blurry, together.blurry)
    for n in range(len(index)):
        np.testing.assert_array_equal(maker.degrade(index[n : n + 1]).blurry[0], together.blurry[n])


def test_threads_may_share_one_degrader():
    faces, kernels, index = small()
    maker = degrader(faces, kernels)
    expected = maker.degrade(index).blurry
    with ThreadPoolExecutor(4) as pool:
        for out in pool.map(lambda _: maker.degrade(index), range(16)):
            np.testing.assert_array_equal(out.blurry, expected)


def test_faces_may_be_mapped_from_a_file(tmp_path):
    (pixels, labels, *table), kernels, index = small()
    expected = degrader((pixels, labels, *table), kernels).degrade(index).blurry
    pixels.tofile(tmp_path / "pixels")
    labels.tofile(tmp_path / "labels")
    mapped = [np.memmap(tmp_path / name, np.uint8, "r") for name in ("pixels", "labels")]
    np.testing.assert_array_equal(degrader((*mapped, *table), kernels).degrade(index).blurry, expected)


def test_given_arrays_are_filled():
    faces, kernels, index = small()
    maker = degrader(faces, kernels)
    expected = maker.degrade(index, isolated=True)
    out = type(expected)(*(np.full_like(array, 77) for array in expected))
    assert maker.degrade(index, isolated=True, out=out) is out
    for ours, theirs in zip(out, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("clean", lambda array: array[:-1]),
        ("blurry", lambda array: array.astype(np.int16)),
        ("mask", np.asfortranarray),
        ("isolated", lambda array: None),
        ("class_pixels", lambda array: array.astype(np.int64)),
    ],
)
def test_given_arrays_of_another_kind_are_refused(name, spoil):
    faces, kernels, index = small()
    maker = degrader(faces, kernels)
    out = maker.degrade(index, isolated=True)
    with pytest.raises(ValueError, match=rf"Argument 'out\.{name}' must be"):
        maker.degrade(index, isolated=True, out=out._replace(**{name: spoil(getattr(out, name))}))


def test_class_pixels_without_rendering():
    faces, kernels, index = small()
    counts = class_pixels(*faces[1:], index, 8)
    np.testing.assert_array_equal(counts, degrader(faces, kernels).degrade(index).class_pixels)
    assert counts.dtype == np.int32


def test_the_labels_of_a_class_are_consecutive():
    for c in range(4):
        members = np.flatnonzero(np.equal(CLASS_OF_LABEL, c))
        np.testing.assert_array_equal(np.diff(members), 1)


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("image", 3, "there are 3 faces"),
        ("image", 2**32 - 1, "there are 3 faces"),
        ("kernel", 3, "there are 3 kernels"),
        ("top", -1, "leaves its face"),
        ("top", 40 - 8 + 1, "leaves its face"),
        ("left", -(2**31), "leaves its face"),
        ("left", 2**31 - 1, "leaves its face"),
    ],
)
def test_a_hostile_index_is_refused(field, value, match):
    faces, kernels, index = small()
    maker = degrader(faces, kernels)
    index[5][field] = value
    with pytest.raises(ValueError, match=f"row 5 cannot be made, .*{match}"):
        maker.degrade(index)
    if field != "kernel":
        with pytest.raises(ValueError, match=f"row 5 cannot be made, .*{match}"):
            class_pixels(*faces[1:], index, 8)


def test_an_index_of_another_type_is_refused():
    faces, kernels, index = small()
    with pytest.raises(ValueError, match="Argument 'index' must be INDEX_DTYPE"):
        degrader(faces, kernels).degrade(index["sample"])


@pytest.mark.parametrize(
    ("column", "value", "match"),
    [
        ("offsets", -1, "Argument 'offsets' must be from 0"),
        ("offsets", 2**62, "Argument 'offsets' must be from 0"),
        ("heights", 0, "Argument 'heights' must be from 1"),
        ("heights", 2**32, "Argument 'heights' must be from 1"),
        ("widths", 2**62, "Argument 'widths' must be from 1"),
        ("heights", 60, "face 2 ends after the last"),
    ],
)
def test_a_hostile_face_table_is_refused(column, value, match):
    (pixels, labels, *table), kernels, _ = small()
    position = ["offsets", "heights", "widths"].index(column)
    table[position] = table[position].astype(np.int64)
    table[position][2] = value
    with pytest.raises(ValueError, match=match):
        degrader((pixels, labels, *table), kernels)


def test_face_arrays_that_do_not_fit_together_are_refused():
    (pixels, labels, *table), kernels, _ = small()
    with pytest.raises(ValueError, match="Argument 'pixels' must have"):
        degrader((pixels[:-3], labels, *table), kernels)
    with pytest.raises(ValueError, match="Argument 'labels' must be a contiguous uint8"):
        degrader((pixels, labels[::2], *table), kernels)
    with pytest.raises(ValueError, match="Argument 'heights' must be one whole number per face"):
        degrader((pixels, labels, table[0], table[1][:2], table[2]), kernels)
    with pytest.raises(ValueError, match="Argument 'widths' must be one whole number per face"):
        degrader((pixels, labels, table[0], table[1], table[2] + 0.5), kernels)


def test_kernels_whose_sums_would_not_be_exact_are_refused():
    faces, kernels, _ = small()
    sizes = np.full(3, 13, np.uint8)
    settings_ = {"patch_size": 8, "noise_sigma": 0.03, "seed": 0}
    heavy = kernels.copy()
    heavy[1, 0, 0] += 1
    with pytest.raises(ValueError, match="Kernel 1 does not sum to 32768 within its size of 13"):
        Degrader(*faces, heavy, sizes, **settings_)
    wide = np.zeros_like(kernels)
    wide[:, 6, 6] = UNIT - 1
    wide[:, 6, 7:] = 0
    wide[:, 6, 12] = 1
    with pytest.raises(ValueError, match="Kernel 2 does not sum to 32768 within its size of 11"):
        Degrader(*faces, wide, np.array([13, 13, 11], np.uint8), **settings_)
    for bad in (np.full(3, 12, np.uint8), np.full(3, 15, np.uint8), np.full(2, 13, np.uint8)):
        with pytest.raises(ValueError, match="Argument 'sizes' must hold 3 odd numbers up to 13"):
            Degrader(*faces, kernels, bad, **settings_)
    with pytest.raises(ValueError, match="Argument 'weights' must hold kernels of odd size"):
        Degrader(*faces, kernels[:, :12, :12], sizes, **settings_)
    with pytest.raises(ValueError, match="Argument 'weights' must be uint16"):
        Degrader(*faces, kernels.astype(np.float32), sizes, **settings_)


@pytest.mark.parametrize(
    ("name", "value"),
    [("patch_size", 0), ("noise_sigma", 0.21), ("noise_sigma", -0.01), ("seed", -1), ("isolation", "none")],
)
def test_wrong_settings_are_refused(name, value):
    faces, kernels, _ = small()
    chosen = {"patch_size": 8, "noise_sigma": 0.03, "seed": 0, name: value}
    with pytest.raises(ValueError, match="Argument '"):
        Degrader(*faces, kernels, np.full(3, 13, np.uint8), **chosen)


def test_uncompiled_code_stays_inside_its_arrays():
    """Compiled code does not check its indices; run by Python it does, and must give the same bytes."""
    run_a_few_scenes(NUMBA_DISABLE_JIT="1")


def test_code_for_the_oldest_processor_gives_the_same_bytes(tmp_path):
    run_a_few_scenes(NUMBA_CPU_NAME="generic", NUMBA_CACHE_DIR=str(tmp_path))


def run_a_few_scenes(**environment):
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error::RuntimeWarning",
            "-c",
            "import test_degrade as t; t.check_a_few_scenes()",
        ],
        cwd=Path(__file__).parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def check_a_few_scenes():
    rng = np.random.default_rng(11)
    for isolation, patch, shape in (("composite", 5, (5, 6)), ("layered", 4, (20, 18))):
        faces = make_faces(rng, [shape])
        kernels = np.stack([random_kernel(rng, 7, taps) for taps in (1, 10)])
        corner = (shape[0] - patch, shape[1] - patch)
        index = make_index([(2**63, 0, 0, 0, 1), (5, 0, *corner, 1), (1, 0, *corner, 0)])
        out = degrader(faces, kernels, patch=patch, isolation=isolation).degrade(index, isolated=True)
        assert_as_naive(faces, kernels, index, out, patch=patch, sigma=0.03, seed=0, isolation=isolation)
