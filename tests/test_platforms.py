"""On a system without POSIX everything imports, datasets are made and read, networks train and deblur.

Windows is not at hand: what it lacks is taken away (without_posix.py). Its rules for paths are those of
``PureWindowsPath``, and file systems that do not tell A from a are asked about in words.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small_dataset
import small_training
import torch
from torch.utils.data import DataLoader, Dataset

from blurgen.dataset.reading import open_dataset
from blurgen.errors import InputError
from blurgen.files.names import folded, is_portable
from blurgen.kernels.bank import make_bank
from blurgen.testset.build import build_testset
from blurgen.testset.manifest import read_testset

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def run(program, *words):
    """Run Python without POSIX."""
    paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"import without_posix\n{program}", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def modules(package):
    for source in sorted((ROOT / package).rglob("*.py")):
        name = ".".join(source.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield f"blurgen_{name}" if package == "cli" else name


@pytest.mark.parametrize("package", ["blurgen", "umsn", "cli"])
def test_every_module_imports(package):
    run("import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)", *modules(package))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A dataset that was built without POSIX, and where its photographs lie."""
    folder = tmp_path_factory.mktemp("platforms")
    photos = small_dataset.write_photos(folder / "photos")
    program = (
        "import sys, small_dataset\nfrom pathlib import Path\n"
        "small_dataset.build(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    run(program, photos, folder / "data")
    return folder / "data", photos


def test_a_dataset_built_without_posix_is_the_same(built, tmp_path):
    root, photos = built
    small_dataset.build(photos, tmp_path / "data")
    ours, theirs = (
        {
            str(path.relative_to(where)): path.read_bytes()
            for path in sorted(where.rglob("*"))
            if path.is_file() and "lock" not in path.name
        }
        for where in (tmp_path / "data", root)
    )
    assert ours == theirs


READ = """
import sys
import numba
import numpy as np
from blurgen.building.verify import verify
from blurgen.dataset import copy_rows, mapped_rows
from blurgen.dataset.reading import open_dataset
assert copy_rows._CLOCK is None
mapped_rows.gather = numba.njit(nogil=True)(copy_rows.gather.py_func)  # not the one compiled with a clock
data = open_dataset(sys.argv[1])
rows = np.array([int(word) for word in sys.argv[2:]])
print(sum(int(part.astype(np.int64).sum()) for part in data.batch(rows).parts()[:3]))
print(sum(int(part.astype(np.int64).sum()) for part in data.batch(slice(3, 9)).parts()[:3]))
print(verify(sys.argv[1]))
"""


def test_batches_are_read(built):
    root, _ = built
    rows = np.random.default_rng(0).permutation(len(open_dataset(root)))[:20]
    said = run(READ, root, *rows).splitlines()
    data = open_dataset(root)
    wanted = [
        sum(int(part.astype(np.int64).sum()) for part in data.batch(chosen).parts()[:3])
        for chosen in (rows, slice(3, 9))
    ]
    assert [int(said[0]), int(said[1])] == wanted
    assert said[2] == "[]"


TRAIN = """
import sys
from pathlib import Path
import numpy as np
import test_deblur, test_train
from blurgen.dataset.reading import open_dataset
from umsn.restore.deblur import Deblurrer, Segmenter
data, run = map(Path, sys.argv[1:])
test_train.train(data, run, 2)
print(*sorted(path.name for path in run.iterdir()))
networks = {name: test_deblur.build_network(name, size) for name, size in
            (("umsn", test_deblur.TINY_UMSN), ("snet", test_deblur.TINY))}
file = test_deblur.save(run / "both.safetensors", network=networks["umsn"], s_net=networks["snet"])
picture = np.asarray(open_dataset(data)[0].blurry)
print(*Deblurrer(file, "cpu")(picture).shape, *Segmenter(file, "cpu")(picture).shape)
"""


def test_networks_train_and_deblur(tmp_path):
    data = small_training.build(tmp_path / "train", 1).root
    written, shapes = run(TRAIN, data, tmp_path / "run").splitlines()
    assert any(name.endswith(".safetensors") for name in written.split())
    assert shapes == "32 32 3 32 32"


class Rows(Dataset):
    """What a user's own dataset of torch looks like."""

    def __init__(self, root):
        self.triplets = open_dataset(root)

    def __len__(self):
        return len(self.triplets)

    def __getitem__(self, row):
        triplet = self.triplets[row]
        return torch.from_numpy(np.array(triplet.blurry)), int(triplet.index["sample"])


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_of_a_data_loader_read_datasets(built, method):
    rows = Rows(built[0])
    loader = DataLoader(rows, batch_size=5, num_workers=2, multiprocessing_context=method)
    for pictures, samples in loader:
        for picture, sample in zip(pictures, samples.tolist(), strict=True):
            assert np.array_equal(picture.numpy(), rows.triplets[sample].blurry)


def test_names_that_a_file_system_may_not_tell_apart_are_not_used_twice(tmp_path):
    photos = small_dataset.write_photos(tmp_path / "photos", 4)
    for before, after in (("000", "face"), ("001", "FACE"), ("002", "con"), ("003", "a.")):
        for kind in ("images", "labels"):
            (photos / kind / f"{before}.png").rename(photos / kind / f"{after}.png")
    bank = make_bank(count=2, min_size=5, max_size=5, seed=9)
    made = build_testset(
        *small_dataset.sources(photos),
        bank,
        tmp_path / "set",
        face_count=4,
        sizes=[5],
        per_size=1,
        patch_size=small_dataset.PATCH,
    )
    files = [path.name for path in made.clean.iterdir()]
    assert len({folded(name) for name in files}) == 4
    assert all(map(is_portable, files))
    assert read_testset(made.root) == made.manifest


@pytest.mark.parametrize("name", ["CON", "..\\\\face", "C:face", "FACE2"])
def test_a_test_set_with_names_for_one_system_only_is_refused(tmp_path, name):
    bank = make_bank(count=2, min_size=5, max_size=5, seed=9)
    photos = small_dataset.write_photos(tmp_path / "photos", 3)
    made = build_testset(
        *small_dataset.sources(photos),
        bank,
        tmp_path / "set",
        face_count=2,
        sizes=[5],
        per_size=1,
        patch_size=small_dataset.PATCH,
    )
    first, second = (face.file for face in made.manifest.faces)
    text = (made.root / "testset.json").read_text("utf-8")
    text = text.replace(f'"file": "{first}"', '"file": "face2"')
    text = text.replace(f'"file": "{second}"', f'"file": "{name}"')
    (made.root / "testset.json").write_text(text, "utf-8")
    with pytest.raises(InputError, match=r"stem of a file name|have the same file"):
        read_testset(made.root)
