"""Files of kernels that stand for far more than they are: refused before they take the memory or the time."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from blurgen.errors import InputError
from blurgen.kernels.importing import import_bank

SECONDS = 20  # a bomb takes minutes; this is for a machine with other work


@contextmanager
def refused(path, match, most_bytes=64 << 20):
    """Expect InputError naming ``path``, in little time and memory."""
    tracemalloc.start()
    started = time.monotonic()
    try:
        with pytest.raises(InputError, match=match) as refusal:
            yield
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken < most_bytes
    assert time.monotonic() - started < SECONDS
    assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)


# --- MATLAB v7.3 ----------------------------------------------------------------------------------------


def test_many_references_to_one_cell(tmp_path):
    path = tmp_path / "k.mat"
    with h5py.File(path, "w") as file:
        cell = file.create_dataset("#refs#/a", data=np.ones((101, 101)), compression="gzip")
        references = np.full((1, 6000), cell.ref, h5py.ref_dtype)
        file.create_dataset("k", data=references, dtype=h5py.ref_dtype)
    assert path.stat().st_size < 100_000
    with refused(path, "too many for its size"):
        import_bank(path)


def test_a_reference_to_a_cell_of_references_leads_nowhere(tmp_path):
    path = tmp_path / "k.mat"
    with h5py.File(path, "w") as file:
        first = file.create_dataset("#refs#/a", (1, 2), h5py.ref_dtype)
        first[...] = first.ref
        file.create_dataset("k", data=np.full((1, 3), first.ref, h5py.ref_dtype), dtype=h5py.ref_dtype)
    with refused(path, "no variable holds kernels"):
        import_bank(path)


@pytest.mark.parametrize("name", ["k", "#refs#/a"])
def test_a_compressed_array_of_far_more_bytes_than_the_file(tmp_path, name):
    path = tmp_path / "k.mat"
    with h5py.File(path, "w") as file:
        data = file.create_dataset(name, (101, 101, 4000), "f8", chunks=(101, 101, 50), compression="gzip")
        data[..., :50] = 0
        if name != "k":
            file.create_dataset("k", data=np.full((1, 1), data.ref, h5py.ref_dtype), dtype=h5py.ref_dtype)
    with refused(path, "too many for its size"):
        import_bank(path)


def write_chunk(path, shape, content, filters=(h5py.h5z.FILTER_DEFLATE,)):
    """Write a dataset of one chunk that is stored as these bytes."""
    with h5py.File(path, "w") as file:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk(shape)
        for number in filters:
            plan.set_filter(number, 0, (9,))
        space = h5py.h5s.create_simple(shape)
        made = h5py.h5d.create(file.id, b"k", h5py.h5t.NATIVE_DOUBLE, space, plan)
        made.write_direct_chunk((0,) * len(shape), content)


def test_a_chunk_that_inflates_to_more_than_its_size(tmp_path):
    path = tmp_path / "k.mat"
    write_chunk(path, (64, 64), zlib.compress(bytes(30 << 20), 9))
    with refused(path, "inflates to more than its 32,768 bytes"):
        import_bank(path)


def test_a_chunk_of_more_bytes_than_it_stands_for(tmp_path):
    path = tmp_path / "k.mat"
    write_chunk(path, (9, 9), bytes(1 << 20))
    with refused(path, "has chunks that are no chunks of it"):
        import_bank(path)


def test_a_chunk_that_is_to_be_inflated_twice(tmp_path):
    path = tmp_path / "k.mat"
    content = zlib.compress(zlib.compress(bytes(200 << 20), 9), 9)
    write_chunk(path, (64, 64), content, filters=(h5py.h5z.FILTER_DEFLATE,) * 2)
    with refused(path, "compressed in an unusual way"):
        import_bank(path)


def test_a_chunk_that_is_far_larger_than_its_dataset(tmp_path):
    path = tmp_path / "k.mat"
    with h5py.File(path, "w") as file:
        chunks = (1 << 12, 1 << 12)
        file.create_dataset("k", (9, 9), "f8", maxshape=(None, None), chunks=chunks, compression="gzip")
    with refused(path, "too many for its size"):
        import_bank(path)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "gzip", "shuffle": True, "fletcher32": True, "chunks": (4, 9, 5)},
        {"fletcher32": True, "chunks": (21, 9, 9)},
        {"chunks": (5, 5, 5)},
        {"compression": "gzip", "chunks": (1, 9, 9), "maxshape": (None, 9, 9)},
    ],
    ids=["all filters", "checksum", "plain", "may grow"],
)
def test_sound_chunks_are_read(tmp_path, options):
    kernels = np.random.default_rng(3).random((21, 9, 9))
    with h5py.File(tmp_path / "k.mat", "w") as file:
        file.create_dataset("k", data=kernels.transpose(0, 2, 1), **options)
    np.save(tmp_path / "k.npy", kernels)
    assert import_bank(tmp_path / "k.mat").bank.digest == import_bank(tmp_path / "k.npy").bank.digest


# --- MATLAB v5 ------------------------------------------------------------------------------------------


def element(kind, content):
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(shape, *contents, name=b"k", kind=6):
    head = element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, head + element(1, name) + b"".join(contents))


def compressed(content):
    packed = zlib.compress(content, 9)
    return struct.pack("<II", 15, len(packed)) + packed


def write_mat5(path, *elements):
    path.write_bytes(b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + b"".join(elements))


SMALL = matrix((3, 3), element(2, bytes(range(9))))
BOMBS = {
    "more numbers than the sides say": lambda: matrix((9, 9), element(9, bytes(50 << 20))),
    "many kernels": lambda: matrix((101, 101, 600), element(9, bytes(8 * 101 * 101 * 600))),
    "a cell": lambda: matrix((1, 1), matrix((9, 9), element(9, bytes(50 << 20))), kind=1),
    "many cells": lambda: matrix((1, 400_000), SMALL * 400_000, kind=1),
    "empty cells": lambda: matrix((1, 4_000_000), element(14, b"") * 4_000_000, kind=1),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_compressed_variables_that_are_bombs(tmp_path, bomb):
    path = tmp_path / "k.mat"
    write_mat5(path, compressed(BOMBS[bomb]()))
    assert path.stat().st_size < 400_000
    with refused(path, "too many for its size|not a readable MATLAB file", 160 << 20):
        import_bank(path)


@pytest.mark.parametrize(
    "content",
    [
        matrix((1 << 30, 1 << 30), kind=1),
        matrix((1, 1 << 30), element(14, b""), kind=1),
        matrix((3, 3), struct.pack("<II", 9, 0xFFFFFFFF)),
        matrix((3, 3), element(9, bytes(64))),
        matrix((-3, -3), element(9, bytes(72))),
        matrix((3,) * 33, element(9, bytes(72))),
        matrix((3, 3), struct.pack("<II", 9 | 72 << 16, 0)),
        struct.pack("<II", 14, 1 << 31),
        struct.pack("<II", 15, 1 << 31),
        compressed(b""),
        compressed(struct.pack("<II", 14, 1 << 31)),
        compressed(compressed(bytes(1 << 20))),
        struct.pack("<II", 15, 30) + b"x\x9c" + bytes(28),
        b"\x0e\x00",
        matrix((3, 3), element(9, bytes(72)))[:-9],
    ],
    ids=range(15),
)
def test_claims_that_nothing_stands_behind(tmp_path, content):
    path = tmp_path / "k.mat"
    write_mat5(path, content)
    with refused(path, "not a readable MATLAB file|no variable holds kernels"):
        import_bank(path)


def test_cells_within_cells_end_somewhere(tmp_path):
    path, cell = tmp_path / "k.mat", SMALL
    for _ in range(3):
        cell = matrix((1, 1), cell, kind=1)
    write_mat5(path, cell)
    assert len(import_bank(path).bank) == 1
    for _ in range(500):
        cell = matrix((1, 1), cell, kind=1)
    write_mat5(path, cell)
    with refused(path, "no variable holds kernels"):
        import_bank(path)


def test_one_large_kernel_does_not_make_room_for_many_small_ones(tmp_path):
    path = tmp_path / "k.mat"
    large = matrix((101, 101), element(2, b"\1" * 101 * 101))
    write_mat5(path, compressed(matrix((1, 3001), SMALL * 3000 + large, kind=1)))
    with refused(path, "too many for its size", 160 << 20):
        import_bank(path)


def test_what_is_no_kernel_is_not_even_inflated(tmp_path):
    path = tmp_path / "k.mat"
    savemat(path, {"picture": np.zeros((4000, 4000)), "psf": np.eye(9)}, do_compression=True)
    tracemalloc.start()
    assert len(import_bank(path).bank) == 1
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


# --- .npy and pictures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1 << 50, 9, 9), (1 << 62, 9, 9), (-1, 9, 9), (9, 9, True), (2, 9, 9)])
def test_an_npy_header_that_claims_more_than_there_is(tmp_path, shape):
    path = tmp_path / "k.npy"
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(161))
    with refused(path, "not a readable .npy file|is not kernels"):
        import_bank(path)


def test_pictures_of_many_bytes_pipes_and_links_out_of_the_folder(tmp_path):
    folder = tmp_path / "kernels"
    folder.mkdir()
    sound = io.BytesIO()
    Image.fromarray(np.eye(9, dtype=np.uint8) * 200).save(sound, "PNG")
    (folder / "1.png").write_bytes(sound.getvalue())
    assert len(import_bank(folder).bank) == 1
    (folder / "2.png").write_bytes(sound.getvalue() + bytes(2 << 20))
    with refused(folder / "2.png", "more than the 1,048,576 that are read"):
        import_bank(folder)
    (folder / "2.png").unlink()
    (tmp_path / "3.png").write_bytes(sound.getvalue())
    (folder / "3.png").symlink_to(tmp_path / "3.png")
    with refused(folder / "3.png", "leads out of the folder"):
        import_bank(folder)
