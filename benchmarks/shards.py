"""Claim: a dataset is built at the speed of memory, or of the disk, whole process included.

    python benchmarks/shards.py [--memory /dev/shm] [--disk DIR] [--count 98304]

Every figure is that of the whole command ``blurgen build-dataset``, from its start to its exit, with the
faces decoded before. Rounds go memory, disk, plain write, again and again, so that a busy machine slows all
alike. The plain write beside it is the same number of bytes, one file after another, each synced as ours
are. Every shard is checked against the recipe (``blurgen verify``) after its round.

Memory is measured in pages that are in use already: a virtual machine may have to fetch a free one from its
host, which takes up to ten times as long as filling it. And of small pages, finding them is the larger part
of the writing; for pages of 2 MiB give a folder that was mounted so, larger than memory:

    mount -t tmpfs -o huge=always,size=64g tmpfs FOLDER
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
import numpy as np

from blurgen.building.verify import verify
from blurgen.dataset.reading import open_dataset
from blurgen.dataset.shards import row_bytes
from blurgen.kernels.bank import make_bank
from blurgen.synthesis.recipe import FacesUsed, KernelsUsed, Recipe

ROOT = Path(__file__).resolve().parent.parent
FACES, KERNELS, SHARD, PATCH = 200, 25_000, 4096, 128
PAPER_COUNT, PAPER_FACES = 1_701_000, 27_000
LOOKED_AT_EVERY = 0.5  # seconds: to look takes the processes some milliseconds
BLOCK, AT_HAND = 4 << 20, 1 << 29  # bytes written at a time; bytes of memory that are free at any moment


def main() -> None:
    """Run the rounds, print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--memory", type=Path, default=Path("/dev/shm"))
    parser.add_argument("--disk", type=Path, default=ROOT)
    parser.add_argument("--count", type=int, default=24 * SHARD)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="blurgen-", dir=options.memory) as memory,
        tempfile.TemporaryDirectory(prefix="blurgen-", dir=options.disk) as disk,
    ):
        found = measure(Path(memory), Path(disk), options.count, options.rounds, options.jobs)
    found = {"machine": machine.describe("blurgen", "numpy", "numba", "h5py", "joblib")} | found
    print(table(found))
    path = ROOT / "benchmarks/results/shards.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")


def measure(memory: Path, disk: Path, count: int, rounds: int, jobs: int) -> dict[str, Any]:
    """Return everything that is claimed."""
    make_bank(KERNELS, threads=-1).save(memory / "kernels.h5")
    build(memory, memory / "ready", count, jobs, "--recipe-only")
    build(memory, memory / "warm", SHARD, jobs)  # compiles what is not compiled yet
    size = count * row_bytes(PATCH)
    into_memory, onto_disk, plain = [], [], []
    for _ in range(rounds):
        with memory_in_use(memory, size):
            into_memory.append(build_and_check(memory, memory / "data", count, jobs))
        onto_disk.append(build_and_check(memory, disk / "data", count, jobs))
        plain.append(time_plain_write(disk / "plain", size))
    times = {
        "memory": [built.seconds for built in into_memory],
        "disk": [built.seconds for built in onto_disk],
        "plain write": plain,
    }
    ratios = [each / built.seconds for each, built in zip(plain, onto_disk, strict=True)]
    processor = statistics.median(built.processor_seconds for built in into_memory)
    return {
        "triplets": count,
        "bytes": onto_disk[0].bytes,
        "jobs": jobs,
        "seconds": times,
        "triplets_per_second": {name: count / statistics.median(times[name]) for name in ("memory", "disk")},
        "triplets_per_processor_second": count / processor,
        "disk_to_plain_write": statistics.median(ratios),
        "most_private_bytes_of_a_worker": max(built.private_bytes for built in into_memory + onto_disk),
        "plan_of_1701000_seconds": time_plan(),
        "checked_rows": onto_disk[0].rows,
    }


@dataclass(frozen=True)
class Built:
    """What one build took, and what it made."""

    seconds: float
    processor_seconds: float
    private_bytes: int  # the most that one process had
    bytes: int
    rows: int


def build_and_check(memory: Path, out: Path, count: int, jobs: int) -> Built:
    """Build into ``out``, verify what is there and remove it: in memory it would leave the disk no cache."""
    begin(memory / "ready", out)
    os.sync()
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    private = build(memory, out, count, jobs)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if problems := verify(out, jobs=jobs):
        raise SystemExit("\n".join(map(str, problems)))
    size = sum(path.stat().st_size for path in (out / "full").iterdir())
    rows = len(open_dataset(out))
    shutil.rmtree(out)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Built(seconds, processor, private, size, rows)


def words(memory: Path, out: Path, count: int, jobs: int) -> list[str]:
    """Return the command line under test."""
    return [
        *(sys.executable, "-c", "from blurgen_cli.blurgen import main; main()", "build-dataset"),
        *("--faces", f"procedural:{FACES}", "--kernels", str(memory / "kernels.h5"), "--out", str(out)),
        *("--count", str(count), "--shard-size", str(SHARD), "--jobs", str(jobs)),
    ]


def build(memory: Path, out: Path, count: int, jobs: int, *more: str) -> int:
    """Run the command to its end; return the most private memory one of its processes had, in bytes."""
    process = subprocess.Popen([*words(memory, out, count, jobs), *more], stdout=subprocess.DEVNULL)
    most = 0
    while True:
        try:
            process.wait(LOOKED_AT_EVERY)
            break
        except subprocess.TimeoutExpired:
            most = max([most, *(private_bytes(pid) for pid in family(process.pid))])
    if process.returncode:
        raise SystemExit(f"the build failed with status {process.returncode}")
    return most


def begin(ready: Path, out: Path) -> None:
    """Put a dataset without shards into place: its faces are decoded, its kernels there."""
    out.mkdir(parents=True)
    for name in ("dataset.json", "faces.h5", "kernels.h5"):
        shutil.copy(ready / name, out / name)


@contextmanager
def memory_in_use(folder: Path, size: int) -> Iterator[None]:
    """Fill all memory with a file in ``folder``, and cut that as fast as others want memory.

    Its file system must have room for ``size`` bytes beside it, for a build looks at that first.
    """
    ballast, done = folder / "ballast", threading.Event()
    filled = max(0, min(free_memory() - AT_HAND, shutil.disk_usage(folder).free - size - AT_HAND))
    write_plain(ballast, filled)

    def make_room() -> None:
        left = filled
        while left and not done.wait(0.005):
            wanted = max(0, left + min(0, free_memory() - AT_HAND))
            if wanted < left:
                os.truncate(ballast, wanted)
                left = wanted

    thread = threading.Thread(target=make_room)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        ballast.unlink()


def free_memory() -> int:
    """Return how many bytes of memory nobody uses."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemFree:"))


def time_plain_write(path: Path, size: int) -> float:
    """Return how long it takes to write ``size`` bytes, in files as large as a shard, each synced."""
    shard = SHARD * row_bytes(PATCH)
    path.mkdir()
    start = time.perf_counter()
    for first in range(0, size, shard):
        write_plain(path / f"{first}", min(shard, size - first))
    seconds = time.perf_counter() - start
    shutil.rmtree(path)
    return seconds


def write_plain(path: Path, size: int) -> None:
    """Write a file of ``size`` bytes that no disk can squeeze, and sync it."""
    block = np.random.default_rng(0).integers(0, 256, BLOCK, np.uint8).data
    with open(path, "wb", buffering=0) as file:
        for offset in range(0, size, BLOCK):
            file.write(block[: min(BLOCK, size - offset)])
        os.fsync(file.fileno())


def time_plan() -> float:
    """Return how long it takes to plan the paper's dataset, in seconds, the best of five."""
    recipe = Recipe(
        seed=0,
        count=PAPER_COUNT,
        patch_size=PATCH,
        noise_sigma=0.03,
        shard_size=SHARD,
        class_isolated=False,
        isolation="composite",
        faces=FacesUsed(PAPER_FACES, "0" * 32, []),
        kernels=KernelsUsed(KERNELS, 29, "0" * 32),
    )
    sides = np.full(PAPER_FACES, 256)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        for shard in range(recipe.shard_count):
            recipe.plan(np.arange(*recipe.shard_samples(shard)), sides, sides)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def family(pid: int) -> list[int]:
    """Return a process and all it started."""
    found = [pid]
    for parent in found:
        try:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        except OSError:
            continue
        found += [int(child) for child in children]
    return found


def private_bytes(pid: int) -> int:
    """Return how much memory a process has for itself; pages of mapped files are the system's cache."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Anonymous:", "Swap:")))


def table(found: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    rate = found["triplets_per_second"]
    seconds = {name: statistics.median(values) for name, values in found["seconds"].items()}
    size = found["bytes"] / 1e6
    lines = [
        f"{found['triplets']:,} triplets, {size / 1000:.1f} GB, {found['jobs']} workers on "
        f"{found['machine']['cores']} cores ({found['machine']['cpu']}), load "
        f"{found['machine']['load_at_start']} at the end",
        "",
        "| to | triplets/s | MB/s | seconds |",
        "|---|---:|---:|---:|",
        f"| memory | {rate['memory']:,.0f} | {size / seconds['memory']:,.0f} | {seconds['memory']:.1f} |",
        f"| disk | {rate['disk']:,.0f} | {size / seconds['disk']:,.0f} | {seconds['disk']:.1f} |",
        f"| disk, plain write | | {size / seconds['plain write']:,.0f} | {seconds['plain write']:.1f} |",
        "",
        f"{found['triplets_per_processor_second']:,.0f} triplets per second of processor time, everything "
        f"included; disk / plain write: {found['disk_to_plain_write']:.0%}; a worker's own memory: at most "
        f"{found['most_private_bytes_of_a_worker'] / 1e6:.0f} MB; planning {PAPER_COUNT:,} samples: "
        f"{found['plan_of_1701000_seconds']:.2f} s",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
