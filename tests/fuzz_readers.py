"""Damage files at random and read them: ``python fuzz_readers.py FOLDER READER EXAMPLES SEED``.

A process of its own, with little memory, because what a damaged HDF5 file can do to a reader includes
bringing the process down. FOLDER holds a dataset, or files of other programs (``write_foreign``), which stay
as they are.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from blurgen.building.verify import verify
from blurgen.dataset.manifest import read_manifest
from blurgen.dataset.pictures import contact_sheet
from blurgen.dataset.reading import open_dataset
from blurgen.dataset.shards import open_shard, read_layout, record_shard
from blurgen.errors import InputError
from blurgen.export import export
from blurgen.faces import parse_source
from blurgen.faces.decode import decode_labels, decode_picture
from blurgen.faces.landmarks import read_landmarks
from blurgen.faces.store import FaceStore
from blurgen.files.png_checks import read_checked
from blurgen.info import dataset_info
from blurgen.kernels.bank import KernelBank, make_bank
from blurgen.kernels.importing import import_bank
from blurgen.testset.build import build_testset
from blurgen.testset.manifest import read_testset
from umsn.patches.batches import ShardPatches
from umsn.scoring.pairs import DatasetPairs

MEMORY = 3 << 30  # bytes of addresses, of which the libraries take most
SLOWEST = 20_000  # milliseconds an example may take


def read_bank(path):
    bank = KernelBank.load(path)
    assert len(bank.digest) == 32


def read_faces(path):
    store = FaceStore(path)
    store.digests()
    for i in range(len(store)):
        store.face(i)


def read_shard(path):
    record_shard(path)
    for array in open_shard(path).parts():
        array.tobytes()


def read_imported(path):
    bank = import_bank(path).bank
    bank.save(path.with_name("imported.h5"))
    assert len(KernelBank.load(path.with_name("imported.h5"))) == len(bank)


READERS = {
    "kernels": ("kernels.h5", read_bank),
    "faces": ("faces.h5", read_faces),
    "shard": ("full/shard-00001.h5", read_shard),
    "list": ("dataset.json", lambda path: read_manifest(path.parent)),
}
"""Name -> file in a dataset, and what reads it. Whoever reads files of others adds a line, here or below."""

FOREIGN = {
    "mat5": ("five.mat", read_imported),
    "mat73": ("seven.mat", read_imported),
    "mat73 cells": ("cells.mat", read_imported),
    "npy": ("kernels.npy", read_imported),
    "png": ("pictures/1.png", lambda path: read_imported(path.parent)),
    "picture": ("pictures/1.png", lambda path: decode_picture(path.read_bytes(), str(path))),
    "labels": ("pictures/2.png", lambda path: decode_labels(path.read_bytes(), str(path), (9, 9))),
    "checked picture": ("pictures/1.png", lambda path: read_checked(path, (9, 9))),
    "test set": ("testset.json", lambda path: read_testset(path.parent)),
    "landmarks": ("landmarks.txt", read_landmarks),
}
"""The same of files as ``write_foreign`` writes them."""


def write_foreign(folder):
    """Write one small sound file for each reader of FOREIGN."""
    (folder / "pictures").mkdir(parents=True)
    kernels = np.random.default_rng(0).random((3, 9, 9))
    np.save(folder / "kernels.npy", kernels)
    cells = np.empty(3, object)
    cells[:] = list(kernels)
    savemat(folder / "five.mat", {"k": cells}, do_compression=True)
    with h5py.File(folder / "seven.mat", "w", userblock_size=512) as file:
        file.create_dataset("k", data=kernels, compression="gzip", chunks=(2, 9, 9))
    with h5py.File(folder / "cells.mat", "w", userblock_size=512) as file:
        for i, kernel in enumerate(kernels):
            file.create_dataset(f"#refs#/{i}", data=kernel, compression="gzip", shuffle=True)
        references = np.array([[file[f"#refs#/{i}"].ref for i in range(3)]], h5py.ref_dtype)
        file.create_dataset("k", data=references, dtype=h5py.ref_dtype)
    Image.fromarray((kernels[0] * 255).astype(np.uint8)).save(folder / "pictures/1.png")
    Image.fromarray(np.eye(9, dtype=np.uint8)).save(folder / "pictures/2.png")
    source = parse_source("procedural:2", min_side=40, patch_size=32)
    bank = make_bank(2, 5, 7, seed=1)
    build_testset(
        source, bank, folder / "set", face_count=2, sizes=[5, 7], per_size=1, patch_size=32, name="A"
    )
    (folder / "set/testset.json").rename(folder / "testset.json")
    (folder / "landmarks.txt").write_text("a.jpg 1 2 3 4 5 6 7 8 9 10\nb c.jpg 1 2 3 4 5 6 7 8 9 10\n")


def read_dataset(root):
    """Use a dataset in all ways, lastly look for what is wrong; return whether anything is."""
    for use in (dataset_info, open_dataset, lambda root: open_dataset(root).batch([12, 3, 11])):
        try:
            use(root)
        except InputError as error:
            check(error, root)
    try:
        return verify(root) != []
    except InputError as error:
        check(error, root)
        return True


ROWS = {
    "a run of rows": lambda root: open_dataset(root).batch(slice(10, 15)),
    "any rows": lambda root: open_dataset(root).batch([30, 12, 1]),
    "one row": lambda root: open_dataset(root)[12],
    "index": lambda root: open_dataset(root).index(),
    "table": lambda root: open_dataset(root).table(),
    "preview": lambda root: contact_sheet(open_dataset(root), 42),
    "export": lambda root: export(root, "png", root.with_name("exported")),
    "training": lambda root: ShardPatches(open_dataset(root)).read(np.array([30, 12, 1])),
    "scoring": lambda root: list(DatasetPairs(open_dataset(root))),
}
"""Name -> what uses rows of the shards of the dataset in a folder, the third row of the second among them."""


def check(error, path):
    assert str(path) in str(error), error
    assert "\n" not in str(error)
    assert len(str(error)) < 1000 + len(str(path))


@st.composite
def damages(draw, size):
    """A list of ways to damage a file of ``size`` bytes: most of them where HDF5 keeps its structures."""
    place = st.one_of(st.integers(0, min(size, 4096)), st.integers(0, size))
    return draw(
        st.lists(
            st.one_of(
                st.tuples(st.just("set"), place, st.binary(min_size=1, max_size=8)),
                st.tuples(st.just("flip"), place, st.integers(0, 7)),
                st.tuples(st.just("insert"), place, st.binary(min_size=1, max_size=40)),
                st.tuples(st.just("remove"), place, st.integers(1, 40)),
                st.tuples(st.just("cut"), st.integers(0, size), st.none()),
                st.tuples(st.just("copy"), place, place),
            ),
            min_size=1,
            max_size=4,
        )
    )


def damaged(content, ways):
    content = bytearray(content)
    for way, place, value in ways:
        if way == "set":
            content[place : place + len(value)] = value
        elif way == "flip" and place < len(content):
            content[place] ^= 1 << value
        elif way == "insert":
            content[place:place] = value
        elif way == "remove":
            del content[place : place + value]
        elif way == "cut":
            del content[place:]
        elif way == "copy":
            content[place : place + 64] = content[value : value + 64]
    return bytes(content)


def fuzz_reader(folder, name, examples, number):
    file, read = (READERS | FOREIGN)[name]
    sound = (folder / file).read_bytes()
    path = Path(tempfile.mkdtemp()) / Path(file).name

    @seed(number)
    @given(ways=damages(len(sound)))
    @the_settings(examples)
    def run(ways):
        path.write_bytes(damaged(sound, ways))
        try:
            read(path)
        except InputError as error:
            check(error, path.parent)

    run()
    shutil.rmtree(path.parent)


def fuzz_dataset(folder, examples, number):
    """Damage any one file of a dataset: whatever it is, it is found."""
    root = Path(tempfile.mkdtemp()) / "data"
    shutil.copytree(folder, root)
    files = sorted(path for path in root.rglob("*") if path.suffix in {".h5", ".json"})
    before = read_manifest(root)

    @seed(number)
    @given(data=st.data())
    @the_settings(examples)
    def run(data):
        path = data.draw(st.sampled_from(files))
        sound = path.read_bytes()
        content = damaged(sound, data.draw(damages(len(sound))))
        path.write_bytes(content)
        try:
            is_found = read_dataset(root)
            if content != sound and not is_found:  # JSON has more than one way to say the same
                assert path.name == "dataset.json"
                assert read_manifest(root) == before
        finally:
            path.write_bytes(sound)

    run()
    shutil.rmtree(root.parent)


def fuzz_index(folder, examples, number):
    """Damage what a shard says that its rows are made of: whatever uses them refuses it, or takes it."""
    root = Path(tempfile.mkdtemp()) / "data"
    shutil.copytree(folder, root)
    path = root / "full/shard-00001.h5"
    sound = path.read_bytes()
    first, size = read_layout(path).areas()[3]
    change = st.tuples(st.integers(first, first + size - 8), st.binary(min_size=1, max_size=8))

    @seed(number)
    @given(changes=st.lists(change, min_size=1, max_size=3), use=st.sampled_from(sorted(ROWS)))
    @the_settings(examples)
    def run(changes, use):
        path.write_bytes(damaged(sound, [("set", *change) for change in changes]))
        try:
            ROWS[use](root)
        except InputError as error:
            check(error, path)
        shutil.rmtree(root.with_name("exported"), ignore_errors=True)

    run()
    shutil.rmtree(root.parent)


def the_settings(examples):
    return settings(
        max_examples=examples,
        deadline=SLOWEST,
        database=None,
        phases=(Phase.generate,) if examples > 1000 else (Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


if __name__ == "__main__":
    where, reader, count, which = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    assert np.arange(3).sum() == 3  # everything is loaded before there is less memory
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    if reader == "dataset":
        fuzz_dataset(where, count, which)
    elif reader == "index":
        fuzz_index(where, count, which)
    else:
        fuzz_reader(where, reader, count, which)
