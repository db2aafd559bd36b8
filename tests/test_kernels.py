"""Kernel banks: the promises every kernel keeps, the same bytes everywhere, files that can be trusted."""

from __future__ import annotations

import json

import h5py
import naive
import numpy as np
import pytest
from counting import Counting
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from blurgen.errors import InputError
from blurgen.kernels import bank as bank_module
from blurgen.kernels.bank import KernelBank, has_paths, make_bank, trajectory
from blurgen.kernels.paths import MODELS
from blurgen.kernels.raster import to_q15

# Of make_bank(200, model=...) and of a bank with every other argument changed: the same on any machine.
DIGESTS = {
    "camera3d": ("8f49cbe784c19f32c4e05ff18785a725", "08e58eb5332c26456860527275eadc22"),
    "boracchi2d": ("f37a66959ae46d00c88ffde0b86f22d7", "724acc5460924e12b54a0aa40dea9179"),
    "gaussian-process": ("0c6c0f81654dd283e04ce3eb5176c329", "5b5553ea612bc1e910d08fb73d30fa20"),
    "linear": ("74bd4dbfe3fb8a5eb0bb742ca6b869c5", "fcafe2d79e3d1f1009c49dc6766139a2"),
}
NAIVE = {
    "camera3d": naive.camera3d_path,
    "boracchi2d": naive.boracchi2d_path,
    "gaussian-process": naive.gaussian_process_path,
    "linear": naive.linear_path,
}


@pytest.fixture(scope="module", params=MODELS)
def bank(request):
    return make_bank(1800, model=request.param, samples=500, threads=2)


def centers(weights):
    """Return centres of mass (x, y) from the middle, in pixels."""
    place = np.arange(weights.shape[1]) - weights.shape[1] // 2
    return np.stack([weights.sum(axis=1) @ place, weights.sum(axis=2) @ place]) / 32768


def test_every_kernel_sums_to_one_in_q15(bank):
    assert bank.weights.dtype == np.uint16
    assert (bank.weights.sum(axis=(1, 2), dtype=np.int64) == 32768).all()


def test_every_kernel_fits_its_size_and_touches_its_border(bank):
    for i in range(len(bank)):
        kernel = bank.kernel(i)
        assert kernel.shape == (bank.sizes[i],) * 2
        assert kernel.sum() == 32768
        assert kernel[[0, -1]].any() or kernel[:, [0, -1]].any()


def test_centers_of_mass_are_on_the_centre_pixel(bank):
    assert np.abs(centers(bank.weights)).max() < 0.02


def test_sizes_are_in_equal_shares(bank):
    assert np.unique(bank.sizes, return_counts=True)[1].tolist() == [200] * 9
    assert bank.sizes[:10].tolist() == [13, 15, 17, 19, 21, 23, 25, 27, 29, 13]


def test_no_two_kernels_are_alike(bank):
    assert len({kernel.tobytes() for kernel in bank.weights}) == len(bank)


def test_kernels_centred_by_box_touch_opposite_borders():
    bank = make_bank(90, center="box", samples=500)
    for i in range(len(bank)):
        kernel = bank.kernel(i) > 0
        assert (kernel[0].any() and kernel[-1].any()) or (kernel[:, 0].any() and kernel[:, -1].any())
    assert np.abs(centers(bank.weights)).max() > 1


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("center", ["mass", "box"])
def test_kernels_agree_with_the_naive_version(model, center):
    bank = make_bank(10, 9, 15, model, center, seed=11, samples=150)
    for i in range(10):
        x, y, weight = NAIVE[model](11, i, 0, 150)
        assert (bank.kernel(i) == naive.kernel_of_path(x, y, weight, int(bank.sizes[i]), center)).all()


@pytest.mark.parametrize("model", MODELS)
def test_the_same_arguments_give_the_same_bytes_on_any_machine(model):
    other = make_bank(90, 5, 41, model, "box", 2**63, samples=500, exposure=0.4)
    assert (make_bank(200, model=model).digest, other.digest) == DIGESTS[model]


@pytest.mark.parametrize("jobs", [2, 3, -1])
def test_the_number_of_threads_changes_nothing(jobs):
    assert make_bank(1500, samples=100, threads=jobs).digest == make_bank(1500, samples=100).digest


def test_a_longer_bank_begins_with_the_shorter_one():
    short, long = make_bank(21, samples=100), make_bank(50, samples=100)
    assert (long.weights[:21] == short.weights).all()


def test_another_seed_gives_other_kernels():
    first, second = make_bank(90, seed=1, samples=100), make_bank(90, seed=2, samples=100)
    assert not {k.tobytes() for k in first.weights} & {k.tobytes() for k in second.weights}


def test_progress_adds_up_to_the_count():
    done = Counting()
    make_bank(1300, samples=50, threads=2, progress=done)
    assert sum(done.counts) == 1300


def test_kernels_that_come_out_alike_are_drawn_again():
    # So few different lines fit three pixels that hundreds of 5000 come out twice at first.
    bank = make_bank(5000, 3, 3, "linear", samples=50)
    assert len({kernel.tobytes() for kernel in bank.weights}) == 5000
    assert (make_bank(400, 3, 3, "linear", samples=50).weights == bank.weights[:400]).all()
    for i in (328, 429):  # drawn again
        path = trajectory(bank, i)
        assert (naive.kernel_of_path(path.x, path.y, path.weight, 3, "box") == bank.kernel(i)).all()


def test_a_kernel_drawn_again_keeps_the_promises_as_well(monkeypatch):
    real = bank_module._Draw._lanes
    refused = []

    def misfit(draw, numbers, attempts, sizes, paths):
        kernels, fits = real(draw, numbers, attempts, sizes, paths)
        if 328 in numbers and attempts[0] in (1, 2):  # of kernel 328 the first attempt is a twin
            refused.append(kernels[0].tobytes())
            fits[:] = False
        return kernels, fits

    monkeypatch.setattr(bank_module._Draw, "_lanes", misfit)
    bank = make_bank(400, 3, 3, "linear", samples=50)
    assert len(refused) == 2
    assert bank.weights[328].tobytes() not in refused
    assert len({kernel.tobytes() for kernel in bank.weights}) == 400
    trajectory(bank, 328)


def test_the_path_behind_a_kernel_makes_that_kernel_again(bank):
    for i in (0, 7, 1234):
        path = trajectory(bank, i)
        radius = (int(bank.sizes[i]) - 1) / 2
        assert max(np.abs(path.x).max(), np.abs(path.y).max()) == pytest.approx(radius)
        assert path.weight.sum() == pytest.approx(1)
        assert path.length >= radius
        assert set(path.parameters) == set(MODELS[bank.made_with["model"]].parameters)
        again = naive.kernel_of_path(path.x, path.y, path.weight, int(bank.sizes[i]), "mass")
        assert np.abs(again - bank.kernel(i).astype(int)).max() <= 1


def test_exposure_shortens_the_path():
    whole, part = make_bank(9, samples=400), make_bank(9, samples=400, exposure=0.25)
    assert len(trajectory(whole, 0).x) == 400
    assert len(trajectory(part, 0).x) == 100
    assert (part.kernel(8)[[0, -1]].any()) or part.kernel(8)[:, [0, -1]].any()


def test_a_path_of_a_kernel_that_is_not_there_is_refused():
    bank = make_bank(3, samples=50)
    with pytest.raises(ValueError, match="Argument 'i' must be from 0 to 2, not 3"):
        trajectory(bank, 3)
    changed = KernelBank(bank.weights[::-1].copy(), bank.sizes[::-1].copy(), bank.made_with)
    with pytest.raises(ValueError, match="does not hold at 0 what its recipe makes"):
        trajectory(changed, 0)
    with pytest.raises(ValueError, match="no camera paths"):
        trajectory(KernelBank(bank.weights, bank.sizes, {"imported_from": "x.mat"}), 0)


def test_path_lengths_and_extents_lie_where_the_model_puts_them():
    bank = make_bank(450, threads=2)
    lengths = np.array([trajectory(bank, i).length for i in range(450)]) / bank.sizes
    assert 1.5 < lengths.mean() < 1.85
    assert 0.4 < lengths.std() < 0.7
    straight = [
        np.hypot(p.x[-1] - p.x[0], p.y[-1] - p.y[0]) / p.length
        for p in map(trajectory, [bank] * 450, range(450))
    ]
    assert 0.4 < np.mean(straight) < 0.56
    taps = np.count_nonzero(bank.weights, axis=(1, 2)) / bank.sizes
    assert 3 < taps.mean() < 4.5  # curves about two pixels wide


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "Argument 'count' must be from 1 to"),
        ({"min_size": 14}, "Argument 'min_size' must be odd, 3 to 101, not 14"),
        ({"max_size": 103}, "Argument 'max_size' must be odd, 3 to 101, not 103"),
        ({"min_size": 31}, r"Argument 'min_size' must not be above 'max_size' \(29\), not 31"),
        ({"model": "brownian"}, "Argument 'model' must be one of camera3d, "),
        ({"center": "left"}, "Argument 'center' must be one of mass, box, not 'left'"),
        ({"seed": -1}, "Argument 'seed' must be from 0"),
        ({"threads": 0}, "Argument 'threads' must be at least 1"),
        ({"samples": 3}, "Argument 'samples' must be from 50"),
        ({"exposure": 0}, r"Argument 'exposure' must be from 0\.01 to 1"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_bank(**({"count": 5} | arguments))


def test_asking_for_more_kernels_than_there_are_is_refused(monkeypatch):
    monkeypatch.setattr("blurgen.kernels.bank.MOST_ATTEMPTS", 1)
    with pytest.raises(ValueError, match="there are not 5000 different kernels of model linear"):
        make_bank(5000, 3, 3, "linear", samples=50)


# --- Whole numbers ------------------------------------------------------------------------------------


@settings(deadline=None)  # the first call compiles
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.one_of(st.just(0.0), st.floats(1e-9, 1e9)),
    ).filter(np.any)
)
def test_quantised_weights_agree_with_the_naive_version(weights):
    found = to_q15(weights)
    assert found.sum() == 32768
    assert (found == naive.to_q15(weights / weights.max())).all()
    assert np.abs(found - weights / weights.sum() * 32768).max() < 1 + 1e-6


def test_equal_fractional_parts_are_rounded_up_in_row_major_order():
    assert to_q15(np.ones((1, 3))).tolist() == [[10923, 10923, 10922]]
    assert to_q15(np.ones((3, 1))).ravel().tolist() == [10923, 10923, 10922]


@pytest.mark.parametrize(
    "bad", [np.zeros((3, 3)), -np.eye(3), np.full((3, 3), np.nan), np.full((3, 3), np.inf)]
)
def test_weights_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match="must be finite, not negative and not all 0"):
        to_q15(bad)


# --- Files --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    return make_bank(20, samples=60, seed=9)


def test_a_bank_survives_being_saved(small, tmp_path):
    small.save(tmp_path / "kernels.h5")
    loaded = KernelBank.load(tmp_path / "kernels.h5")
    assert (loaded.weights == small.weights).all()
    assert (loaded.sizes == small.sizes).all()
    assert loaded.made_with == small.made_with
    assert loaded.digest == small.digest
    assert (trajectory(loaded, 3).x == trajectory(small, 3).x).all()
    assert [file.name for file in tmp_path.iterdir()] == ["kernels.h5"]


def test_a_file_is_as_the_format_says(small, tmp_path):
    small.save(tmp_path / "kernels.h5")
    with h5py.File(tmp_path / "kernels.h5") as file:
        assert file.attrs["format"] == "blurgen-kernels"
        assert file.attrs["version"] == 1
        assert json.loads(file.attrs["made_with"])["seed"] == 9
        assert file["kernels"].shape == (20, 29, 29)
        assert file["kernels"].dtype == "<u2"
        assert file["kernels"].chunks is None
        assert file["size"][...].tolist() == small.sizes.tolist()


def test_the_same_bank_is_the_same_file(small, tmp_path):
    small.save(tmp_path / "a.h5")
    small.save(tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def tampered(path, small, change):
    small.save(path)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def _replace(name, data):
    def change(file):
        del file[name]
        file[name] = data

    return change


def _set(where, value):
    def change(file):
        file["kernels"][where] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set((4, 14, 14), 40000), "kernel 4 sums to"),
        (_set((0, slice(None), slice(None)), np.eye(29)[::-1].astype(int) * 0), "kernel 0 sums to 0"),
        (_replace("size", np.full(20, 12, np.uint8)), "a kernel has size 12, expected odd"),
        (_replace("size", np.full(20, 31, np.uint8)), "a kernel has size 31, expected odd"),
        (_replace("size", np.full(20, 5, np.uint8)), "a kernel of size 5 has weights outside"),
        (_replace("size", np.full(19, 29, np.uint8)), r"/size has shape \(19,\), expected \(20\)"),
        (_replace("kernels", np.zeros((20, 30, 30), "<u2")), "/kernels has shape"),
        (_replace("kernels", np.zeros((20, 29), "<u2")), "/kernels has shape"),
        (_replace("kernels", np.zeros((20, 29, 29), "<f4")), "/kernels is of type float32"),
        (_replace("kernels", h5py.ExternalLink("other.h5", "/kernels")), "links are not followed"),
        (lambda file: file.__delitem__("kernels"), "/kernels is missing"),
        (lambda file: file.attrs.__setitem__("made_with", "[1, 2]"), "not a JSON object"),
        (lambda file: file.attrs.__setitem__("format", "blurgen-faces"), "is of format 'blurgen-faces'"),
        (lambda file: file.attrs.__setitem__("version", 2), "is version 2 of blurgen-kernels"),
        (lambda file: file.attrs.__delitem__("format"), "attribute 'format' is missing"),
    ],
)
def test_a_file_that_is_not_a_good_bank_is_refused_by_name(change, message, small, tmp_path):
    path = tampered(tmp_path / "kernels.h5", small, change)
    with pytest.raises(InputError, match=message) as refusal:
        KernelBank.load(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_cut_off_file_is_refused(small, tmp_path):
    small.save(tmp_path / "kernels.h5")
    whole = (tmp_path / "kernels.h5").read_bytes()
    for length in (0, 100, 5000, len(whole) - 1):
        (tmp_path / "cut.h5").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cut\.h5"):
            KernelBank.load(tmp_path / "cut.h5")


def test_joined_banks_keep_every_kernel_in_order(tmp_path):
    long, short = make_bank(4, 13, 15, seed=2), make_bank(3, 3, 5, seed=1)
    bank = KernelBank.joined([short, long])
    bank.save(tmp_path / "joined.h5")
    loaded = KernelBank.load(tmp_path / "joined.h5")
    assert loaded == bank and loaded.max_size == 15
    for i, kernel in enumerate([*short, *long]):
        np.testing.assert_array_equal(loaded[i], kernel)
    assert loaded.made_with["joined"] == [short.made_with, long.made_with]
    assert not has_paths(loaded)
    with pytest.raises(ValueError, match="at least one bank"):
        KernelBank.joined([])
