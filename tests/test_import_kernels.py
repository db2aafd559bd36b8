"""Other people's kernels: every container and axis order, and a clear word about what is wrong."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from blurgen.errors import InputError
from blurgen.kernels.bank import KernelBank, make_bank
from blurgen.kernels.importing import import_bank

MADE = make_bank(5, 13, 21, samples=100, seed=4)
KERNELS = MADE.weights / 32768.0  # [5, 21, 21]


def save_mat73(path, **variables):
    """Write a MATLAB v7.3 file as MATLAB does: user block, compressed, axes reversed, cells as references."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            if isinstance(value, list):
                cells = file.require_group("#refs#")
                references = np.empty((1, len(value)), h5py.ref_dtype)
                for i, cell in enumerate(value):
                    cells[f"{name}{i}"] = np.asarray(cell, np.float64).T
                    references[0, i] = cells[f"{name}{i}"].ref
                file.create_dataset(name, data=references, dtype=h5py.ref_dtype)
            else:
                file.create_dataset(name, data=np.asarray(value).T, compression="gzip", chunks=True)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")


def save_mat5(path, **variables):
    cells = {name: np.empty(len(v), object) for name, v in variables.items() if isinstance(v, list)}
    for name, cell in cells.items():
        cell[:] = [np.asarray(kernel) for kernel in variables[name]]
    savemat(path, variables | cells, do_compression=True)


SAVE = {"v5": save_mat5, "v7.3": save_mat73}


@pytest.mark.parametrize("version", SAVE)
@pytest.mark.parametrize(
    "array",
    [KERNELS, KERNELS.transpose(1, 2, 0), KERNELS.transpose(1, 2, 0)[:, :, None], KERNELS[:, None]],
    ids=["Khw", "hwK", "hw1K", "K1hw"],
)
def test_matlab_arrays_in_any_axis_order(version, array, tmp_path):
    SAVE[version](tmp_path / "k.mat", kernels=array)
    bank = import_bank(tmp_path / "k.mat").bank
    assert (bank.weights == MADE.weights).all()
    assert (bank.sizes == MADE.sizes).all()


@pytest.mark.parametrize("version", SAVE)
def test_cell_arrays_with_a_kernel_of_any_size_each(version, tmp_path):
    SAVE[version](tmp_path / "k.mat", psf=[MADE.kernel(i) / 7.0 for i in range(5)])
    bank = import_bank(tmp_path / "k.mat").bank
    assert (bank.weights == MADE.weights).all()
    assert bank.sizes.tolist() == [13, 15, 17, 19, 21]


@pytest.mark.parametrize("version", SAVE)
def test_one_kernel_and_things_that_are_none(version, tmp_path):
    SAVE[version](
        tmp_path / "k.mat", f=MADE.kernel(2).astype(float), x=np.ones((255, 255)), n=np.ones((1, 1))
    )
    bank = import_bank(tmp_path / "k.mat").bank
    assert (bank.weights[0] == MADE.kernel(2)).all()


@pytest.mark.parametrize("version", SAVE)
def test_several_candidates_must_be_named(version, tmp_path):
    SAVE[version](tmp_path / "k.mat", first=KERNELS[0], second=KERNELS[1])
    with pytest.raises(InputError, match=r"several variables could be kernels \(first, second\)"):
        import_bank(tmp_path / "k.mat")
    bank = import_bank(tmp_path / "k.mat", variable="second").bank
    assert (bank.kernel(0) == MADE.kernel(1)).all()
    with pytest.raises(InputError, match="third"):
        import_bank(tmp_path / "k.mat", variable="third")


@pytest.mark.parametrize(
    "array",
    [KERNELS, KERNELS.transpose(1, 2, 0), np.asfortranarray(KERNELS), MADE.weights.astype(np.float32)],
)
def test_npy_arrays(array, tmp_path):
    np.save(tmp_path / "k.npy", array)
    assert (import_bank(tmp_path / "k.npy").bank.weights == MADE.weights).all()


def test_a_cube_is_read_as_its_container_counts(tmp_path):
    cube = np.random.default_rng(1).random((7, 7, 7))
    np.save(tmp_path / "k.npy", cube)
    save_mat5(tmp_path / "k.mat", k=cube)
    assert (import_bank(tmp_path / "k.npy").bank.weights[0] == import_bank_of(cube[0], tmp_path)).all()
    assert (import_bank(tmp_path / "k.mat").bank.weights[0] == import_bank_of(cube[:, :, 0], tmp_path)).all()


def import_bank_of(kernel, folder):
    np.save(folder / "one.npy", kernel)
    return import_bank(folder / "one.npy").bank.weights[0]


def test_a_folder_of_pngs_in_the_order_of_their_numbers(tmp_path):
    for i in range(12):
        picture = np.zeros((15, 15), np.uint8)
        picture[7, 7 - i // 2 : 8 + i // 2] = 10 * (i + 1)
        Image.fromarray(picture).save(tmp_path / f"kernel{i + 1}.png")
    Image.fromarray(np.full((5, 5), 40000, np.uint16)).save(tmp_path / "kernel13.png")
    Image.fromarray(np.eye(5, dtype=np.uint8) * 9).convert("RGB").save(tmp_path / "kernel14.png")
    bank = import_bank(tmp_path).bank
    assert bank.sizes.tolist() == [3, 3, 3, 3, 5, 5, 7, 7, 9, 9, 11, 11, 5, 5]
    assert [np.count_nonzero(k) for k in bank.weights] == [1, 1, 3, 3, 5, 5, 7, 7, 9, 9, 11, 11, 25, 5]
    assert bank.weights[13, 5, 5] == bank.weights[13, 4, 4] > 6500


def test_even_sides_keep_the_origin_of_matlab(tmp_path):
    kernel = np.zeros((4, 6))
    kernel[2, 3] = 1  # where conv2(..., 'same') has the origin of a 4 x 6 kernel
    np.save(tmp_path / "k.npy", kernel)
    imported = import_bank(tmp_path / "k.npy")
    assert imported.center_offset.tolist() == [0]
    assert imported.bank.weights.tolist() == [[[0, 0, 0], [0, 32768, 0], [0, 0, 0]]]


def test_off_centre_kernels_are_reported_and_moved_on_request(tmp_path):
    kernel = np.zeros((11, 11))
    kernel[1, 2:5], kernel[2, 3] = 1, 2  # mass at (row 1.4, column 3): 3.6 above, 2 left of the centre
    np.save(tmp_path / "k.npy", np.stack([kernel, kernel.T]))
    kept, moved = import_bank(tmp_path / "k.npy"), import_bank(tmp_path / "k.npy", center="mass")
    assert kept.center_offset == pytest.approx([np.hypot(3.6, 2)] * 2, abs=1e-3)
    assert (moved.center_offset == kept.center_offset).all()
    assert kept.bank.max_size == 9
    assert moved.bank.max_size == 3
    np.save(tmp_path / "m.npy", moved.bank.weights)
    assert import_bank(tmp_path / "m.npy").center_offset.max() <= 0.5
    assert (moved.bank.weights[0] > 0).tolist() == [[False] * 3, [True] * 3, [False, True, False]]


def test_imported_banks_of_the_largest_size_are_saved_and_loaded(tmp_path):
    np.save(tmp_path / "k.npy", np.random.default_rng(2).random((3, 101, 101)))
    bank = import_bank(tmp_path / "k.npy").bank
    bank.save(tmp_path / "kernels.h5")
    loaded = KernelBank.load(tmp_path / "kernels.h5")
    assert loaded.max_size == 101
    assert loaded.digest == bank.digest
    assert loaded.made_with["imported_from"] == "k.npy"


def test_rounding_noise_below_zero_is_taken_as_zero(tmp_path):
    np.save(tmp_path / "k.npy", np.where(KERNELS[0] > 0, KERNELS[0], -1e-12))
    assert (import_bank(tmp_path / "k.npy").bank.kernel(0) == MADE.kernel(0)).all()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((5, 5)), "kernel 0 has no weights"),
        (np.full((5, 5), np.nan), "kernel 0 has no weights, or some that are not finite"),
        (np.eye(5) - 0.1, "kernel 0 has negative weights"),
        (np.ones((103, 103)), r"shape \(103, 103\) .* is not kernels of 3 to 101 pixels"),
        (np.ones(9), "is not kernels"),
        (np.ones((2, 2, 9, 9)), "is not kernels"),
        (np.ones((5, 5), complex), "is not kernels"),
        (np.array([["a"]]), "is not kernels"),
    ],
)
def test_arrays_that_are_no_kernels_are_refused(array, message, tmp_path):
    np.save(tmp_path / "k.npy", array)
    with pytest.raises(InputError, match=message) as refusal:
        import_bank(tmp_path / "k.npy")
    assert "k.npy" in str(refusal.value)


def test_an_even_kernel_of_the_largest_size_that_needs_more_is_refused(tmp_path):
    np.save(tmp_path / "k.npy", np.eye(101)[::-1] + np.eye(101) * 30 * (np.arange(101) < 20))
    with pytest.raises(InputError, match="101 is the most"):
        import_bank(tmp_path / "k.npy", center="mass")


def test_damaged_and_foreign_files_are_refused(tmp_path):
    save_mat5(tmp_path / "good5.mat", k=KERNELS)
    save_mat73(tmp_path / "good73.mat", k=KERNELS)
    for name in ("good5.mat", "good73.mat"):
        (tmp_path / f"cut-{name}").write_bytes((tmp_path / name).read_bytes()[:700])
    (tmp_path / "text.mat").write_text("hello")
    (tmp_path / "empty.mat").write_bytes(b"")
    (tmp_path / "text.npy").write_text("hello")
    np.save(tmp_path / "objects.npy", np.array([{}, []], object), allow_pickle=True)
    (tmp_path / "kernels.txt").write_text("hello")
    (tmp_path / "folder").mkdir()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "k.png").write_text("hello")
    save_mat5(tmp_path / "words.mat", name="kernel", number=3)
    for name in (
        *(
            "cut-good5.mat",
            "cut-good73.mat",
            "text.mat",
            "empty.mat",
            "text.npy",
            "objects.npy",
            "kernels.txt",
        ),
        *("folder", "pictures", "words.mat", "absent.mat"),
    ):
        with pytest.raises(InputError) as refusal:
            import_bank(tmp_path / name)
        assert name.split(".")[0] in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_colour_and_large_pictures_are_refused(tmp_path):
    Image.new("RGB", (9, 9), (10, 20, 30)).save(tmp_path / "k.png")
    with pytest.raises(InputError, match="is a colour picture"):
        import_bank(tmp_path)
    Image.new("L", (300, 9), 7).save(tmp_path / "k.png")
    with pytest.raises(InputError, match="a kernel has at most 101"):
        import_bank(tmp_path)


def test_a_matlab_file_cannot_point_elsewhere_or_claim_endless_arrays(tmp_path):
    with h5py.File(tmp_path / "k.mat", "w") as file:
        file["k"] = h5py.ExternalLink("other.mat", "/k")
    with pytest.raises(InputError, match="no variable holds kernels"):
        import_bank(tmp_path / "k.mat")
    with pytest.raises(InputError, match="links are not followed"):
        import_bank(tmp_path / "k.mat", variable="k")
    with h5py.File(tmp_path / "b.mat", "w") as file:
        file.create_dataset("k", (1 << 24, 29, 29), "f8", chunks=(1, 29, 29), compression="gzip")
    with pytest.raises(InputError, match="more than"):
        import_bank(tmp_path / "b.mat")


def test_a_wrong_argument_is_named(tmp_path):
    with pytest.raises(ValueError, match="Argument 'center' must be one of keep, mass, not 'box'"):
        import_bank(tmp_path, center="box")
