"""Claim: the paper's 1,701,000 triplets are a recipe made in minutes, and any of its shards, whenever wanted.

    python benchmarks/scale.py --folder DIR [--faces 27000] [--shards 25]

Three commands, timed from start to exit: ``make-kernels``; ``build-dataset --class-isolated --recipe-only``
with 63 crops of every face; and a slice of shards of that very dataset (102,400 triplets and their class
sets: some 58 GB in DIR). Kernels and a recipe that are in DIR already are taken over, and not timed; shards
must not be there. Random rows of the whole, and of the shards, are compared with the slow twin in
``tests/naive.py``, which knows FORMAT.md and nothing else.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import machine
import numpy as np

from blurgen.dataset.manifest import FULL, ISOLATED, read_manifest, shard_file
from blurgen.dataset.reading import Dataset, open_dataset
from blurgen.dataset.shards import ShardArrays, open_shard

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import naive  # noqa: E402  # of the tests, not of the package

KERNELS, PER_IMAGE = 25_000, 63


def main() -> None:
    """Run the commands, check the rows, print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--faces", type=int, default=27_000)
    parser.add_argument("--shards", type=int, default=25)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=2)
    found = measure(parser.parse_args())
    found = {"machine": machine.describe("blurgen", "numpy", "numba", "h5py", "joblib")} | found
    print(table(found))
    path = ROOT / "benchmarks/results/scale.json"
    path.write_text(json.dumps(found, indent=1) + "\n")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return everything that is claimed."""
    options.folder.mkdir(parents=True, exist_ok=True)
    kernels, data = options.folder / "kernels.h5", options.folder / "data"
    build = [
        *("build-dataset", "--faces", f"procedural:{options.faces}", "--kernels", str(kernels)),
        *("--out", str(data), "--per-image", str(PER_IMAGE), "--class-isolated", "--jobs", str(options.jobs)),
    ]
    rng = np.random.default_rng(0)
    seconds = {}
    if not kernels.exists():
        seconds["kernels"] = run(["make-kernels", "--count", str(KERNELS), "--out", str(kernels)])
    if not (data / "dataset.json").exists():
        seconds["recipe"] = run([*build, "--recipe-only"])
    if read_manifest(data).sets[FULL]:
        raise SystemExit(f"{data}: has shards already; choose another --folder.")
    dataset = open_dataset(data)
    whole = sorted(rng.integers(0, dataset.recipe.count, options.rows).tolist())
    for sample in whole:
        check(dataset, sample, dataset.batch([sample]), FULL)
    seconds["shards"] = run([*build, "--shards", f"0:{options.shards}"])
    sets = read_manifest(data).sets
    checked = 0
    for name in (FULL, *ISOLATED):
        for number in rng.integers(0, options.shards, max(1, options.rows // 5)).tolist():
            shard = open_shard(data / shard_file(name, number))
            row = int(rng.integers(len(shard)))
            parts = ShardArrays(*(part[row : row + 1] for part in shard.parts()))
            check(dataset, int(shard.index["sample"][row]), parts, name)
            checked += 1
    records = [record for name in (FULL, *ISOLATED) for record in sets[name].values()]
    return {
        "triplets": dataset.recipe.count,
        "faces": options.faces,
        "jobs": options.jobs,
        "seconds": seconds,
        "bytes_of_faces": (data / "faces.h5").stat().st_size,
        "shards": options.shards,
        "triplets_in_shards": sum(record.rows for record in sets[FULL].values()),
        "rows_in_all_sets": sum(record.rows for record in records),
        "bytes_in_shards": sum(record.bytes for record in records),
        "rows_of_the_whole_checked": len(whole),
        "rows_of_shards_checked": checked,
    }


def run(words: list[str]) -> float:
    """Run one command of blurgen; return how long it took, in seconds."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "from blurgen_cli.blurgen import main; main()", *words],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


def check(dataset: Dataset, sample: int, row: ShardArrays, name: str) -> None:
    """Compare one row of a set, every byte and its index, with what FORMAT.md says; stop if it is another."""
    recipe, faces, bank = dataset.recipe, dataset.faces, dataset.bank
    patch = recipe.patch_size
    plan = naive.plan(recipe.seed, sample, faces.heights, faces.widths, len(bank), bank.max_size, patch)
    image, top, left, kernel = plan
    face = faces.face(image)
    clean, blurry, mask, isolated, _ = naive.triplet(
        *(face.pixels, face.labels, bank.weights[kernel]),
        *(recipe.seed, sample, top, left, patch, recipe.noise_sigma),
    )
    wanted = blurry if name == FULL else isolated[ISOLATED.index(name)]
    same = (
        np.array_equal(row.clean[0], clean)
        and np.array_equal(row.blurry[0], wanted)
        and np.array_equal(row.mask[0], mask)
        and row.index[0].tolist() == (sample, *plan)
    )
    if not same:
        raise SystemExit(f"{dataset.root}: sample {sample} of {name} is not what FORMAT.md says.")


def table(found: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    seconds, size = found["seconds"], found["bytes_in_shards"]
    rate = found["triplets_in_shards"] / seconds["shards"]
    named = {"kernels": f"{KERNELS:,} kernels", "recipe": f"{found['triplets']:,} triplets as a recipe"}
    lines = [
        f"{found['faces']:,} faces x {PER_IMAGE} = {found['triplets']:,} triplets, {found['jobs']} workers "
        f"on {found['machine']['cores']} cores ({found['machine']['cpu']})",
        "",
        "| command | seconds |",
        "|---|---:|",
        *(f"| {text} | {seconds[name]:,.1f} |" for name, text in named.items() if name in seconds),
        f"| {found['shards']} shards of it, with class sets: {found['triplets_in_shards']:,} triplets, "
        f"{found['rows_in_all_sets']:,} rows, {size / 1e9:.1f} GB | {seconds['shards']:,.1f} |",
        "",
        f"{rate:,.0f} triplets/s with their class sets ({size / seconds['shards'] / 1e6:,.0f} MB/s): all "
        f"{found['triplets']:,} would take {found['triplets'] / rate / 60:,.0f} minutes and "
        f"{size / found['triplets_in_shards'] * found['triplets'] / 1e9:,.0f} GB. Equal to the slow twin: "
        f"{found['rows_of_the_whole_checked']} rows of the whole, {found['rows_of_shards_checked']} of the "
        "shards.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
