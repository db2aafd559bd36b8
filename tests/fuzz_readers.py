"""Damage files at random and read them: ``python fuzz_readers.py FOLDER READER EXAMPLES SEED``.

A process of its own, with little memory, because what a damaged HDF5 file can do to a reader includes
bringing the process down. FOLDER holds a dataset, which stays as it is.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from blurgen.building.verify import verify
from blurgen.dataset.manifest import read_manifest
from blurgen.dataset.reading import open_dataset
from blurgen.dataset.shards import digest_shard, open_shard
from blurgen.errors import InputError
from blurgen.faces.store import FaceStore
from blurgen.info import dataset_info
from blurgen.kernels.bank import KernelBank

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
    digest_shard(path)
    for array in open_shard(path).parts():
        array.tobytes()


READERS = {
    "kernels": ("kernels.h5", read_bank),
    "faces": ("faces.h5", read_faces),
    "shard": ("full/shard-00001.h5", read_shard),
    "list": ("dataset.json", lambda path: read_manifest(path.parent)),
}


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
    file, read = READERS[name]
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
    else:
        fuzz_reader(where, reader, count, which)
