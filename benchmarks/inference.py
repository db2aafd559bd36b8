"""Deblurring with PyTorch, ONNX Runtime and OpenVINO: milliseconds a face, seconds a photograph.

    python benchmarks/inference.py [--checkpoint FILE] [--photograph 12] [--rounds 5]

All run the same exported network on the same processor with all its cores, one after another in every round;
results are compared with PyTorch's. A face is 128 x 128, one at a time; a photograph of so many megapixels is
cut into the same tiles for all. Writes results/inference.json and results/inference.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from machine import describe
from numpy.typing import NDArray

from umsn.export.onnx import export_onnx, session
from umsn.export.probe import probe_pictures
from umsn.export.whole import whole
from umsn.restore.deblur import Deblurrer
from umsn.weights import default_checkpoint

TILE, OVERLAP = 512, 64
RESULTS = Path(__file__).parent / "results"

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def runners(deblurrer: Deblurrer, folder: Path) -> tuple[dict[str, Run], dict[str, dict[str, float]]]:
    """Return every way to run the network, by name, and what each export says of itself."""
    network = whole(deblurrer).to(memory_format=torch.channels_last)

    def in_torch(precision: torch.dtype | None) -> Run:
        def run(blurry: NDArray[np.float32]) -> NDArray[np.float32]:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision is not None):
                x = torch.from_numpy(blurry).to(memory_format=torch.channels_last)
                return network(x).float().numpy()

        return run

    def in_onnxruntime(path: Path) -> Run:
        opened = session(path)
        return lambda blurry: opened.run(["sharp"], {"blurry": blurry})[0]

    def in_openvino(path: Path, precision: str) -> Run:
        core = openvino.Core()
        hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
        compiled = core.compile_model(core.read_model(path), "CPU", hints)
        return lambda blurry: compiled({"blurry": blurry})["sharp"]

    made = {
        name: export_onnx(deblurrer, folder / f"{name}.onnx", name)  # type: ignore[arg-type]
        for name in ("fp32", "fp16", "int8")
    }
    said = {
        name: {
            "MB": e.size / 1e6,
            "largest": 255 * e.difference.largest,
            "mean": 255 * e.difference.mean,
            "dB lost": e.difference.loss,
        }
        for name, e in made.items()
    }
    return {
        "PyTorch, float32": in_torch(None),
        "PyTorch, bfloat16": in_torch(torch.bfloat16),
        "ONNX Runtime, float32": in_onnxruntime(made["fp32"].path),
        "ONNX Runtime, int8": in_onnxruntime(made["int8"].path),
        "OpenVINO, float32": in_openvino(made["fp32"].path, "f32"),
        "OpenVINO, bfloat16": in_openvino(made["fp32"].path, "bf16"),
    }, said


def photograph(run: Run, pixels: NDArray[np.float32]) -> float:
    """Deblur ``[1, 3, H, W]`` tile by tile; return seconds."""
    start = time.perf_counter()
    step = TILE - OVERLAP
    for top in range(0, pixels.shape[2] - OVERLAP, step):
        for left in range(0, pixels.shape[3] - OVERLAP, step):
            run(np.ascontiguousarray(pixels[..., top : top + TILE, left : left + TILE]))
    return time.perf_counter() - start


def measure(runs: dict[str, Run], megapixels: float, rounds: int) -> list[dict[str, Any]]:
    """Return a row for each way."""
    blurry, _ = probe_pictures(8)
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    large = np.random.default_rng(0).random((1, 3, round(megapixels * 1e6 / width), width), np.float32)
    expected = next(iter(runs.values()))(blurry)
    faces: dict[str, list[float]] = {name: [] for name in runs}
    for name, run in runs.items():
        run(blurry[:1])  # compiles, takes memory
        faces[name] = []
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            for i in range(len(blurry)):
                run(blurry[i : i + 1])
            faces[name].append((time.perf_counter() - start) / len(blurry))
    return [
        {
            "way": name,
            "ms a face": 1000 * statistics.median(faces[name]),
            "s a photograph": photograph(run, large),
            "mean difference, grey levels": float(255 * np.abs(run(blurry) - expected).mean()),
        }
        for name, run in runs.items()
    ]


def markdown(found: dict[str, Any]) -> str:
    """Return the tables."""
    lines = [
        f"Network: {found['network']}. {json.dumps(found['machine'])}",
        "",
        f"| way | ms a face of 128 x 128 | s for {found['megapixels']:g} megapixels "
        "| mean difference from PyTorch, grey levels |",
        "|---|--:|--:|--:|",
    ]
    for row in found["rows"]:
        lines.append(
            f"| {row['way']} | {row['ms a face']:.1f} | {row['s a photograph']:.1f} "
            f"| {row['mean difference, grey levels']:.3f} |"
        )
    lines += [
        "",
        "| ONNX file | MB | largest difference | mean difference | dB lost on drawn faces |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, said in found["exports"].items():
        lines.append(
            f"| {name} | {said['MB']:.1f} | {said['largest']:.2f} | {said['mean']:.3f} "
            f"| {said['dB lost']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, help="default: the shipped weights")
    parser.add_argument("--photograph", type=float, default=12, metavar="MEGAPIXELS")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    deblurrer = Deblurrer(options.checkpoint or default_checkpoint("deblur"), "cpu")
    with tempfile.TemporaryDirectory() as folder:
        runs, exports = runners(deblurrer, Path(folder))
        rows = measure(runs, options.photograph, options.rounds)
    found = {
        "network": type(deblurrer.network).__name__,
        "machine": describe("torch", "onnxruntime", "openvino", "numpy"),
        "megapixels": options.photograph,
        "rows": rows,
        "exports": exports,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "inference.json").write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    (options.out / "inference.md").write_text(markdown(found), "utf-8")
    print(markdown(found))


if __name__ == "__main__":
    main()
