"""Claim: pictures as a camera takes them cost little, are exact, and matter.

    python benchmarks/formation.py                               # speed
    python benchmarks/formation.py --minutes 60 --sheets DIR     # also: trained on either, scored on both

Speed: the same crops of the same faces go through every way in turn, round after round; the ratios are what
to quote. Ours is checked byte for byte against tests/naive.py. Beside it is what RSBlur does for a training
picture (blur by OpenCV, highlights, mosaic, photon and read noise, Malvar, tone curve), in numpy and OpenCV.

Training: one small network, from the same weights, takes equally many steps on the paper's pictures and on a
camera's, of the same faces, crops and kernels; both are scored on pictures of both kinds of faces and kernels
that neither has seen.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import machine
import numpy as np
import synthesis
import torch
from msgspec.structs import asdict
from numba import njit
from synthesis import BATCH, FACES, PATCH, SEED, SIDE, SIGMA, Work, best_seconds, make_work

from blurgen.building.build import build_dataset
from blurgen.dataset.pictures import contact_sheet, save_sheet, stage_sheet
from blurgen.dataset.reading import Dataset
from blurgen.faces import parse_source
from blurgen.kernels.bank import make_bank
from blurgen.randomness.normal_table import QUANTILES_Q15
from blurgen.synthesis.camera.engine import CameraDegrader
from blurgen.synthesis.camera.exposure import draw_grain
from blurgen.synthesis.camera.mosaic import add_taps, shape_of
from blurgen.synthesis.camera.rotation import _add
from blurgen.synthesis.camera.settings import Camera
from blurgen.synthesis.camera.shake import trajectory
from blurgen.synthesis.convolve import Taps
from blurgen.synthesis.engine import Degrader
from umsn.nets import build_network, count_parameters, network_config
from umsn.patches.batches import ShardPatches, as_pixels, to_device
from umsn.scoring.metrics import psnr

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import naive  # noqa: E402

SHIFT, ROTATION = Camera(), Camera(motion="rotation")
CHECKED_SHIFT, CHECKED_ROTATION = 3, 1
PAPER_WAY, SHIFT_WAY, ROTATION_WAY = "paper", "camera, shift", "camera, rotation in 32 poses"
SETS_WAY = "camera, shift, with the four class sets"
RSBLUR, WARPS = "RSBlur-style, OpenCV and numpy", "RSBlur-style, mean of 32 OpenCV warps"
MARGIN = 20


def ours(work: Work, camera: Camera | None, *, isolated: bool = False) -> Callable[[np.ndarray], np.ndarray]:
    arrays = (
        *(work.faces.reshape(-1), work.labels.reshape(-1), np.arange(FACES) * SIDE * SIDE),
        *(np.full(FACES, SIDE), np.full(FACES, SIDE), work.weights, work.sizes),
    )
    if camera is None:
        degrader = Degrader(*arrays, patch_size=PATCH, noise_sigma=SIGMA, seed=SEED)
    else:
        degrader = CameraDegrader(*arrays, patch_size=PATCH, noise_sigma=0, seed=SEED, camera=camera)
    out = degrader.degrade(work.index[:BATCH], isolated=isolated)

    def run(index):
        blurry = np.empty((len(index), PATCH, PATCH, 3), np.uint8)
        for start in range(0, len(index), BATCH):
            degrader.degrade(index[start : start + BATCH], isolated=isolated, out=out)
            blurry[start : start + BATCH] = out.blurry
        return blurry

    return run


def to_light(picture: np.ndarray) -> np.ndarray:
    """Return linear light of grey levels 0 to 1, as RSBlur does: by formula, in float32."""
    return np.where(picture < 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4)


def to_display(light: np.ndarray) -> np.ndarray:
    light = np.clip(light, 0, 1)
    return np.where(light < 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def malvar(mosaic: np.ndarray) -> np.ndarray:
    """Demosaic red, green / green, blue by Malvar's filters (OpenCV's filter2D)."""
    green = (
        np.float32([[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]])
        / 8
    )
    beside = np.float32(
        [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]
    )
    across = np.float32(
        [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]]
    )
    found = [cv2.filter2D(mosaic, -1, k) for k in (green, beside / 8, beside.T.copy() / 8, across / 8)]
    picture = np.repeat(mosaic[..., None], 3, axis=2)
    red, blue = np.s_[0::2, 0::2], np.s_[1::2, 1::2]
    in_red_row, in_blue_row = np.s_[0::2, 1::2], np.s_[1::2, 0::2]
    for place in (red, blue):
        picture[(*place, 1)] = found[0][place]
    picture[(*red, 2)], picture[(*blue, 0)] = found[3][red], found[3][blue]
    picture[(*in_red_row, 0)], picture[(*in_red_row, 2)] = found[1][in_red_row], found[2][in_red_row]
    picture[(*in_blue_row, 2)], picture[(*in_blue_row, 0)] = found[1][in_blue_row], found[2][in_blue_row]
    return picture


def rsblur(work: Work, *, warps: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Take clean and blurry pictures one by one, in float32 and with numpy's fastest generator."""
    random = np.random.default_rng(SEED)

    def picture(light: np.ndarray, gains: np.ndarray, noise: tuple[float, float] | None) -> np.ndarray:
        mosaic = np.empty(light.shape[:2], np.float32)
        for y in range(2):
            for x in range(2):
                mosaic[y::2, x::2] = light[y::2, x::2, y + x] / gains[y + x]
        if noise is not None:
            mosaic = random.poisson(np.maximum(mosaic, 0) / noise[0]).astype(np.float32) * np.float32(
                noise[0]
            )
            mosaic += random.standard_normal(mosaic.shape, np.float32) * np.float32(noise[1])
        mosaic = np.clip(mosaic, 0, 1)
        for y in range(2):
            for x in range(2):
                mosaic[y::2, x::2] *= gains[y + x]
        display = to_display(malvar(mosaic))[2:-2, 2:-2]
        return np.clip(display * 255 + 0.5, 0, 255).astype(np.uint8)

    def run(index):
        out = np.empty((len(index), PATCH, PATCH, 3), np.uint8)
        for n, row in enumerate(index):
            display = work.around(row, MARGIN).astype(np.float32) / 255
            light = to_light(display).astype(np.float32)
            clipped = (display >= 250 / 255).all(axis=2, keepdims=True)
            light = light * np.where(clipped, np.float32(1 + random.uniform(0.25, 1.75)), np.float32(1))
            if warps:
                shake = trajectory(ROTATION, SEED, int(row["sample"]), PATCH, int(work.sizes[row["kernel"]]))
                move = np.eye(3)
                move[:2, 2] = MARGIN
                blurred = np.zeros_like(light)
                for homography in shake.homographies:
                    matrix = move @ homography @ np.linalg.inv(move)
                    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
                    blurred += cv2.warpPerspective(light, matrix, light.shape[1::-1], flags=flags)
                blurred /= len(shake.homographies)
            else:
                turned = np.ascontiguousarray(work.kernel(row)[::-1, ::-1], np.float32) / 32768
                blurred = cv2.filter2D(light, -1, turned)
            inside = np.s_[MARGIN - 2 : MARGIN + PATCH + 2, MARGIN - 2 : MARGIN + PATCH + 2]
            gains = np.float32([random.uniform(1.9, 2.4), 1, random.uniform(1.5, 1.9)])
            shot = float(np.exp(random.uniform(np.log(1e-4), np.log(0.012))))
            read = float(np.exp(2.18 * np.log(shot) + 1.2 + 0.26 * random.standard_normal())) ** 0.5
            picture(light[inside], gains, None)
            out[n] = picture(blurred[inside], gains, (shot, read))
        return out

    return run


def make_ways(work: Work) -> dict[str, tuple[Callable, int]]:
    """Return each way and how many triplets it makes at a time, so that rounds stay short."""
    return {
        PAPER_WAY: (ours(work, None), 512),
        SHIFT_WAY: (ours(work, SHIFT), 512),
        SETS_WAY: (ours(work, SHIFT, isolated=True), 256),
        ROTATION_WAY: (ours(work, ROTATION), 64),
        RSBLUR: (rsblur(work, warps=False), 16),
        WARPS: (rsblur(work, warps=True), 8),
    }


def check(work: Work, ways: dict[str, tuple[Callable, int]]) -> dict[str, str]:
    """Say how each way was checked; AssertionError if ours is not equal to the naive version."""
    for name, camera, count in (
        (SHIFT_WAY, SHIFT, CHECKED_SHIFT),
        (ROTATION_WAY, ROTATION, CHECKED_ROTATION),
    ):
        index = work.index[:BATCH]
        for row, found in zip(index[:count], ways[name][0](index), strict=False):
            _, blurry, *_ = naive.camera_triplet(
                work.faces[row["image"]], work.labels[row["image"]], work.weights[row["kernel"]],
                int(work.sizes[row["kernel"]]), SEED, int(row["sample"]), int(row["top"]), int(row["left"]),
                PATCH, asdict(camera),
            )  # fmt: skip
            np.testing.assert_array_equal(found, blurry)
    row = work.index[:BATCH]
    _, blurry, *_ = naive.triplet(
        work.faces[row[0]["image"]], work.labels[row[0]["image"]], work.weights[row[0]["kernel"]], SEED,
        int(row[0]["sample"]), int(row[0]["top"]), int(row[0]["left"]), PATCH, SIGMA,
    )  # fmt: skip
    np.testing.assert_array_equal(ways[PAPER_WAY][0](row)[0], blurry)
    np.testing.assert_array_equal(ways[SETS_WAY][0](row), ways[SHIFT_WAY][0](row))
    ours_ = dict.fromkeys((PAPER_WAY, SHIFT_WAY, SETS_WAY, ROTATION_WAY), "equal to naive")
    return ours_ | dict.fromkeys((RSBLUR, WARPS), "other random numbers")


@njit
def _multiply_add_only(light, taps, even, odd, times):
    for _ in range(times):
        add_taps(light, 0, 1, taps, 0, even, odd)


@njit
def _mix_only(plane, columns, rows, sums, times):
    for _ in range(times):
        _add(plane, columns, rows, sums)


def floor(work: Work) -> dict[str, float]:
    """Return the least time that parts of a triplet can take here, in microseconds."""
    shape = shape_of(PATCH, work.weights.shape[-1])
    tap_pairs, repeats = 128, 2000
    nowhere = np.zeros(tap_pairs, np.int32)
    one_place = Taps(np.array([0, tap_pairs]), nowhere, nowhere, np.zeros(1, np.int64))
    light = np.zeros(4 * shape.half, np.int16)
    even, odd = np.zeros((2, shape.half), np.int32)
    spent = best_seconds(lambda: _multiply_add_only(light, one_place, even, odd, repeats))
    rate = 2 * tap_pairs * 2 * shape.half * repeats / spent
    taps = float(np.count_nonzero(work.weights) / len(work.weights))
    pixels = shape.rows**2
    grain = np.zeros((shape.rows, 2, shape.half), np.int32)
    noise = best_seconds(
        lambda: [draw_grain(np.uint64(1), np.uint64(n), QUANTILES_Q15, shape.rows, grain) for n in range(50)]
    )
    half = shape.rows // 2
    plane = np.zeros((shape.side, shape.stride), np.int16)
    places = np.arange(half, dtype=np.int32) * 512 + 77, np.full(half, 2600, np.int32)
    mixing = best_seconds(lambda: _mix_only(plane, *places, np.zeros(half, np.int64), 2000))
    source = np.zeros(32 << 20, np.uint8)
    target = source.copy()
    copying = best_seconds(lambda: np.copyto(target, source), 10) / (2 * len(source))
    moved = 3 * shape.side**2 + 8 * PATCH**2
    return {
        "taps": taps,
        "multiply_adds_us": 1e6 * taps * pixels / rate,
        "noise_us": 1e6 * noise / 50,
        "bytes_us": 1e6 * moved * copying,
        "mixing_us": 1e6 * mixing / 2000 / half * pixels * ROTATION.poses,
    }


def report_speed(results: dict[str, Any]) -> str:
    """Return the Markdown that the README quotes from."""
    ways, lowest = results["ways"], results["floor"]
    unit = ways[PAPER_WAY]["processor"]
    lines = [
        "| way | triplets/s of one core (quartiles) | CPU time, paper = 1 | checked |",
        "|---|--:|--:|---|",
    ]
    for name, way in ways.items():
        low, high = (1 / seconds for seconds in reversed(way["wall_quartiles"]))
        lines.append(
            f"| {name} | {1 / way['processor']:,.0f} (wall {low:,.0f} to {high:,.0f}) "
            f"| {way['processor'] / unit:.2f} | {way['check']} |"
        )
    common = lowest["noise_us"] + lowest["bytes_us"]
    least = {
        SHIFT_WAY: common + lowest["multiply_adds_us"],
        ROTATION_WAY: common + lowest["mixing_us"],
    }
    lines += [
        "",
        f"Floor of a triplet: {lowest['taps']:.1f} taps of one colour a pixel in "
        f"{lowest['multiply_adds_us']:.1f} us, or mixing four pixels in 32 poses in "
        f"{lowest['mixing_us']:.0f} us; noise in {lowest['noise_us']:.1f} us; memory in "
        f"{lowest['bytes_us']:.1f} us. Linear light, the clean picture and developing are no part of it.",
    ]
    for name, floor_us in least.items():
        spent = 1e6 * ways[name]["processor"]
        lines.append(f"{name}: {spent:.0f} us, {spent / floor_us:.1f} times its floor of {floor_us:.0f} us.")
    return "\n".join(lines)


# --- Trained on either, scored on both ------------------------------------------------------------------

KINDS = {"paper": None, "camera": Camera(motion="rotation")}


def make_datasets(folder: Path, faces: str, seed: int, per_image: int) -> dict[str, Dataset]:
    """Return a recipe of each kind: the same faces, crops and kernels."""
    bank = make_bank(2000, seed=seed)
    made = {}
    for kind, camera in KINDS.items():
        source = parse_source(faces, min_side=PATCH + bank.max_size - 1, patch_size=PATCH, seed=seed)
        made[kind] = build_dataset(
            [source], bank, folder / kind, per_image=per_image, camera=camera, seed=seed, recipe_only=True
        )
    return made


def trained(dataset: Dataset, size: str, batch: int, steps: int) -> tuple[torch.nn.Module, float]:
    """Return a B-Net after ``steps`` steps of the L1 loss, and how many seconds they took."""
    torch.manual_seed(0)
    network = build_network("bnet", network_config("bnet", size))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    patches, order = ShardPatches(dataset), np.random.default_rng(0).permutation(len(dataset))
    start = time.perf_counter()
    for step in range(steps):
        rows = order.take(range(step * batch, (step + 1) * batch), mode="wrap")
        pictures = to_device(patches.read(rows), torch.device("cpu"))
        loss = torch.nn.functional.l1_loss(network(pictures.blurry), pictures.clean)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval(), time.perf_counter() - start


@torch.no_grad()
def score(network: torch.nn.Module | None, dataset: Dataset, count: int) -> float:
    """Return the mean PSNR of restored pictures (None: of the blurry ones), in dB."""
    patches, values = ShardPatches(dataset), []
    for row in np.linspace(0, len(dataset) - 1, min(count, len(dataset)), dtype=np.int64):
        pictures = to_device(patches.read(row[None]), torch.device("cpu"))
        restored = pictures.blurry if network is None else network(pictures.blurry).clamp(0, 1)
        values.append(psnr(as_pixels(restored)[0], as_pixels(pictures.clean)[0]))
    return float(np.mean(values))


def cross_table(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train a network on each kind of pictures and score both on both."""
    with tempfile.TemporaryDirectory() as folder:
        train = make_datasets(Path(folder) / "train", arguments.faces, 1, 2000)
        test = make_datasets(Path(folder) / "test", arguments.test_faces, 2, 4)
        if arguments.sheets is not None:
            arguments.sheets.mkdir(parents=True, exist_ok=True)
            for kind, dataset in test.items():
                save_sheet(contact_sheet(dataset, 6), arguments.sheets / f"{kind}.png")
            save_sheet(stage_sheet(test["camera"], 6), arguments.sheets / "stages.png")
        trial = 8
        seconds = (
            max(trained(train[kind], arguments.size, arguments.batch, trial)[1] for kind in KINDS) / trial
        )
        steps = max(4, int(60 * arguments.minutes / len(KINDS) / seconds))
        networks = {kind: trained(train[kind], arguments.size, arguments.batch, steps) for kind in KINDS}
        rows = {"nothing done": None} | {f"trained on {kind}": networks[kind][0] for kind in KINDS}
        return {
            "network": f"B-Net, {arguments.size}",
            "parameters": count_parameters(networks["paper"][0]),
            "steps": steps,
            "batch": arguments.batch,
            "faces": [arguments.faces, arguments.test_faces],
            "pictures": arguments.pictures,
            "camera": asdict(KINDS["camera"]),
            "seconds": {kind: networks[kind][1] for kind in KINDS},
            "psnr": {
                name: {kind: score(network, test[kind], arguments.pictures) for kind in KINDS}
                for name, network in rows.items()
            },
        }


def report_table(found: dict[str, Any]) -> str:
    lines = ["| PSNR, dB | unseen, paper | unseen, camera |", "|---|--:|--:|"]
    for name, row in found["psnr"].items():
        lines.append(f"| {name} | {row['paper']:.2f} | {row['camera']:.2f} |")
    return "\n".join(
        [
            *lines,
            "",
            f"{found['network']} ({found['parameters']:,} parameters), {found['steps']:,} steps of "
            f"{found['batch']} patches of each kind; faces {found['faces'][0]}, then {found['faces'][1]}.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--minutes", type=float, default=0.0, help="of training in all; 0: speed only")
    parser.add_argument("--faces", default="procedural:400:1")
    parser.add_argument("--test-faces", default="procedural:64:2")
    parser.add_argument("--size", default="quick", help="of the network")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--pictures", type=int, default=200, help="scored, of each kind")
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks/results/formation.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    work = make_work(2048)
    ways = make_ways(work)
    checks, timed = check(work, ways), synthesis.time_ways(work, ways, arguments.rounds)
    results: dict[str, Any] = {
        "machine": machine.describe("numpy", "numba", "opencv-python-headless", "torch"),
        "ways": {name: timed[name] | {"check": checks[name]} for name in ways},
        "floor": floor(work),
    }
    print(report_speed(results))
    if arguments.minutes:
        results["table"] = cross_table(arguments)
        print()
        print(report_table(results["table"]))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
