"""Pictures of the camera formation are the bytes of FORMAT.md, section 6, whatever the camera."""

from __future__ import annotations

import hashlib
from decimal import Decimal, localcontext
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_degrade import face, fitted_size, make_faces, make_index, random_kernel

from blurgen.kernels.raster import to_q15
from blurgen.randomness.normal_table import QUANTILES_Q15
from blurgen.synthesis.camera import linear_light, sensor
from blurgen.synthesis.camera.engine import CameraDegrader
from blurgen.synthesis.camera.exposure import draw_grain, expose
from blurgen.synthesis.camera.highlights import BRIGHTEST
from blurgen.synthesis.camera.linear_light import FAMILY, FULL, light_table, tone_table
from blurgen.synthesis.camera.mosaic import shape_of, sharp_mosaic
from blurgen.synthesis.camera.rotation import rotated_mosaic
from blurgen.synthesis.camera.sensor import noise_tables
from blurgen.synthesis.camera.settings import Camera
from blurgen.synthesis.camera.shake import homography, to_patch, trajectory

FORMAT = Path(__file__).resolve().parent.parent / "FORMAT.md"
CHOICES = {name: get_args(kind) for name, kind in get_type_hints(Camera).items()}
POINT = np.zeros((5, 5), np.uint16)
POINT[2, 2] = 32768


def degrader(faces, kernels, camera, *, patch=8, seed=0, isolation="composite"):
    sizes = np.array([fitted_size(kernel) for kernel in kernels], np.uint8)
    return CameraDegrader(
        *faces, kernels, sizes, patch_size=patch, noise_sigma=0, seed=seed, isolation=isolation, camera=camera
    )


def bright_faces(rng, shapes):
    """Return faces of which a good part is clipped, in areas of several pixels."""
    pixels, *others = make_faces(rng, shapes)
    pixels.reshape(-1, 3)[rng.random(len(pixels) // 3) < 0.3] = (255, 255, 251)
    return (pixels, *others)


@st.composite
def scenes(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    patch = draw(st.sampled_from([2, 4, 6]))
    side = draw(st.sampled_from([1, 3, 5]))
    shapes = draw(st.lists(st.tuples(*[st.integers(patch, patch + 9)] * 2), min_size=1, max_size=3))
    kernels = np.stack([random_kernel(rng, side, draw(st.integers(1, 9))) for _ in range(2)])
    rows = []
    for _ in range(draw(st.integers(1, 2))):
        image = draw(st.integers(0, len(shapes) - 1))
        top, left = (draw(st.integers(0, shapes[image][axis] - patch)) for axis in (0, 1))
        rows.append((draw(st.integers(0, 2**64 - 1)), image, top, left, draw(st.integers(0, 1))))
    camera = Camera(
        motion=draw(st.sampled_from(["shift", "shift", "rotation"])),
        poses=draw(st.sampled_from([32, 33])),
        focal_mm=draw(st.sampled_from([(24, 77), (13, 13)])),
        clip_level=draw(st.sampled_from([256, 252, 250, 128])),
        sensor=draw(st.sampled_from(CHOICES["sensor"])),
        demosaic=draw(st.sampled_from(CHOICES["demosaic"])),
        tone=draw(st.sampled_from(CHOICES["tone"])),
    )
    return {
        "faces": bright_faces(rng, shapes),
        "kernels": kernels,
        "index": make_index(rows),
        "camera": camera,
        "patch": patch,
        "seed": draw(st.integers(0, 2**64 - 1)),
        "isolation": draw(st.sampled_from(["composite", "layered"])),
    }


def assert_as_naive(faces, kernels, index, out, *, camera, patch, seed, isolation):
    for n, row in enumerate(index):
        pixels, labels = face(faces, row["image"])
        kernel = kernels[row["kernel"]]
        clean, blurry, mask, isolated = naive.camera_triplet(
            pixels, labels, kernel, fitted_size(kernel), seed, int(row["sample"]), int(row["top"]),
            int(row["left"]), patch, msgspec.structs.asdict(camera), isolation,
        )  # fmt: skip
        np.testing.assert_array_equal(out.clean[n], clean)
        np.testing.assert_array_equal(out.mask[n], mask)
        np.testing.assert_array_equal(out.blurry[n], blurry)
        np.testing.assert_array_equal(out.isolated[n], isolated)


@settings(max_examples=60, deadline=None)
@given(scene=scenes())
def test_every_byte_is_that_of_the_format(scene):
    faces, kernels, index = scene.pop("faces"), scene.pop("kernels"), scene.pop("index")
    out = degrader(faces, kernels, **scene).degrade(index, isolated=True)
    assert_as_naive(faces, kernels, index, out, **scene)


@pytest.mark.parametrize("motion", ["shift", "rotation"])
def test_patches_wider_than_a_segment_of_the_mosaic_are_those_of_the_format(motion):
    rng = np.random.default_rng(4)
    faces = bright_faces(rng, [(190, 172)])
    kernels = np.stack([random_kernel(rng, 7, 5)])
    index, camera = make_index([(11, 0, 9, 4, 0)]), Camera(motion=motion)
    out = degrader(faces, kernels, camera, patch=166, seed=8).degrade(index)
    clean, blurry, *_ = naive.camera_triplet(
        *face(faces, 0), kernels[0], fitted_size(kernels[0]), 8, 11, 9, 4, 166, msgspec.structs.asdict(camera)
    )
    np.testing.assert_array_equal(out.clean[0], clean)
    np.testing.assert_array_equal(out.blurry[0], blurry)


def smooth_face(side=96, seed=0):
    """Return a face whose grey levels change by a few from pixel to pixel."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 200, (side // 16 + 1, side // 16 + 1, 3)).astype(float)
    for axis in (0, 1):
        places = np.arange(side) / 16
        low, share = places.astype(int), (places % 1)
        shape = [1, 1, 1]
        shape[axis] = side
        share = share.reshape(shape)
        coarse = coarse.take(low, axis) * (1 - share) + coarse.take(low + 1, axis) * share
    pixels = coarse.round().astype(np.uint8)
    return pixels.reshape(-1), np.ones(side * side, np.uint8), [0], [side], [side]


@pytest.mark.parametrize("demosaic", CHOICES["demosaic"])
@pytest.mark.parametrize("tone", CHOICES["tone"])
def test_without_blur_and_noise_the_blurry_picture_is_the_clean_one(demosaic, tone):
    faces = bright_faces(np.random.default_rng(1), [(40, 40)])
    index = make_index([(sample, 0, 5, 6, 0) for sample in range(5)])
    camera = Camera(sensor="none", demosaic=demosaic, tone=tone)
    out = degrader(faces, POINT[None], camera, patch=24).degrade(index, isolated=True)
    assert (out.blurry == out.clean).all()
    assert (out.isolated == out.clean[:, None]).all()


def test_a_smooth_scene_looks_as_the_photograph_does():
    faces = smooth_face()
    out = degrader(faces, POINT[None], Camera(sensor="none"), patch=64).degrade(
        make_index([(s, 0, 9, 12, 0) for s in range(4)])
    )
    photograph = faces[0].reshape(96, 96, 3)[9:73, 12:76].astype(int)
    change = np.abs(out.clean - photograph)
    assert np.quantile(change, 0.9) <= 1
    assert change.mean() < 0.7


def shifting_kernel(shake, patch, size):
    """Return the kernel of a shake as it moves the patch's centre: the path splatted, turned round."""
    centre, radius = (patch - 1) / 2, size // 2
    places = [h @ (centre, centre, 1.0) for h in shake.homographies]
    kernel = np.zeros((size + 1, size + 1))
    for x, y, depth in places:
        a, b = radius - (x / depth - centre), radius - (y / depth - centre)
        column, row = int(a), int(b)
        right, down = a - column, b - row
        kernel[row, column] += (1 - down) * (1 - right)
        kernel[row, column + 1] += (1 - down) * right
        kernel[row + 1, column] += down * (1 - right)
        kernel[row + 1, column + 1] += down * right
    return to_q15(kernel[:size, :size])


@pytest.mark.parametrize("sample", range(6))
def test_a_shake_small_enough_to_be_a_shift_is_what_the_kernel_makes(sample):
    faces, size, patch = smooth_face(), 7, 32
    camera = Camera(motion="rotation", sensor="none", focal_mm=(200, 200))
    shake = trajectory(camera, 5, sample, patch, size)
    kernel = shifting_kernel(shake, patch, size)
    index = make_index([(sample, 0, 30, 31, 0)])
    arguments = [*faces, kernel[None], np.array([size], np.uint8)]
    base = {"patch_size": patch, "noise_sigma": 0, "seed": 5}
    turned = CameraDegrader(*arguments, camera=camera, **base).degrade(index)
    shifted = CameraDegrader(
        *arguments, camera=msgspec.structs.replace(camera, motion="shift"), **base
    ).degrade(index)
    assert np.abs(turned.blurry.astype(int) - shifted.blurry).max() <= 1
    assert np.abs(turned.blurry.astype(int) - turned.clean).max() > 1  # it is blurred at all


def test_pure_roll_leaves_the_centre_sharp_and_blurs_the_corners():
    patch, radius = 96, 9
    shape = shape_of(patch, 2 * radius + 1)
    light = np.zeros((3, shape.side, shape.stride), np.int16)
    light[:] = np.random.default_rng(0).integers(0, FULL, light.shape)
    homographies = np.empty((32, 3, 3))
    for k in range(32):
        homography(np.array([0.0, 0.0, 0.1 * (k / 31 - 0.5)]), np.zeros(3), 2000.0, homographies[k])
    to_patch(homographies, -(patch - 1) / 2, -(patch - 1) / 2, (patch - 1) / 2)
    turned, sharp = (np.zeros((shape.rows, 2, shape.half), np.int16) for _ in range(2))
    rotated_mosaic(light, shape, homographies, turned)
    sharp_mosaic(light, shape, sharp)
    change = np.abs(turned.astype(int) - sharp)[:, :, : shape.rows // 2].max(axis=1)
    middle = shape.rows // 2
    assert change[middle - 1 : middle + 1, middle // 2].max() < 0.05 * FULL
    assert np.median(change[:6, :4]) > 0.2 * FULL
    assert np.median(change[-6:, -4:]) > 0.2 * FULL


def test_a_shake_can_be_had_again_and_stays_within_the_kernel_size():
    camera, patch = Camera(motion="rotation", poses=40, focal_mm=(26, 28)), 128
    focal = []
    for sample in range(40):
        shake = trajectory(camera, 3, sample, patch, 21)
        assert shake.homographies.shape == (40, 3, 3)
        assert 0 <= shake.left <= 1440 - patch
        assert 0 <= shake.top <= 1080 - patch
        focal.append(shake.focal_length)
        for x, y in ((0, 0), (0, patch - 1), (patch - 1, 0), (patch - 1, patch - 1)):
            seen = shake.homographies @ (x, y, 1.0)
            moved = seen[:, :2] / seen[:, 2:] - (x, y)
            assert np.abs(moved).max() < 10.5
        seen = shake.homographies @ ((patch - 1) / 2, (patch - 1) / 2, 1.0)
        centre = (seen[:, :2] / seen[:, 2:]).mean(axis=0)
        np.testing.assert_allclose(centre, (patch - 1) / 2, atol=1e-9)
    assert 26 * 1800 / 43.27 <= min(focal) < max(focal) <= 28 * 1800 / 43.27


@pytest.mark.parametrize("sample", range(3))
def test_the_path_is_that_of_the_format_to_the_bit(sample):
    shake = trajectory(Camera(motion="rotation", poses=33), 2**63 + 1, sample, 48, 13)
    focal, left, top, angles, shifts, homographies = naive.camera_path(2**63 + 1, sample, 33, 48, 6, (24, 77))
    assert (shake.focal_length, shake.left, shake.top) == (focal, left, top)
    assert shake.angles.tolist() == angles
    assert shake.translation.tolist() == shifts
    assert shake.homographies.tolist() == homographies


def test_the_kernel_of_a_place_is_how_a_point_of_light_is_blurred_there():
    camera, patch, size = Camera(motion="rotation", sensor="none", clip_level=256), 32, 13
    shake = trajectory(camera, 5, 3, patch, size)
    pixels = np.zeros((70, 70, 3), np.uint8)
    pixels[30 + 20, 31 + 9] = 255  # row 20, column 9 of the patch
    faces = pixels.reshape(-1), np.ones(4900, np.uint8), [0], [70], [70]
    made = CameraDegrader(
        *faces, np.pad(POINT, 4)[None], np.array([size], np.uint8),
        patch_size=patch, noise_sigma=0, seed=5, camera=camera,
    )  # fmt: skip
    found = made.degrade(make_index([(3, 0, 30, 31, 0)])).blurry[0, :, :, 1]
    light = np.array(naive.light_of(0))[found] / FULL
    expected = np.zeros((patch + 12, patch + 12))
    expected[20 : 20 + size, 9 : 9 + size] = shake.kernel(9, 20, size)
    expected = expected[6:-6, 6:-6]
    bright = expected > 0.02
    assert bright.sum() > 5
    assert np.corrcoef(light[bright], expected[bright])[0, 1] > 0.8
    assert light[~(expected > 0)].sum() < 0.2 * light.sum()


def test_highlights_draw_streaks_beside_them():
    pixels = np.full((60, 60, 3), 60, np.uint8)
    pixels[28:31, 28:31] = 255
    faces = pixels.reshape(-1), np.ones(3600, np.uint8), [0], [60], [60]
    line = np.zeros((9, 9), np.uint16)
    line[4] = 32768 // 9
    line[4, 4] += 32768 - int(line.sum())
    index = make_index([(s, 0, 10, 10, 0) for s in range(20)])
    bright, plain = (
        degrader(faces, line[None], Camera(sensor="none", clip_level=level), patch=40).degrade(index)
        for level in (250, 256)
    )
    assert (bright.clean == plain.clean).all()  # white is white, however bright it was
    streak = np.s_[:, 19, 16:22, 1]
    gain = bright.blurry[streak].astype(int).mean(axis=1) - plain.blurry[streak].mean(axis=1)
    assert gain.min() > 5
    assert len(set(gain.round(3))) > 10  # another factor for every sample


def test_noise_has_the_variance_that_was_drawn():
    sample, seed = 9, 1
    (gain, read), _, _ = naive.drawn_for(seed, sample, "darmstadt", "srgb")
    shape = shape_of(250, 3)
    mosaic, grain, raw = (
        np.zeros((shape.rows, 2, shape.half), kind) for kind in (np.int16, np.int32, np.int16)
    )
    mosaic[:] = 3000
    draw_grain(np.uint64(seed), np.uint64(sample), QUANTILES_Q15, shape.rows, grain)
    drawn = sensor.Draw(gain, read, 1024, 1024, 0)
    expose(mosaic, shape, drawn, grain, True, raw)
    found = raw[:, :, : shape.rows // 2].astype(float)
    assert found.mean() == pytest.approx(3000, abs=1)
    assert found.var() == pytest.approx((gain * 3000 + read) / 64, rel=0.03)


def test_the_brightest_and_noisiest_level_fits_32_bits():
    assert BRIGHTEST == (FULL * 704 + 128) >> 8 <= 32767
    assert BRIGHTEST * 32768 + 16384 < 2**31
    for name in CHOICES["sensor"]:
        tables = noise_tables(name)
        variance = int(tables.gain.max()) * BRIGHTEST + int(tables.read.max() * tables.factor.max()) // 4096
        deviation = int(np.sqrt(variance)) + 1
        assert deviation * int(QUANTILES_Q15.max()) + 2**17 < 2**31
    assert 8191 * 2458 + 512 < 2**31
    assert BRIGHTEST * ((2**26 + 768) // 1536) + 2**15 < 2**31


def test_tone_curves_give_every_display_value_back():
    for curve in range(FAMILY + 1):
        light, tone = light_table(curve), tone_table(curve)
        assert (np.diff(light) > 0).all()
        assert (light[0], light[-1]) == (0, FULL)
        assert (tone[light] == np.arange(256)).all()


def test_no_entry_of_a_table_is_near_a_rounding_tie():
    with localcontext() as context:
        context.prec = 40
        exact = [
            FULL * linear_light._linear(Decimal(d) / 255, curve)
            for curve in range(FAMILY + 1)
            for d in range(256)
        ]
        exact += [law(i) for name in CHOICES["sensor"][:2] for law in sensor._LAWS[name] for i in range(256)]
        ties = [abs(value - int(value) - Decimal("0.5")) for value in exact]
    assert min(ties) > Decimal("1e-5")


def test_tables_are_those_whose_digests_stand_in_the_format():
    def digest(*tables):
        return hashlib.sha256(b"".join(np.ascontiguousarray(t, "<i4").tobytes() for t in tables)).hexdigest()

    text = FORMAT.read_text("utf-8")
    assert digest(*(light_table(curve) for curve in range(FAMILY + 1))) in text
    assert digest(*(tone_table(curve) for curve in range(FAMILY + 1))) in text
    for name in CHOICES["sensor"][:2]:
        assert digest(*noise_tables(name)) in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"motion": "zoom"}, "'motion' must be one of shift, rotation, not 'zoom'"),
        ({"poses": 31}, "'poses' must be `int` >= 32, not 31"),
        ({"poses": True}, "'poses' must be `int`, got `bool`"),
        ({"clip_level": 0}, "'clip_level' must be `int` >= 1"),
        ({"sensor": ["none"]}, "'sensor' must be one of"),
        ({"focal_mm": (30, 20)}, "'focal_mm' must ascend"),
        ({"focal_mm": (30,)}, "'focal_mm' must be `array` of length 2"),
        ({"focal_mm": (12, 20)}, "'focal_mm' must be `int` >= 13"),
    ],
)
def test_a_camera_out_of_range_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Camera(**change)


def test_odd_patches_and_noise_that_is_not_the_sensors_are_refused():
    faces = smooth_face()
    for patch, sigma in ((7, 0), (8, 0.03)):
        with pytest.raises(ValueError, match="even 'patch_size' and 'noise_sigma' 0"):
            CameraDegrader(
                *faces, POINT[None], np.array([5], np.uint8),
                patch_size=patch, noise_sigma=sigma, seed=0, camera=Camera(),
            )  # fmt: skip
