"""Put hostile things into HDF5 files and read them: ``python hostile_structures.py FOLDER READER``.

A process of its own with little memory: whoever is fooled may crash, fill the memory, or hang, for what lies
outside the file is a pipe, which waits for ever to be read. FOLDER holds a dataset, which stays as it is.
Prints one line for each case that was refused.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import shutil
import struct
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from fuzz_readers import FOREIGN, MEMORY, READERS, check

from blurgen.errors import InputError

SECONDS = 60

DATASETS = {
    "kernels": ("kernels", "size"),
    "faces": ("table", "pixels", "labels"),
    "shard": ("clean", "blurry", "mask", "index"),
    "mat73": ("k",),
}


ATTRIBUTES_OF = {
    "kernels": ("format", "version", "made_with"),
    "faces": ("format", "version", "made_with"),
    "shard": ("format", "version"),
    "mat73": (),
}

# --- in the place of a dataset: each gets the file, the name and the array that was there -----------------


def external_link(file, name, _):
    file[name] = h5py.ExternalLink("outside", f"/{name}")


def external_link_up(file, name, _):
    file[name] = h5py.ExternalLink("../../../../../../etc/passwd", "/")


def soft_link(file, name, _):
    file[name] = h5py.SoftLink("/elsewhere/at/all")


def soft_link_to_itself(file, name, _):
    file[name] = h5py.SoftLink(f"/{name}")


def soft_link_to_a_good_one(file, name, array):
    file["good"] = array
    file[name] = h5py.SoftLink("/good")


def external_storage(file, name, array):
    file.create_dataset(name, array.shape, array.dtype, external=[("outside", 0, array.nbytes)])


def external_storage_absolute(file, name, array):
    place = str(Path(file.filename).parent / "outside")
    file.create_dataset(name, array.shape, array.dtype, external=[(place, 0, h5py.h5f.UNLIMITED)])


def virtual(file, name, array):
    layout = h5py.VirtualLayout(array.shape, array.dtype)
    layout[...] = h5py.VirtualSource("outside", name, array.shape)
    file.create_virtual_dataset(name, layout)


def virtual_of_this_file(file, name, array):
    file["good"] = array
    layout = h5py.VirtualLayout(array.shape, array.dtype)
    layout[...] = h5py.VirtualSource(".", "good", array.shape)
    file.create_virtual_dataset(name, layout)


def group(file, name, _):
    file.create_group(name)


def type_of_a_name(file, name, array):
    file[name] = array.dtype


def nothing(_file, _name, _array):
    pass


def late(file, name, shape, dtype):
    """A contiguous dataset that never got its bytes."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(np.dtype(dtype)), space, plan)


def absurd_length(file, name, array):
    late(file, name, (1 << 32, *array.shape[1:]), array.dtype)


def length_of_most_bytes_there_can_be(file, name, array):
    late(file, name, ((1 << 62) // array[:1].nbytes, *array.shape[1:]), array.dtype)


def absurd_sides(file, name, array):
    late(file, name, (1 << 12,) * array.ndim, array.dtype)


def no_bytes(file, name, array):
    late(file, name, array.shape, array.dtype)


def absurd_chunks(file, name, array):
    file.create_dataset(name, (1 << 40, *array.shape[1:]), array.dtype, chunks=(1, *array.shape[1:]))


def bomb(file, name, array):
    shape = (1 << 30, *array.shape[1:])
    file.create_dataset(name, shape, array.dtype, chunks=(1 << 8, *array.shape[1:]), compression="gzip")


def bomb_in_one_chunk(file, name, array):
    length = (1 << 26) // array[:1].nbytes
    data = np.zeros((length, *array.shape[1:]), array.dtype)
    file.create_dataset(name, data=data, chunks=data.shape, compression="gzip", compression_opts=9)


def compressed(file, name, array):
    file.create_dataset(name, data=array, compression="gzip", shuffle=True, fletcher32=True)


def filter_that_no_one_has(file, name, array):
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk(array.shape)
    plan.set_filter(33000, h5py.h5z.FLAG_OPTIONAL, (1, 2))
    space = h5py.h5s.create_simple(array.shape)
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(array.dtype), space, plan)


def scalar(file, name, _):
    file[name] = np.uint8(3)


def empty(file, name, array):
    file[name] = h5py.Empty(array.dtype)


def no_rows(file, name, array):
    file[name] = array[:0]


def more_dimensions(file, name, array):
    file[name] = array[None]


def texts(file, name, array):
    file.create_dataset(name, array.shape[:1], h5py.string_dtype())


def lists(file, name, array):
    file.create_dataset(name, array.shape[:1], h5py.vlen_dtype(np.uint8))


def references(file, name, array):
    file.create_dataset(name, array.shape, h5py.ref_dtype)


def floats(file, name, array):
    file[name] = np.full(array.shape, np.nan)


def big_endian(file, name, array):
    file.create_dataset(name, array.shape, ">u4")


def compound_of_texts(file, name, array):
    names = array.dtype.names or ("a", "b")
    file.create_dataset(name, array.shape, [(each, h5py.string_dtype()) for each in names])


IN_PLACE = (
    external_link,
    external_link_up,
    soft_link,
    soft_link_to_itself,
    soft_link_to_a_good_one,
    external_storage,
    external_storage_absolute,
    virtual,
    virtual_of_this_file,
    group,
    type_of_a_name,
    nothing,
    absurd_length,
    length_of_most_bytes_there_can_be,
    absurd_sides,
    no_bytes,
    absurd_chunks,
    bomb,
    bomb_in_one_chunk,
    compressed,
    filter_that_no_one_has,
    scalar,
    empty,
    no_rows,
    more_dimensions,
    texts,
    lists,
    references,
    floats,
    big_endian,
    compound_of_texts,
)

# --- in the place of an attribute ------------------------------------------------------------------------

ATTRIBUTES = {
    "number": 5,
    "float": np.nan,
    "array": np.arange(5),
    "texts": ["a", "b"],
    "empty": h5py.Empty("S5"),
    "long": "x" * (1 << 20),
    "lines": "blurgen\n\x1b[31mkernels",
    "no UTF-8": np.bytes_(b"\xff\xfe\xfd"),
    "zeros": np.void(bytes(100)),
}
JSON = {
    "deep": "[" * 200_000,
    "deep object": '{"a":' * 100_000,
    "huge number": "1" * 10_000,
    "list": "[]",
    "nothing": "",
    "null": "null",
    "cut off": '{"sources": [',
}


def files(folder, reader):
    """Yield (case, file): one sound copy after another, each with one thing wrong."""
    sound = folder / (READERS | FOREIGN)[reader][0]
    place = Path(tempfile.mkdtemp())
    os.mkfifo(place / "outside")
    path = place / sound.name

    def changed(case, change):
        shutil.copy(sound, path)
        with h5py.File(path, "r+") as file:
            change(file)
        return case, path

    for name in DATASETS[reader]:
        for make in IN_PLACE:

            def replace(file, name=name, make=make):
                array = file[name][()]
                del file[name]
                make(file, name, array)

            yield changed(f"{name}: {make.__name__}", replace)
    for name in ATTRIBUTES_OF[reader]:
        values = ATTRIBUTES | (JSON if name == "made_with" else {})
        for case, value in values.items():
            yield changed(
                f"attribute {name}: {case}", lambda file, n=name, v=value: set_attribute(file, n, v)
            )
        yield changed(f"attribute {name}: missing", lambda file, n=name: file.attrs.__delitem__(n))
    for make in IN_BYTES if reader in READERS else ():
        content = bytearray(sound.read_bytes())
        make(content)
        path.write_bytes(content)
        yield make.__name__, path
    shutil.rmtree(place)


# --- in the place of bytes: HDF5 itself would follow these for ever ----------------------------------------


def global_heap_with_an_object_of_no_size(content):
    place = content.index(b"GCOL") + 16
    while (number := int.from_bytes(content[place : place + 2], "little")) != 0:
        assert number < 10
        place += 16 + (int.from_bytes(content[place + 8 : place + 16], "little") + 7) // 8 * 8
    content[place + 8 : place + 16] = bytes(8)


def local_heap_with_a_free_block_after_itself(content):
    heap = content.index(b"HEAP")
    free, segment = (int.from_bytes(content[heap + at : heap + at + 8], "little") for at in (16, 24))
    content[segment + free : segment + free + 8] = free.to_bytes(8, "little")


def text_that_looks_like_many_heaps(content):
    """Each would be sound and hold all that follow it: to walk them all takes a square of their number."""
    mark, size, step = b"?" * 64, 1 << 20, 32
    with tempfile.TemporaryFile() as copy:
        copy.write(content)
        with h5py.File(copy, "r+") as file:
            del file.attrs["format"]
            file.attrs.create("format", (mark * (size // 64)).decode(), dtype=h5py.string_dtype())
        copy.seek(0)
        content[:] = copy.read()
    first = content.index(mark)
    for place in range(first, first + size, step):
        content[place : place + step] = struct.pack(
            "<4sB3xQHH4xQ", b"GCOL", 1, len(content) - place, 1, 0, step - 16
        )


def addresses_of_other_sizes(content):
    content[13:15] = b"\x04\x04"


IN_BYTES = (
    global_heap_with_an_object_of_no_size,
    local_heap_with_a_free_block_after_itself,
    text_that_looks_like_many_heaps,
    addresses_of_other_sizes,
)


def set_attribute(file, name, value):
    del file.attrs[name]
    if isinstance(value, str) and len(value) > 60_000:  # too long for an object header of old
        file.attrs.create(name, value, dtype=h5py.string_dtype())
    else:
        file.attrs[name] = value


def main(folder, reader):
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    for case, path in files(folder, reader):
        try:
            (READERS | FOREIGN)[reader][1](path)
        except InputError as error:
            check(error, path)
            print(f"{case}: {str(error).removeprefix(str(path))}"[:200])
        else:
            print(f"ACCEPTED {case}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
