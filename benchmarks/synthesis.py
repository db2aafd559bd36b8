"""Claim: blurry patches are made at the speed of the processor, and are still exact.

    python benchmarks/synthesis.py

The same crops of the same faces with the same kernels go through every way in turn, round after round, so
that a busy machine slows all of them alike; the ratios are what to quote. Ours is checked byte for byte
against tests/naive.py, the others by how far their blur is from the exact one, in grey levels.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import cv2
import machine
import numpy as np
import scipy.signal
import torch
from numba import njit

from blurgen.faces.procedural import draw_face
from blurgen.kernels.bank import make_bank
from blurgen.synthesis.convolve import SEGMENT, Taps, add_kernel
from blurgen.synthesis.engine import Degrader, draw_words
from blurgen.synthesis.recipe import INDEX_DTYPE

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import naive  # noqa: E402

PATCH, SIGMA, SEED = 128, 0.03, 0
FACES, SIDE = 24, 256
AUTHORS_SIDE = 175  # originalSize of their train_face_deblur.py, cut to 128 after blurring
CHECKED = BATCH = 32
SECONDS_BESIDE = 3.0


@dataclass
class Work:
    """The crops that every way blurs."""

    faces: np.ndarray  # uint8 [n, SIDE, SIDE, 3]
    labels: np.ndarray  # uint8 [n, SIDE, SIDE]
    weights: np.ndarray  # uint16 [K, M, M]
    sizes: np.ndarray  # uint8 [K]
    index: np.ndarray  # INDEX_DTYPE

    def around(self, row, margin: int) -> np.ndarray:
        """Return the pixels of one crop and ``margin`` more on every side."""
        top, left, size = int(row["top"]) - margin, int(row["left"]) - margin, PATCH + 2 * margin
        return self.faces[row["image"], top : top + size, left : left + size]

    def kernel(self, row) -> np.ndarray:
        """Return the kernel of one row in its own size, in Q15."""
        margin = (self.weights.shape[1] - int(self.sizes[row["kernel"]])) // 2
        inside = slice(margin, self.weights.shape[1] - margin)
        return self.weights[row["kernel"], inside, inside]


def make_work(count: int) -> Work:
    bank = make_bank()
    drawn = [draw_face(number, SEED, SIDE) for number in range(FACES)]
    margin = (AUTHORS_SIDE - PATCH) // 2 + 1
    rng = np.random.default_rng(SEED)
    index = np.zeros(count, INDEX_DTYPE)
    index["sample"] = np.arange(count)
    index["image"] = np.arange(count) % FACES
    index["kernel"] = rng.integers(0, len(bank), count)
    for side in ("top", "left"):
        index[side] = rng.integers(margin, SIDE - PATCH - margin + 1, count)
    faces, labels = (np.stack(arrays) for arrays in zip(*drawn, strict=True))
    return Work(faces, labels, bank.weights, bank.sizes, index)


def ours(work: Work, *, isolated: bool = False) -> Callable[[np.ndarray], np.ndarray]:
    area = SIDE * SIDE
    degrader = Degrader(
        work.faces.reshape(-1),
        work.labels.reshape(-1),
        np.arange(FACES) * area,
        np.full(FACES, SIDE),
        np.full(FACES, SIDE),
        work.weights,
        work.sizes,
        patch_size=PATCH,
        noise_sigma=SIGMA,
        seed=SEED,
    )
    out = degrader.degrade(work.index[:BATCH], isolated=isolated)
    blurry = np.empty((len(work.index), PATCH, PATCH, 3), np.uint8)

    def run(index):
        # In batches that stay in the processor's cache until they are used, as the builder makes them.
        for start in range(0, len(index), BATCH):
            degrader.degrade(index[start : start + BATCH], isolated=isolated, out=out)
            blurry[start : start + BATCH] = out.blurry
        return blurry[: len(index)]

    return run


def blur_authors(work, row):
    """Three calls on 175 x 175 pixels with the kernel as it lies in the bank, cut to the patch afterwards."""
    margin = (AUTHORS_SIDE - PATCH) // 2 + 1
    picture = work.around(row, margin).transpose(2, 0, 1)[:, :AUTHORS_SIDE, :AUTHORS_SIDE].astype(np.float32)
    kernel = work.weights[row["kernel"]] / 32768
    for channel in picture:
        channel[:] = scipy.signal.convolve(channel, kernel, mode="same")
    return picture.transpose(1, 2, 0), slice(margin, margin + PATCH)


def blur_scipy(work, row):
    kernel = work.kernel(row)
    picture, kernel = work.around(row, len(kernel) // 2).astype(float), kernel / 32768
    channels = [scipy.signal.convolve(picture[..., c], kernel, mode="valid") for c in range(3)]
    return np.stack(channels, axis=2), slice(None)


def blur_opencv(work, row):
    kernel = work.kernel(row)
    margin = len(kernel) // 2
    turned = np.ascontiguousarray(kernel[::-1, ::-1], np.float32) / 32768
    return cv2.filter2D(work.around(row, margin), cv2.CV_32F, turned), slice(margin, margin + PATCH)


def blur_torch(work, row):
    kernel = work.kernel(row)
    picture = np.ascontiguousarray(work.around(row, len(kernel) // 2))
    channels = torch.from_numpy(picture).permute(2, 0, 1)[:, None].float()
    turned = torch.from_numpy(kernel[::-1, ::-1].astype(np.float32))[None, None]
    blurred = torch.nn.functional.conv2d(channels, turned)[:, 0].permute(1, 2, 0)
    return blurred.numpy() / 32768, slice(None)


def one_by_one(work: Work, blur: Callable, draw: Callable) -> Callable[[np.ndarray], np.ndarray]:
    """Blur, add noise and round patch after patch.

    ``blur`` returns grey levels and which rows and columns of them are the patch.
    """

    def run(index):
        out = np.empty((len(index), PATCH, PATCH, 3), np.uint8)
        for n, row in enumerate(index):
            blurred, inside = blur(work, row)
            if blur is blur_authors:  # noise first, on all 175 pixels
                blurred = (blurred + draw(blurred.shape))[inside, inside]
            else:
                blurred = blurred[inside, inside]
                blurred = blurred + draw(blurred.shape)
            out[n] = np.clip(blurred + 0.5, 0, 255)
        return out

    return run


PEERS = {
    "OpenCV filter2D + numpy noise": blur_opencv,
    "PyTorch conv2d + numpy noise": blur_torch,
    "3 x scipy.signal.convolve + numpy noise, on patch and margin only": blur_scipy,
    "3 x scipy.signal.convolve + numpy noise, as the authors do": blur_authors,
}
FULL, WITH_SETS = "ours", "ours, with the four class sets"


def make_ways(work: Work) -> dict[str, tuple[Callable, int]]:
    """Return each way and how many patches it makes at a time, so that rounds stay short."""
    legacy, modern = np.random.RandomState(SEED), np.random.default_rng(SEED)

    def normal(shape):
        return legacy.normal(0, SIGMA * 255, shape)

    def normal_float32(shape):
        return modern.standard_normal(shape, np.float32) * np.float32(SIGMA * 255)

    ways = {FULL: (ours(work), 512), WITH_SETS: (ours(work, isolated=True), 512)}
    for name, blur in PEERS.items():
        # The authors draw with numpy's global generator; the others get its fastest.
        draw = normal if blur is blur_authors else normal_float32
        ways[name] = (one_by_one(work, blur, draw), 64 if blur is blur_opencv else 16)
    return ways


def check(work: Work, ways: dict[str, tuple[Callable, int]]) -> dict[str, str]:
    """Return how each way compares with the naive version; raises AssertionError if ours is not equal."""
    index = work.index[:CHECKED]
    plain, beside_sets = ways[FULL][0](index), ways[WITH_SETS][0](index)
    errors = dict.fromkeys(PEERS, 0.0)
    for n, row in enumerate(index):
        face, labels = work.faces[row["image"]], work.labels[row["image"]]
        kernel, top, left = work.weights[row["kernel"]], int(row["top"]), int(row["left"])
        _, blurry, *_ = naive.triplet(face, labels, kernel, SEED, int(row["sample"]), top, left, PATCH, SIGMA)
        np.testing.assert_array_equal(plain[n], blurry)
        np.testing.assert_array_equal(beside_sets[n], blurry)
        exact = naive.blur(face, kernel, top, left, PATCH) / 32768
        for name, blur in PEERS.items():
            blurred, inside = blur(work, row)
            errors[name] = max(errors[name], float(np.abs(blurred[inside, inside] - exact).max()))
    said = {name: f"blur off by {error:.0e}" if error else "exact blur" for name, error in errors.items()}
    return {FULL: "equal to naive", WITH_SETS: "equal to naive"} | said


def time_ways(work: Work, ways: dict[str, tuple[Callable, int]], rounds: int) -> dict[str, dict[str, float]]:
    """Return wall and processor seconds a patch on one core, medians and quartiles over rounds."""
    wall: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, (run, size) in ways.items():
            start = turn * size % (len(work.index) - size)
            index = work.index[start : start + size]
            wall_start, processor_start = time.perf_counter(), time.process_time()
            run(index)
            if turn:  # the first round warms up
                wall[name].append((time.perf_counter() - wall_start) / size)
                processor[name].append((time.process_time() - processor_start) / size)
    return {
        name: {
            "wall": float(np.median(wall[name])),
            "wall_quartiles": [float(q) for q in np.percentile(wall[name], [25, 75])],
            "processor": float(np.median(processor[name])),
            "processor_best": min(processor[name]),
        }
        for name in ways
    }


def work_beside_another(number: int, count: int, start: Barrier, results: Any) -> None:
    """Run every way for a while at the same time as another process does."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    work = make_work(count)
    for name, (run, size) in make_ways(work).items():
        run(work.index[:size])
        start.wait()
        began, made = time.perf_counter(), 0
        while time.perf_counter() - began < SECONDS_BESIDE:
            run(work.index[:size])
            made += size
        results.put((number, name, made / (time.perf_counter() - began)))


def two_processes(count: int) -> dict[str, float]:
    """Return triplets a second of two processes together."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(2), context.Queue()
    workers = [
        context.Process(target=work_beside_another, args=(number, count, start, results))
        for number in range(2)
    ]
    for worker in workers:
        worker.start()
    total: dict[str, float] = {}
    for _ in range(2 * (len(PEERS) + 2)):
        _, name, rate = results.get(timeout=600)
        total[name] = total.get(name, 0.0) + rate
    for worker in workers:
        worker.join()
    return total


@njit(cache=True)
def _multiply_add_only(window, taps, sums, table, places, times):
    for _ in range(times):
        add_kernel(window, 0, taps, 0, sums, table, places, 0, sums[:0])


def best_seconds(run: Callable, rounds: int = 20) -> float:
    run()
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return min(seconds)


def floor(work: Work) -> dict[str, float]:
    """Return the least time a triplet can take here, part by part, in microseconds."""
    elements = 3 * PATCH * PATCH
    tap_pairs, repeats = 128, 4000
    nowhere = np.zeros(tap_pairs, np.int32)
    one_place = Taps(np.array([0, tap_pairs]), nowhere, nowhere, np.zeros(1, np.int64))
    window, sums = np.zeros(2 * SEGMENT, np.uint16), np.zeros(SEGMENT, np.int32)
    nothing = np.zeros(1, np.int32), np.zeros(1, np.uint16)
    spent = best_seconds(lambda: _multiply_add_only(window, one_place, sums, *nothing, repeats))
    rate = 2 * tap_pairs * SEGMENT * repeats / spent
    taps = float(np.count_nonzero(work.weights) / len(work.weights))
    words = np.zeros(elements // 2, np.uint32)
    spent_on_words = best_seconds(
        lambda: [draw_words(np.uint64(1), np.uint64(n), 0, words) for n in range(200)]
    )
    margin = float(work.sizes.mean()) - 1
    moved = 3 * (PATCH + margin) ** 2 + PATCH * PATCH + 2 * elements + PATCH * PATCH
    source = np.zeros(32 << 20, np.uint8)
    target = source.copy()
    spent_on_copy = best_seconds(lambda: np.copyto(target, source), 10)
    return {
        "taps_per_element": taps,
        "multiply_adds": taps * elements,
        "multiply_adds_per_second": rate,
        "multiply_adds_us": 1e6 * taps * elements / rate,
        "random_words": elements / 2,
        "random_words_us": 1e6 * spent_on_words / 200,
        "bytes": moved,
        "bytes_us": 1e6 * moved * spent_on_copy / (2 * len(source)),
    }


def compile_seconds() -> float:
    """Return how long the first triplets take in a process that finds no compiled code."""
    program = (
        f"import sys, time; sys.path.insert(0, {str(ROOT / 'benchmarks')!r})\n"
        "import synthesis, numpy as np\n"
        "faces = np.zeros((synthesis.FACES, synthesis.SIDE, synthesis.SIDE, 3), np.uint8)\n"
        "kernels = np.zeros((1, 29, 29), np.uint16)\n"
        "kernels[0, 14, 14] = 32768\n"
        "index = np.zeros(1, synthesis.INDEX_DTYPE)\n"
        "work = synthesis.Work(faces, faces[..., 0].copy(), kernels, np.full(1, 29, np.uint8), index)\n"
        "start = time.process_time()\n"
        "synthesis.ours(work)(index)\n"
        "print(time.process_time() - start)\n"
    )
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"NUMBA_CACHE_DIR": cache}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
    return float(done.stdout)


def report(results: dict[str, Any]) -> str:
    """Return the Markdown that the README quotes from."""
    ways, lowest = results["ways"], results["floor"]
    mine = ways[FULL]["processor"]
    lines = [
        "| way | triplets/s, one process (quartiles) | per CPU second (best round) "
        "| two processes | CPU time, ours = 1 | checked | compile |",
        "|---|--:|--:|--:|--:|---|--:|",
    ]
    for name, way in ways.items():
        low, high = (1 / seconds for seconds in reversed(way["wall_quartiles"]))
        compiled = f"{results['compile_seconds']:.1f} s once" if name in (FULL, WITH_SETS) else "-"
        lines.append(
            f"| {name} | {1 / way['wall']:,.0f} ({low:,.0f} to {high:,.0f}) "
            f"| {1 / way['processor']:,.0f} ({1 / way['processor_best']:,.0f}) "
            f"| {way['two_processes']:,.0f} | {way['processor'] / mine:.1f} | {way['check']} | {compiled} |"
        )
    total = sum(lowest[f"{part}_us"] for part in ("multiply_adds", "random_words", "bytes"))
    lines += [
        "",
        f"Floor of a triplet: {lowest['multiply_adds'] / 1e6:.2f} M multiply-adds "
        f"({lowest['taps_per_element']:.1f} taps) in {lowest['multiply_adds_us']:.1f} us, "
        f"{lowest['random_words']:,.0f} random words in {lowest['random_words_us']:.1f} us, "
        f"{lowest['bytes'] / 1e3:.0f} kB moved in {lowest['bytes_us']:.1f} us: {total:.0f} us together. "
        f"Ours takes {1e6 * mine:.0f} us, {1e6 * mine / total:.1f} times the floor.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks/results/synthesis.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    host = machine.describe("numpy", "numba", "scipy", "opencv-python-headless", "torch")
    count = 2048
    work = make_work(count)
    ways = make_ways(work)
    checks, timed = check(work, ways), time_ways(work, ways, arguments.rounds)
    together = two_processes(count)
    results = {
        "machine": host,
        "work": {
            "patch": PATCH,
            "noise_sigma": SIGMA,
            "kernels": len(work.weights),
            "rounds": arguments.rounds,
        },
        "ways": {
            name: timed[name] | {"two_processes": together[name], "check": checks[name]} for name in ways
        },
        "floor": floor(work),
        "compile_seconds": compile_seconds(),
    }
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(report(results))


if __name__ == "__main__":
    main()
