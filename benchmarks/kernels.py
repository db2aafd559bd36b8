"""Claim: 25,000 camera-shake kernels in a second, where others need minutes.

    python benchmarks/kernels.py

The same work for every way: kernels of the odd sizes 13 to 29 in turn, from camera paths of 2,000 samples,
one core. Ways take turns, round after round, so that a busy machine slows all of them alike; the ratios are
what to quote. Packages that are not installed are named as such: pip install deepinv motionblur.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # one way, one core; read when the libraries are loaded
# ruff: noqa: E402

import machine
import numpy as np
import torch

from blurgen.kernels.bank import make_bank
from blurgen.kernels.paths import LANES, MODELS
from blurgen.kernels.paths.deviates import CHUNK, chunk_words
from blurgen.kernels.raster import _splat
from blurgen.randomness.normal_table import QUANTILES_Q15

ROOT = Path(__file__).resolve().parent.parent
SIZES = list(range(13, 30, 2))
SAMPLES, COUNT, SEED = 2000, 25000, 0
LENGTH_SCALE = 0.3

Way = Callable[[int], list[np.ndarray]]


def ours(model: str) -> Way:
    def run(count: int) -> list[np.ndarray]:
        bank = make_bank(count, model=model, samples=SAMPLES)
        return [bank.kernel(i) / 32768 for i in range(0, count, max(1, count // 50))]

    return run


def sizes_of(count: int) -> list[int]:
    return [SIZES[i % len(SIZES)] for i in range(count)]


# --- Stand-ins for the scripts people copy ------------------------------------------------------------


def python_boracchi(count: int) -> list[np.ndarray]:
    """The random motion of Boracchi and Foi, sample by sample in plain Python, as its ports have it."""
    return [splat_python(boracchi_path(random.Random(i)), size) for i, size in enumerate(sizes_of(count))]


def boracchi_path(rng: random.Random) -> list[complex]:
    anxiety, gauss, centripetal = 0.1 * rng.random(), 10 * rng.random(), 0.7 * rng.random()
    shake = 0.2 * rng.random()
    step = 64 / (SAMPLES - 1)
    angle = 2 * math.pi * rng.random()
    velocity = complex(math.cos(angle), math.sin(angle)) * step
    path = [0j]
    for _ in range(SAMPLES - 1):
        impulse = 0j
        if rng.random() < shake * anxiety:
            turn = math.pi + rng.random() - 0.5
            impulse = 2 * velocity * complex(math.cos(turn), math.sin(turn))
        deviate = complex(rng.gauss(0, 1), rng.gauss(0, 1))
        velocity += impulse + anxiety * (gauss * deviate - centripetal * path[-1]) * step
        velocity *= step / abs(velocity)
        path.append(path[-1] + velocity)
    return path


def splat_python(path: list[complex], size: int) -> np.ndarray:
    middle = sum(path) / len(path)
    reach = max(max(abs((p - middle).real), abs((p - middle).imag)) for p in path)
    radius = (size - 1) / 2
    kernel = np.zeros((size + 1, size + 1))
    for p in path:
        place = (p - middle) * (radius / reach) + complex(radius, radius)
        column, row = int(place.real), int(place.imag)
        right, down = place.real - column, place.imag - row
        kernel[row, column] += (1 - right) * (1 - down)
        kernel[row, column + 1] += right * (1 - down)
        kernel[row + 1, column] += (1 - right) * down
        kernel[row + 1, column + 1] += right * down
    return kernel[:size, :size] / len(path)


def matern_factor() -> np.ndarray:
    """Return the Cholesky factor of the Matern 5/2 covariance of all samples, [n, n]."""
    times = np.linspace(0, 1, SAMPLES)
    scaled = math.sqrt(5) * np.abs(times[:, None] - times) / LENGTH_SCALE
    covariance = (1 + scaled + scaled**2 / 3) * np.exp(-scaled)
    return np.linalg.cholesky(covariance + 1e-9 * np.eye(SAMPLES))


def numpy_gaussian_process() -> Way:
    """All kernels of a size at once: one matrix product for the paths, one bincount for the weights."""
    factor, rng = matern_factor(), np.random.default_rng(SEED)

    def run(count: int) -> list[np.ndarray]:
        made = []
        for size in SIZES:
            n = max(1, count // len(SIZES))
            paths = (factor @ rng.standard_normal((SAMPLES, 2 * n))).T.reshape(n, 2, SAMPLES)
            paths -= paths.mean(axis=2, keepdims=True)
            radius = (size - 1) / 2
            paths *= radius / np.abs(paths).max(axis=(1, 2), keepdims=True)
            paths += radius
            whole = paths.astype(np.int64)
            column, row = whole[:, 0], whole[:, 1]
            right, down = paths[:, 0] - column, paths[:, 1] - row
            side = size + 1
            corner = np.arange(n)[:, None] * side * side + row * side + column
            index = np.concatenate([corner, corner + 1, corner + side, corner + side + 1], axis=1)
            weight = np.concatenate(
                [(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down], axis=1
            )
            kernels = np.bincount(index.ravel(), weight.ravel(), n * side * side).reshape(n, side, side)
            made += list(kernels[:, :size, :size] / SAMPLES)
        return made

    return run


def torch_gaussian_process() -> Way:
    """The same with torch: float32, scatter_add."""
    factor = torch.from_numpy(matern_factor()).float()
    generator = torch.Generator().manual_seed(SEED)

    def run(count: int) -> list[np.ndarray]:
        made = []
        for size in SIZES:
            n = max(1, count // len(SIZES))
            paths = (factor @ torch.randn(SAMPLES, 2 * n, generator=generator)).T.reshape(n, 2, SAMPLES)
            paths = paths - paths.mean(dim=2, keepdim=True)
            radius = (size - 1) / 2
            paths = (paths * (radius / paths.abs().amax(dim=(1, 2), keepdim=True)) + radius).clamp(
                0, size - 1
            )
            whole = paths.long()
            column, row = whole[:, 0], whole[:, 1]
            right, down = paths[:, 0] - column, paths[:, 1] - row
            side = size + 1
            corner = row * side + column
            kernels = torch.zeros(n, side * side)
            for shift, weight in (
                (0, (1 - right) * (1 - down)),
                (1, right * (1 - down)),
                (side, (1 - right) * down),
                (side + 1, right * down),
            ):
                kernels.scatter_add_(1, corner + shift, weight)
            made += list((kernels.reshape(n, side, side)[:, :size, :size] / SAMPLES).numpy())
        return made

    return run


# --- What can be installed ----------------------------------------------------------------------------


def deepinv(n_steps: int) -> Way:
    from deepinv.physics.generator import MotionBlurGenerator  # noqa: PLC0415

    generators = [MotionBlurGenerator((size, size), n_steps=n_steps) for size in SIZES]

    def run(count: int) -> list[np.ndarray]:
        n = max(1, count // len(SIZES))
        return [kernel[0].numpy() for g in generators for kernel in g.step(batch_size=n)["filter"]]

    return run


def motionblur() -> Way:
    from motionblur import Kernel  # noqa: PLC0415

    def run(count: int) -> list[np.ndarray]:
        return [Kernel((size, size), intensity=random.random()).kernelMatrix for size in sizes_of(count)]

    return run


def make_ways() -> tuple[dict[str, tuple[Way, int]], list[str]]:
    """Return each way with how many kernels it makes at a time, and what is not installed."""
    ways: dict[str, tuple[Way, int]] = {f"ours, {model}": (ours(model), 2250) for model in MODELS}
    ways["numpy, Gaussian process, in batches"] = (numpy_gaussian_process(), 225)
    ways["torch, Gaussian process, in batches"] = (torch_gaussian_process(), 225)
    ways["plain Python, Boracchi-Foi"] = (python_boracchi, 9)
    absent = []
    # deepinv keeps every 1 / (2 pi) of its steps: 12,566 of them are 2,000 samples, its default is 159.
    for name, make, count in (
        ("deepinv, 2,000 samples", lambda: deepinv(round(2 * math.pi * SAMPLES)), 90),
        ("deepinv, its default of 159 samples", lambda: deepinv(1000), 450),
        ("motionblur (draws polygons with PIL)", motionblur, 450),
    ):
        try:
            ways[name] = (make(), count)
        except ImportError as error:
            absent.append(f"{name}: {error}")
    return ways, absent


# --- Measuring ----------------------------------------------------------------------------------------


def check(ways: dict[str, tuple[Way, int]]) -> dict[str, str]:
    """Return what is wrong with each way's kernels; raises AssertionError if anything is with ours."""
    said = {}
    for name, (run, count) in ways.items():
        kernels = run(min(count, 450))
        faults = []
        if not all(np.isfinite(k).all() for k in kernels):
            faults.append("NaN")
        if max(abs(k.sum() - 1) for k in kernels) > 1e-4:
            faults.append("sum is not 1")
        middle = [np.indices(k.shape) - (k.shape[0] - 1) / 2 for k in kernels]
        offset = max(np.abs((m * k).sum(axis=(1, 2))).max() for m, k in zip(middle, kernels, strict=True))
        if offset > 0.5:
            faults.append(f"centre of mass up to {offset:.1f} px off")
        border = [k[[0, -1]].any() or k[:, [0, -1]].any() for k in kernels]
        if not all(border):
            faults.append(f"{100 - 100 * np.mean(border):.0f} % do not fill their size")
        said[name] = "; ".join(faults) or "sound"
        assert said[name] == "sound" or not name.startswith("ours"), said[name]
    return said


def time_ways(ways: dict[str, tuple[Way, int]], rounds: int) -> dict[str, dict[str, float]]:
    """Return kernels per second of processor time on one core: median and quartiles over rounds."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, (run, count) in ways.items():
            start = time.process_time()
            run(count)
            if turn:  # the first round warms up
                rates[name].append(count / (time.process_time() - start))
    return {
        name: dict(zip(("low", "median", "high"), np.percentile(found, [25, 50, 75]).tolist(), strict=True))
        for name, found in rates.items()
    }


def best(run: Callable[[], object], rounds: int = 5) -> tuple[float, float]:
    """Return the shortest wall and processor time of a call, after a first one."""
    run()
    times = []
    for _ in range(rounds):
        wall, processor = time.perf_counter(), time.process_time()
        run()
        times.append((time.perf_counter() - wall, time.process_time() - processor))
    return min(t[0] for t in times), min(t[1] for t in times)


def whole_banks(rounds: int) -> dict[str, Any]:
    """Return times of a bank of 25,000 kernels, compute only, and check that threads change nothing."""
    results: dict[str, Any] = {}
    digests = set()
    for jobs in (1, 2):
        wall, processor = best(lambda jobs=jobs: digests.add(make_bank(COUNT, threads=jobs).digest), rounds)
        results[f"{jobs}_threads"] = {"wall": wall, "processor": processor}
    assert len(digests) == 1
    return results | {"digest": digests.pop()}


def floor() -> dict[str, float]:
    """Return the least processor time of one camera3d kernel: its random numbers and its splats, in us."""
    numbers, attempts = np.arange(LANES, dtype=np.uint64), np.zeros(LANES, np.uint32)
    words = np.empty((4, LANES, CHUNK), np.uint32)
    chunks = -(-(SAMPLES - 1) // (2 * CHUNK))

    def draw() -> None:
        for c in range(chunks):
            chunk_words(np.uint64(SEED), numbers, attempts, 16 + c * CHUNK, words)

    place = QUANTILES_Q15[: 2 * SAMPLES * LANES : 2].reshape(SAMPLES, LANES) / QUANTILES_Q15.max() / 4
    arrays = (np.full(LANES, 10.0), np.zeros(LANES), np.zeros(LANES), np.full(LANES, 10.0))
    grid, weight = np.empty((LANES, 30, 30)), np.ones((SAMPLES, LANES))

    def splat() -> None:
        _splat(place, place[::-1], weight, *arrays, grid)

    words_us = 1e6 * best(lambda: [draw() for _ in range(50)])[1] / 50 / LANES
    splat_us = 1e6 * best(lambda: [splat() for _ in range(50)])[1] / 50 / LANES
    return {
        "words_per_second": 1e6 * chunks * CHUNK * 4 / words_us,
        "splats_per_second": 1e6 * SAMPLES / splat_us,
        "words_us": words_us,
        "splats_us": splat_us,
    }


def process(*words: str, cache: str | None = None) -> dict[str, float]:
    """Run a command as a whole process; return its wall time and the processor time of it."""
    environment = os.environ | ({"NUMBA_CACHE_DIR": cache} if cache else {})
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *words], env=environment, capture_output=True, check=True)
    wall, after = time.perf_counter() - start, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall": wall, "processor": used}


def whole_processes(rounds: int) -> dict[str, Any]:
    """Return the times of ``blurgen make-kernels`` with an empty and with a warm compile cache."""
    program = "from blurgen_cli.kernels import make_kernels; make_kernels()"
    with tempfile.TemporaryDirectory() as folder:
        words = ("-c", program, "--out", str(Path(folder) / "kernels.h5"), "--jobs", "2")
        cache = str(Path(folder) / "cache")
        cold = process(*words, cache=cache)
        warm = [process(*words, cache=cache) for _ in range(rounds)]
        return {
            "cold": cold,
            "warm": {key: min(w[key] for w in warm) for key in ("wall", "processor")},
            "compile_seconds": cold["processor"] - min(w["processor"] for w in warm),
        }


def report(results: dict[str, Any]) -> str:
    """Return the Markdown that the README quotes from."""
    ways, mine = results["ways"], results["ways"]["ours, camera3d"]["median"]
    compile_once = results["process"]["compile_seconds"]
    lines = [
        "| way | kernels per CPU second (quartiles) | camera3d is faster by | checked | compile |",
        "|---|--:|--:|---|--:|",
    ]
    for name, way in sorted(ways.items(), key=lambda item: -item[1]["median"]):
        compiled = f"{compile_once:.1f} s once" if name == "ours, camera3d" else "-"
        ratio = "" if name.startswith("ours") else f"{mine / way['median']:,.1f} x"
        digits = 0 if way["median"] > 20 else 1
        lines.append(
            f"| {name} | {way['median']:,.{digits}f} ({way['low']:,.{digits}f} to {way['high']:,.{digits}f}) "
            f"| {ratio} | {way['check']} | {compiled} |"
        )
    lines += [f"\nNot installed: {text}" for text in results["absent"]]
    one, two = results["bank"]["1_threads"], results["bank"]["2_threads"]
    warm, cold, least = results["process"]["warm"], results["process"]["cold"], results["floor"]
    spent, bound = 1e6 / mine, least["words_us"] + least["splats_us"]
    lines += [
        "",
        f"25,000 camera3d kernels, compute only: {one['wall']:.2f} s on one thread, {two['wall']:.2f} s "
        f"on two (processor time {one['processor']:.2f} and {two['processor']:.2f} s); identical, digest "
        f"{results['bank']['digest']}.",
        "",
        f"`blurgen make-kernels`, the whole process: {warm['wall']:.2f} s ({warm['processor']:.2f} s of "
        f"processor time) with a warm compile cache, {cold['wall']:.1f} s ({cold['processor']:.1f} s) "
        "the first time ever.",
        "",
        f"Floor of a kernel on one core: {SAMPLES * 2:,} random words in {least['words_us']:.1f} us "
        f"({least['words_per_second'] / 1e6:,.0f} M/s) and {SAMPLES:,} splats in {least['splats_us']:.1f} us "
        f"({least['splats_per_second'] / 1e6:,.0f} M/s), together {bound:.1f} us; it takes {spent:.1f} us, "
        f"{spent / bound:.1f} times that.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "kernels.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    ways, absent = make_ways()
    on = machine.describe("numpy", "numba", "torch", "deepinv", "motionblur", "blurgen")
    checked = check(ways)
    timed = time_ways(ways, options.rounds)
    results = {
        "machine": on,
        "ways": {name: timed[name] | {"check": checked[name]} for name in ways},
        "absent": absent,
        "bank": whole_banks(options.rounds),
        "floor": floor(),
        "process": whole_processes(options.rounds),
    }
    text = report(results)
    print(text)
    options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    heading = f"{on['cpu']}, {on['cores']} cores, Python {on['python']}, commit {on['commit']}"
    options.json.with_suffix(".md").write_text(f"{heading}\n\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
