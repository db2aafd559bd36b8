"""Camera paths: bit for bit those of the naive version, and distributed as their models say."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import naive
import numpy as np
import pytest

from blurgen.kernels.paths import LANES, MODELS, Paths, walk

NAIVE = {
    "camera3d": naive.camera3d_path,
    "boracchi2d": naive.boracchi2d_path,
    "gaussian-process": naive.gaussian_process_path,
    "linear": naive.linear_path,
}


def walked(model, seed, first, samples, *, seen=None, attempt=0):
    paths = Paths.empty(model, samples if seen is None else seen)
    numbers = np.arange(first, first + LANES, dtype=np.uint64)
    walk(model, seed, numbers, np.full(LANES, attempt, np.uint32), samples, paths)
    return paths


def many(model, kernels, samples, seed=5):
    """Return x and y [kernels, samples] and the parameters [kernels, number of them] of many kernels."""
    groups = [walked(model, seed, first, samples) for first in range(0, kernels, LANES)]
    return tuple(
        np.concatenate([getattr(group, name).T for group in groups]) for name in ("x", "y", "parameters")
    )


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("seed", "first", "samples", "attempt"), [(0, 0, 200, 0), (2**64 - 1, 2**33, 67, 3)])
def test_paths_agree_with_the_naive_version_bit_for_bit(model, seed, first, samples, attempt):
    paths = walked(model, seed, first, samples, attempt=attempt)
    for lane in range(LANES):
        x, y, weight = NAIVE[model](seed, first + lane, attempt, samples)
        assert paths.x[:, lane].tolist() == x
        assert paths.y[:, lane].tolist() == y
        assert paths.weight[:, lane].tolist() == weight


@pytest.mark.parametrize("model", MODELS)
def test_a_shorter_exposure_sees_the_beginning_of_the_same_path(model):
    whole, part = walked(model, 1, 0, 300), walked(model, 1, 0, 300, seen=75)
    assert (whole.x[:75] == part.x).all()
    assert (whole.y[:75] == part.y).all()


@pytest.mark.parametrize("model", MODELS)
def test_attempts_and_seeds_give_other_paths(model):
    paths = [walked(model, 1, 0, 60), walked(model, 1, 0, 60, attempt=1), walked(model, 2, 0, 60)]
    assert len({p.x[-1].tobytes() for p in paths}) == 3


@pytest.mark.parametrize("model", MODELS)
def test_directions_are_isotropic(model):
    x, y, _ = many(model, 2400, 50)
    angle = np.arctan2(y[:, -1] - y[:, 0], x[:, -1] - x[:, 0])
    counts = np.bincount(((angle + np.pi) / (2 * np.pi) * 24).astype(int) % 24, minlength=24)
    assert ((counts - 100) ** 2 / 100).sum() < 50  # chi-square, 23 degrees: p < 0.001


def test_boracchi2d_has_constant_speed():
    x, y, _ = many("boracchi2d", 80, 200)
    assert np.hypot(np.diff(x), np.diff(y)) == pytest.approx(64 / 199, rel=1e-12)


def test_without_anxiety_boracchi2d_is_a_straight_line():
    x, y, parameters = many("boracchi2d", 4000, 50)
    chord = np.hypot(x[:, -1] - x[:, 0], y[:, -1] - y[:, 0])
    calmest = parameters[:, 0].argmin()
    assert parameters[calmest, 0] < 1e-4
    assert chord[calmest] == pytest.approx(64, rel=1e-4)
    x, y, _ = naive.boracchi2d_path(5, 0, 0, 50, anxiety=0.0)
    assert np.hypot(x[-1], y[-1]) == pytest.approx(64, rel=1e-12)
    calm, anxious = parameters[:, 0] < 0.03, parameters[:, 0] > 0.07
    assert chord[calm].mean() > 1.3 * chord[anxious].mean()


def test_boracchi2d_parameters_have_the_published_ranges():
    _, _, parameters = many("boracchi2d", 2000, 50)
    assert parameters.max(axis=0) == pytest.approx([0.1, 10, 0.7, 0.2], rel=0.01)
    assert parameters.mean(axis=0) == pytest.approx([0.05, 5, 0.35, 0.1], rel=0.05)


def test_camera3d_draws_its_parameters_from_the_documented_ranges():
    _, _, parameters = many("camera3d", 4000, 50)
    unrest, pull, distance, jerks = parameters.T
    for values, low, high in ((unrest, 0.5, 7.5), (pull, 0, 8), (distance, 1.2, 4)):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() < high
        assert values.mean() == pytest.approx((low + high) / 2, rel=0.03)
    assert jerks.mean() == pytest.approx(0.45, abs=0.04)
    assert set(jerks) <= {0, 1, 2, 3}


def test_camera3d_weighs_by_the_squared_depth_and_never_reaches_the_camera():
    for first in range(0, 400, LANES):
        paths = walked("camera3d", 3, first, 200)
        depth = 1 / np.sqrt(paths.weight)
        distance = paths.parameters[list(MODELS["camera3d"].parameters).index("distance")]
        assert (depth[0] == pytest.approx(distance)) and depth.min() > 0.2
        # Steps in space are 1/199 long: no longer in the image plane times depth.
        shift = np.hypot(np.diff(paths.x * depth, axis=0), np.diff(paths.y * depth, axis=0))
        total = np.sqrt(shift**2 + np.diff(depth, axis=0) ** 2)
        assert total == pytest.approx(1 / 199, rel=1e-9)


def test_camera3d_unrest_bends_the_path():
    x, y, parameters = many("camera3d", 1600, 200)
    length = np.hypot(np.diff(x), np.diff(y)).sum(axis=1)
    straight = np.hypot(x[:, -1] - x[:, 0], y[:, -1] - y[:, 0]) / length
    unrest = parameters[:, 0]
    assert straight[unrest < 2].mean() > 1.5 * straight[unrest > 6].mean()


def test_the_gaussian_process_has_the_matern_covariance():
    x, y, _ = many("gaussian-process", 8000, 51)
    samples = np.concatenate([x, y])
    assert samples.mean(axis=0) == pytest.approx(0, abs=0.04)
    for lag in (0, 5, 10, 15, 25, 50):
        covariance = (samples[:, lag] * samples[:, 0]).mean()
        assert covariance == pytest.approx(naive.matern52(lag / 50 / 0.3), abs=0.035)
    assert (x[:, -1] * y[:, -1]).mean() == pytest.approx(0, abs=0.035)


def test_the_gaussian_process_does_not_depend_on_how_finely_it_is_sampled():
    coarse, fine = many("gaussian-process", 4000, 51)[0], many("gaussian-process", 4000, 1001)[0]
    steps = (np.diff(coarse[:, ::10]), np.diff(fine[:, ::200]))
    assert steps[0].std() == pytest.approx(steps[1].std(), rel=0.03)


def test_a_line_is_evenly_sampled():
    x, y, _ = many("linear", 8, 50)
    assert np.diff(x, 2) == pytest.approx(0, abs=1e-15)
    assert np.hypot(x[:, -1], y[:, -1]) == pytest.approx(1)


def test_compiled_paths_and_kernels_hold_no_fused_multiply_add(tmp_path):
    # A fresh process and cache: numba cannot show the code of functions loaded from its cache. The control
    # is allowed to fuse, so that the search is known to find what it looks for where the processor has it.
    program = inspect.cleandoc(
        """
        import llvmlite.binding, numba
        from blurgen.kernels.bank import make_bank
        from blurgen.kernels.raster import raster
        from blurgen.kernels.paths import MODELS

        def fused(function):
            lines = [line.strip() for text in function.inspect_asm().values() for line in text.splitlines()]
            assert any(line.startswith("ret") for line in lines), "no code to look at"
            return [line for line in lines if line.startswith(("vfm", "vfnm", "fmadd", "fmsub", "fmla"))]

        @numba.njit(fastmath={"contract"})
        def control(a, b, c):
            return a * b + c

        control(1.0, 2.0, 3.0)
        make_bank(8, samples=50)
        assert fused(control) or not llvmlite.binding.get_host_cpu_features().get("fma")
        assert not fused(MODELS["camera3d"].walk)
        assert not fused(raster)
        """
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
