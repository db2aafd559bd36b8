"""Claim: random batches come at the speed of the page cache, several times faster than by h5py.

    python benchmarks/reading.py [--folder DIR] [--count 8192]

Random rows from the same triplets stored in each way, the files warm in the page cache, or cold: dropped from
it, and opened anew, before each batch. Each way reads in a process of its own, where what another leaves
allocated cannot serve or hinder it, and gets rows of its own, so that none finds in the processor's caches
what another has just read. Ways take turns in random order, so that a busy machine slows all alike: of a
few batches warm, one after the other as a loader reads them, of a single one cold. The figures are medians.
"Into the same arrays", both times such as blurgen makes, leaves out what fresh memory costs. The batches of
blurgen bring the index as well. WebDataset cannot read rows by number: it gives its own order, shuffled in a
buffer of 1,000, and its figures are for as many rows. Every other way is checked to give the same bytes.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import h5py
import lmdb
import machine
import numpy as np
import webdataset

from blurgen.building.build import build_dataset
from blurgen.dataset.reading import Dataset, open_dataset
from blurgen.dataset.shards import ShardArrays, empty_rows
from blurgen.faces import parse_source
from blurgen.kernels.bank import make_bank

ROOT = Path(__file__).resolve().parent.parent
PATCH, SHARD, FACES = 128, 1024, 60
TURN = 10
"""Warm batches a way reads before it is the next one's turn."""
NAMES = ("clean", "blurry", "mask")
SHAPES = ((PATCH, PATCH, 3), (PATCH, PATCH, 3), (PATCH, PATCH))
Batch = tuple[np.ndarray, ...]
Read = Callable[[np.ndarray], Batch]
Open = Callable[[], Read]

MEMMAP, MEMMAP_AGAIN, CONTIGUOUS, SORTED, CHUNKED, LMDB, TAR, OURS, AGAIN, RUN = (
    "raw numpy.memmap",
    "raw numpy.memmap, into the same arrays",
    "h5py contiguous, by index",
    "h5py contiguous, sorted list",
    "h5py chunked by row, by index",
    "LMDB, raw values",
    "WebDataset tar, raw members",
    "blurgen",
    "blurgen, into the same arrays",
    "blurgen, consecutive rows",
)


def main() -> None:
    """Store, read, print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT, help="on the disk to be measured")
    parser.add_argument("--count", type=int, default=8 * SHARD)
    parser.add_argument("--batches", type=int, default=300, help="warm; a tenth of it cold")
    options = parser.parse_args()
    host = machine.describe("blurgen", "numpy", "h5py", "lmdb", "webdataset")
    with tempfile.TemporaryDirectory(prefix="blurgen-", dir=options.folder) as folder:
        ways = ways_to_read(Path(folder), options.count)
        readers = {name: Reader(way) for name, way in ways.items()}
        store(Path(folder), make(Path(folder), options.count))  # nobody keeps what this mapped
        check(ways, options.count)
        found: dict[str, Any] = {"machine": host, "triplets": options.count, "triplets_per_second": {}}
        for size in (16, 256):
            for cold in (False, True):
                name = f"{size} {'cold' if cold else 'warm'}"
                batches = options.batches // 10 if cold else options.batches
                found["triplets_per_second"][name] = measure(
                    Path(folder), readers, options.count, size, batches, cold
                )
    print(table(found))
    path = ROOT / "benchmarks/results/reading.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")


def make(folder: Path, count: int) -> Dataset:
    """Build the dataset that is stored in every way."""
    bank = make_bank(200)
    sources = [parse_source(f"procedural:{FACES}", min_side=PATCH + 28)]
    return build_dataset(sources, bank, folder / "ours", count=count, shard_size=SHARD, jobs=2)


def ways_to_read(folder: Path, count: int) -> dict[str, Open]:
    """Return how what is stored in each way is opened for reading."""
    return {
        MEMMAP: lambda: read_memmap(folder, count),
        MEMMAP_AGAIN: lambda: read_memmap_again(folder, count),
        CONTIGUOUS: lambda: read_h5(folder / "whole.h5"),
        SORTED: lambda: read_h5_sorted(folder / "whole.h5"),
        CHUNKED: lambda: read_h5(folder / "chunked.h5"),
        LMDB: lambda: read_lmdb(folder / "base.lmdb"),
        TAR: lambda: read_tar(folder / "all.tar"),
        OURS: lambda: read_ours(folder / "ours"),
        AGAIN: lambda: read_again(folder / "ours"),
        RUN: lambda: read_run(folder / "ours"),
    }


class Reader:
    """One way to read, in a process of its own."""

    def __init__(self, way: Open) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        context.Process(target=serve, args=(way, theirs), daemon=True).start()
        theirs.close()

    def seconds(self, batches: list[np.ndarray]) -> list[float]:
        """Return how long each batch takes; opens the files first, if they are not open."""
        self._pipe.send(batches)
        taken: list[float] = self._pipe.recv()
        return taken

    def close(self) -> None:
        """Close the files."""
        self._pipe.send(None)
        self._pipe.recv()


def serve(way: Open, pipe: Connection) -> None:
    """Do what a Reader asks for."""
    read = None
    while True:
        batches = pipe.recv()
        if batches is None:
            read = None
            pipe.send(None)
            continue
        read = read or way()
        pipe.send([seconds(read, rows) for rows in batches])


def seconds(read: Read, rows: np.ndarray) -> float:
    """Return how long it takes to read a batch, and to be rid of it."""
    start = time.perf_counter()
    read(rows)
    return time.perf_counter() - start


def store(folder: Path, data: Dataset) -> None:
    """Store the triplets in every way."""
    count = len(data)
    raw = {
        name: np.memmap(folder / f"{name}.raw", np.uint8, "w+", shape=(count, *shape))
        for name, shape in zip(NAMES, SHAPES, strict=True)
    }
    chunked = h5py.File(folder / "chunked.h5", "w")
    whole = h5py.File(folder / "whole.h5", "w")
    for name, shape in zip(NAMES, SHAPES, strict=True):
        chunked.create_dataset(name, (count, *shape), np.uint8, chunks=(1, *shape))
        whole.create_dataset(name, (count, *shape), np.uint8)
    base = lmdb.open(str(folder / "base.lmdb"), map_size=2 * count * 7 * PATCH * PATCH + (64 << 20))
    with tarfile.open(folder / "all.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for first in range(0, count, 256):
            rows = data.batch(slice(first, first + 256))
            end = first + len(rows)
            with base.begin(write=True) as transaction:
                for i in range(len(rows)):
                    parts = [getattr(rows, name)[i].tobytes() for name in NAMES]
                    transaction.put(b"%09d" % (first + i), b"".join(parts))
                    for name, content in zip(NAMES, parts, strict=True):
                        add(tar, f"{first + i:09d}.{name}", content)
            for name in NAMES:
                raw[name][first:end] = getattr(rows, name)
                chunked[name][first:end] = getattr(rows, name)
                whole[name][first:end] = getattr(rows, name)
    chunked.close()
    whole.close()
    base.close()
    os.sync()


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add one member."""
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def opened(root: Path) -> Dataset:
    """Return our dataset with all shards mapped, as they are after the first epoch; reads a row of each."""
    data = open_dataset(root)
    for first in range(0, len(data), SHARD):
        data.batch(slice(first, first + 1))
    return data


def read_ours(root: Path) -> Read:
    """Any rows, by blurgen."""
    data = opened(root)

    def read(rows: np.ndarray) -> Batch:
        batch = data.batch(rows)
        return batch.clean, batch.blurry, batch.mask

    return read


def read_again(root: Path) -> Read:
    """Any rows, by blurgen, into arrays that serve every batch."""
    data = opened(root)
    kept: dict[int, ShardArrays] = {}

    def read(rows: np.ndarray) -> Batch:
        if len(rows) not in kept:
            kept[len(rows)] = empty_rows(len(rows), PATCH)
        batch = data.batch(rows, out=kept[len(rows)])
        return batch.clean, batch.blurry, batch.mask

    return read


def read_run(root: Path) -> Read:
    """As many consecutive rows from the shard of the first; not copied, so a byte of each page is read."""
    read_rows = read_ours(root)

    def read(rows: np.ndarray) -> Batch:
        batch = read_rows(np.arange(len(rows)) + rows[0] // SHARD * SHARD)
        for array in batch:
            touched(array)
        return batch

    return read


def touched(array: np.ndarray) -> int:
    """Read one byte of every page of a mapped array."""
    return int(array.reshape(-1)[::4096].sum())


def empty(count: int) -> Batch:
    """Return arrays for a batch."""
    return tuple(np.empty((count, *shape), np.uint8) for shape in SHAPES)


def mapped(folder: Path, count: int) -> list[np.ndarray]:
    """One file per array, as large as all of them."""
    return [
        np.asarray(np.memmap(folder / f"{name}.raw", np.uint8, "r", shape=(count, *shape)))
        for name, shape in zip(NAMES, SHAPES, strict=True)
    ]


def read_memmap(folder: Path, count: int) -> Read:
    """Any rows, as numpy indexes them."""
    maps = mapped(folder, count)
    return lambda rows: tuple(array[rows] for array in maps)


def read_memmap_again(folder: Path, count: int) -> Read:
    """Any rows, into arrays that serve every batch."""
    maps = mapped(folder, count)
    kept: dict[int, Batch] = {}

    def read(rows: np.ndarray) -> Batch:
        if len(rows) not in kept:
            kept[len(rows)] = empty_rows(len(rows), PATCH).parts()[:3]
        for array, target in zip(maps, kept[len(rows)], strict=True):
            np.take(array, rows, axis=0, out=target, mode="clip")  # the mode that needs no buffer
        return kept[len(rows)]

    return read


def read_h5(path: Path) -> Read:
    """Row after row, as most data sets for training do."""
    file = h5py.File(path)
    datasets = [file[name] for name in NAMES]

    def read(rows: np.ndarray) -> Batch:
        out = empty(len(rows))
        for i, row in enumerate(rows.tolist()):
            for array, dataset in zip(out, datasets, strict=True):
                array[i] = dataset[row]
        return out

    return read


def read_h5_sorted(path: Path) -> Read:
    """A sorted list of rows at once, put back into the order asked for."""
    file = h5py.File(path)
    datasets = [file[name] for name in NAMES]

    def read(rows: np.ndarray) -> Batch:
        unique, back = np.unique(rows, return_inverse=True)
        return tuple(dataset[unique][back] for dataset in datasets)

    return read


def read_lmdb(path: Path) -> Read:
    """A value holds the bytes of all three."""
    base = lmdb.open(str(path), readonly=True, lock=False, readahead=False)
    ends = np.cumsum([int(np.prod(shape)) for shape in SHAPES])[:-1]

    def read(rows: np.ndarray) -> Batch:
        out = empty(len(rows))
        with base.begin(buffers=True) as transaction:
            for i, row in enumerate(rows.tolist()):
                value = np.frombuffer(transaction.get(b"%09d" % row), np.uint8)
                for array, part, shape in zip(out, np.split(value, ends), SHAPES, strict=True):
                    array[i] = part.reshape(shape)
        return out

    return read


def read_tar(path: Path) -> Read:
    """Whatever comes next, shuffled in a buffer of 1,000; over again at the end."""

    def samples() -> Iterator[dict[str, Any]]:
        while True:
            yield from webdataset.WebDataset(str(path), shardshuffle=False).shuffle(1000)

    stream = samples()
    next(stream)  # fills the buffer

    def read(rows: np.ndarray) -> Batch:
        out = empty(len(rows))
        for i in range(len(rows)):
            sample = next(stream)
            for array, name, shape in zip(out, NAMES, SHAPES, strict=True):
                array[i] = np.frombuffer(sample[name], np.uint8).reshape(shape)
        return out

    return read


def check(ways: dict[str, Open], count: int) -> None:
    """Stop unless every way that reads by number gives the same bytes."""
    rows = np.random.default_rng(1).integers(0, count, 64)
    wanted = ways[OURS]()(rows)
    for name, way in ways.items():
        if name in (TAR, RUN):
            continue
        if not all(np.array_equal(a, b) for a, b in zip(way()(rows), wanted, strict=True)):
            raise SystemExit(f"{name} gives other bytes")


def measure(
    folder: Path, readers: dict[str, Reader], count: int, size: int, batches: int, cold: bool
) -> dict[str, float]:
    """Return the median rate of each way, in triplets a second."""
    random = np.random.default_rng(size)
    taken: dict[str, list[float]] = {name: [] for name in readers}
    if not cold:
        for name, reader in readers.items():
            everything = np.array_split(random.permutation(count), count // 256)
            reader.seconds(everything if name != TAR else everything[:1])
    turn = 1 if cold else TURN
    for _ in range(batches // turn):
        for name in random.permutation(list(readers)).tolist():  # nobody always follows the same one
            if cold:
                forget_all(folder, readers)
            taken[name] += readers[name].seconds(list(random.integers(0, count, (turn, size))))
    return {name: size / statistics.median(values) for name, values in taken.items()}


def forget_all(folder: Path, readers: dict[str, Reader]) -> None:
    """Close the files, for what is mapped stays in the page cache, and drop them from it."""
    for name, reader in readers.items():
        if name != TAR:  # it goes on: its buffer fills slowly
            reader.close()
    forget(folder)


def forget(folder: Path) -> None:
    """Drop the files from the page cache (what is mapped at the moment may stay)."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def table(found: dict[str, Any]) -> str:
    """Return the figures as Markdown, in triplets/s, and the ratios that are claimed."""
    columns = list(found["triplets_per_second"])
    lines = [
        f"{found['triplets']:,} triplets; triplets/s for batches of 16 and 256",
        "",
        "| way | " + " | ".join(columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for name in found["triplets_per_second"][columns[0]]:
        rates = [found["triplets_per_second"][column][name] for column in columns]
        lines.append(f"| {name} | " + " | ".join(f"{rate:,.0f}" for rate in rates) + " |")
    for label, ours, other in (
        ("blurgen / memmap", OURS, MEMMAP),
        ("blurgen / memmap, both into the same arrays", AGAIN, MEMMAP_AGAIN),
        ("blurgen / h5py contiguous by index", OURS, CONTIGUOUS),
    ):
        rates_by_column = found["triplets_per_second"].values()
        ratios = [rates[ours] / rates[other] for rates in rates_by_column]
        lines.append(f"| {label} | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
