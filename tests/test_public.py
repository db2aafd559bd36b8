"""The public face: what ``import blurgen`` gives, how it shows itself, and that asking takes no time."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import blurgen
from blurgen.errors import Argument, ArgumentError, InputError
from blurgen.kernels.bank import KernelBank


@pytest.fixture(scope="module")
def bank():
    return blurgen.make_kernels(6, 3, 7, seed=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, bank):
    out = tmp_path_factory.mktemp("public")
    bank.save(out / "kernels.h5")
    blurgen.build_dataset(
        "procedural:2", out / "kernels.h5", out / "data", per_image=4, patch_size=32, class_isolated=True
    )
    return out / "data"


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_version_is_told_without_importing_what_is_slow():
    slow = "{'numba', 'h5py', 'torch', 'numpy'}"
    print_loaded = f"print(sorted({slow} & set(sys.modules)))"
    assert run(f"import sys, blurgen; blurgen.__version__, dir(blurgen); {print_loaded}").strip() == "[]"


def test_dir_lists_what_there_is():
    assert dir(blurgen) == sorted(blurgen.__all__)
    for name in blurgen.__all__:
        assert getattr(blurgen, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = blurgen.nothing


# --- blur --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(20, 20), (9, 23), (23, 9), (1, 12), (1, 1)])
def test_a_picture_is_blurred_as_the_definition_says(shape):
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (*shape, 3), np.uint8)
    kernel = blurgen.make_kernels(3, 7, 7, seed=5)[1]
    found = blurgen.blur(picture, kernel)
    mirror = [np.pad(np.arange(n), 3, "reflect" if n > 1 else "edge") for n in shape]
    wide = picture[np.ix_(*mirror)].astype(np.int64)
    total = np.zeros(picture.shape, np.int64)
    for y in range(7):
        for x in range(7):
            total += int(kernel[6 - y, 6 - x]) * wide[y : y + shape[0], x : x + shape[1]]
    assert (found == (total + 16384) // 32768).all()


def test_noise_follows_from_the_seed():
    picture = np.full((16, 16, 3), 100, np.uint8)
    found = blurgen.blur(picture, [[1]], sigma=0.03, seed=4).astype(int) - 100
    assert 5 < found.std() < 10
    assert (blurgen.blur(picture, [[1]], sigma=0.03, seed=4) == found + 100).all()
    assert (blurgen.blur(picture, [[1]], sigma=0.03, seed=5) != found + 100).any()


def test_grey_pictures_and_weights_of_any_sum_will_do():
    picture = np.zeros((9, 9), np.uint8)
    picture[4, 4] = 90
    assert blurgen.blur(picture, np.ones((3, 3)))[3:6, 3:6].tolist() == [[10, 10, 10]] * 3


@pytest.mark.parametrize(
    ("picture", "kernel", "message"),
    [
        (np.zeros((4, 4, 3)), [[1]], "'picture' must be uint8"),
        (np.zeros((4, 4, 4), np.uint8), [[1]], "'picture' must be uint8"),
        (np.zeros((0, 4, 3), np.uint8), [[1]], "'picture' must have pixels"),
        (np.zeros((4, 4, 3), np.uint8), [[1, 2]], "'kernel' must be square with an odd size"),
        (np.zeros((4, 4, 3), np.uint8), [[-1.0]], "'kernel' must be finite, not negative"),
    ],
)
def test_what_cannot_be_blurred_is_named(picture, kernel, message):
    with pytest.raises(ValueError, match=message):
        blurgen.blur(picture, kernel)


# --- banks -------------------------------------------------------------------------------------------


def test_banks_are_equal_when_their_kernels_are(bank, tmp_path):
    bank.save(tmp_path / "kernels.h5")
    assert KernelBank.load(tmp_path / "kernels.h5") == bank
    assert bank != blurgen.make_kernels(6, 3, 7, seed=3)
    assert bank != "bank"
    assert len({bank, blurgen.make_kernels(6, 3, 7, seed=2)}) == 1


def test_a_bank_shows_itself_shortly(bank):
    assert repr(bank) == "KernelBank(6 camera3d kernels, 3 to 7 pixels)"
    assert Image.open(io.BytesIO(bank._repr_png_())).size[0] > 50
    assert (bank[-1] == bank.kernel(5)).all()
    with pytest.raises(IndexError):
        bank[6]


# --- datasets ----------------------------------------------------------------------------------------


def test_a_dataset_and_its_triplets_show_themselves_shortly(folder):
    with blurgen.open_dataset(folder) as data:
        assert repr(data) == f"Dataset('{folder}', 8 triplets of 32 x 32, complete)"
        assert repr(data[0]).startswith("Triplet(sample 0, 32 x 32: face 0 at row ")
        assert repr(data.open_set("isolated/skin")).startswith("ShardSet('isolated/skin', ")
        assert Image.open(io.BytesIO(data[0]._repr_png_())).size == (96, 32)
        assert Image.open(io.BytesIO(data._repr_png_())).size[0] > 100
        assert data[0] == data[0]
        assert data[0] != data[1]
        assert pickle.loads(pickle.dumps(data[0])) == data[0]


def test_rows_are_chosen_by_slice_from_the_end_and_by_mask(folder):
    data = blurgen.open_dataset(folder)
    assert data[-1] == data[7]
    assert data[2:4].index["sample"].tolist() == [2, 3]
    assert data.batch([-1, 0]).index["sample"].tolist() == [7, 0]
    mask = np.zeros(8, bool)
    mask[[1, 6]] = True
    assert data.batch(mask).index["sample"].tolist() == [1, 6]
    for rows in ([8], [-9], np.zeros(7, bool)):
        with pytest.raises(IndexError):
            data.batch(rows)


def test_a_class_alone_names_its_set(folder):
    data = blurgen.open_dataset(folder)
    assert data.open_set("skin").set_name == "isolated/skin"
    with pytest.raises(InputError, match="has no set 'nose'"):
        data.open_set("nose")


def test_a_closed_dataset_opens_what_is_used_again(folder):
    with blurgen.open_dataset(folder) as data:
        first = data[0].blurry
        assert len(data.faces) == 2
    assert (data[0].blurry == first).all()
    assert data.faces.pixels.size


@pytest.mark.parametrize("recipe_only", [False, True])
def test_the_table_says_what_rows_are_made_of(folder, bank, tmp_path, recipe_only):
    if recipe_only:
        options = {"per_image": 4, "patch_size": 32, "class_isolated": True, "recipe_only": True}
        data = blurgen.build_dataset("procedural:2", bank, tmp_path / "data", **options)
    else:
        data = blurgen.open_dataset(folder)
    for set_name in data.sets:
        rows = data.open_set(set_name)
        table = data.table(set_name)
        assert table["sample"].tolist() == rows[:].index["sample"].tolist()
        assert table["kernel_size"].tolist() == [int(bank.sizes[k]) for k in table["kernel"]]
        assert table["name"].tolist() == [data.faces.name(int(i)) for i in table["face"]]
    frame = data.table().to_pandas()
    assert list(frame.columns) == list(data.table())
    assert "<table" in data.table()._repr_html_()


def test_a_table_without_pandas_is_plain(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    table = blurgen.open_dataset(folder).table()
    assert table._repr_html_() is None
    with pytest.raises(InputError, match="pip install pandas"):
        table.to_pandas()


def test_verify_knows_datasets(folder):
    assert blurgen.verify(folder) == []
    with pytest.raises(InputError, match="is no dataset"):
        blurgen.verify(folder.parent)


# --- errors ------------------------------------------------------------------------------------------


def test_the_library_speaks_of_arguments():
    error = InputError("x: give ", Argument("per_image", 3), " or ", Argument("align", False), ".")
    assert str(error) == "x: give per_image=3 or align=False."
    assert error.text(Argument.option) == "x: give --per-image 3 or --no-align."
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    with pytest.raises(ArgumentError, match=r"^Argument 'min_size' must be odd, 3 to 101, not 4\.$"):
        blurgen.make_kernels(3, 4, 7)


def test_a_number_that_is_not_there_is_named(folder, bank):
    with pytest.raises(IndexError, match=r"There is no row 99: the set 'full' has 8 rows\."):
        blurgen.open_dataset(folder)[99]
    with pytest.raises(IndexError, match=r"There is no kernel -99: the bank has 6 kernels\."):
        bank.kernel(-99)
