"""All that a GPU has to show, in under ten minutes.

    python benchmarks/gpu.py                                   # writes results/gpu.md and gpu.json
    python benchmarks/gpu.py --device cpu --tiny --out /tmp    # its logic, without a GPU

- patches made on the device are those of the shards, bit for bit;
- losses in bfloat16 follow those in float32;
- killed and resumed, a training goes on as if it had not been;
- two processes share the card, and learn what one learns;
- steps/s of each stage, ours and plain eager float32, and the share of the measured matrix peak (targets:
  35 % for UMSN and S-Net, four times eager at batch 16);
- patches/s made on the device (target: 100,000);
- where the time of a step goes.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import machine as computer
import numpy as np
import torch
from steps import (
    STAGES,
    Way,
    learner_of,
    make_dataset,
    matrix_peak,
    operations,
    seconds_each,
    table,
)

from blurgen.dataset.reading import Dataset
from umsn import checkpoint
from umsn.patches.batches import FULL, Batches, ShardPatches, to_device
from umsn.patches.device_patches import DevicePatches
from umsn.training.machine import Machine, arithmetic_of_a_gpu

_CURVE_WINDOW = 0.25
"""Share of a curve, at its end, whose mean is compared."""


def same_patches(dataset: Dataset, device: torch.device, count: int) -> list[dict[str, Any]]:
    """Compare patches of every set with those of the shards."""
    rows = []
    for name in dataset.sets:
        ours, theirs = DevicePatches(dataset, name, device), ShardPatches(dataset, name)
        chosen = np.random.default_rng(0).permutation(len(ours))[:count]
        pairs = zip(ours.read(chosen), theirs.read(chosen), strict=True)
        equal = all(torch.equal(found.cpu(), expected) for found, expected in pairs)
        rows.append({"set": name, "patches": len(chosen), "equal to the bit": equal})
    return rows


def curves(dataset: Dataset, here: Machine, size: str, batch: int, steps: int) -> list[dict[str, Any]]:
    """Train each stage in both precisions on the same batches; compare the ends of the curves."""
    rows = []
    for stage in STAGES:
        found: dict[str, Any] = {"stage": stage, "steps": steps}
        for precision in ("fp32", "bf16"):
            with arithmetic_of_a_gpu(precision):  # type: ignore[arg-type]
                way = Way(learner_of(stage, size), Machine(here.device, precision=precision))  # type: ignore[arg-type]
                source = DevicePatches(dataset, _set_of(stage), here.device)
                batches = Batches(source, batch_size=batch, seed=0, device=here.device)
                curve = torch.stack([way.step(b) for b in islice(batches.starting_at(0), steps)]).tolist()
            found |= {f"first loss, {precision}": curve[0]}
            found |= {
                f"last losses, {precision}": float(np.mean(curve[-max(1, int(steps * _CURVE_WINDOW)) :]))
            }
        rows.append(found)
    return rows


def _set_of(stage: str) -> str:
    return "isolated/skin" if stage == "first-stage" else FULL


def _training(
    dataset: Dataset, out: Path, here: Machine, size: str, steps: int, *, resume: bool = False
) -> str:
    """Return a program that trains S-Net, in bfloat16 on a GPU, and saves every few steps.

    It is not compiled: that would take most of the ten minutes.
    """
    return (
        "from dataclasses import replace\n"
        "from umsn.training import curriculum, settings, stages\n"
        "preset = replace(stages.PRESETS['quick'], log_every=1, save_every=4)\n"
        "stages.PRESETS = {'quick': preset}\n"
        f"settings = settings.Settings(preset='quick', networks={size!r}, iterations={steps}, batch_size=4,"
        " schedule='constant', learning_rate=1e-4)\n"
        f"curriculum.train({str(dataset.root)!r}, {str(out)!r}, settings, stage='segmentation',"
        f" device={here.device.type!r}, precision={here.precision!r}, compile=False,"
        f" resume={resume}, quiet=True)\n"
    )


def _tensors(run: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(run / "segmentation.safetensors", "networks")[0]


def _apart(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """How far apart two networks are, as a share of their weights' length."""
    pairs = [(a[name].double(), b[name].double()) for name in a]
    far = sum(float((x - y).square().sum()) for x, y in pairs)
    return (far / sum(float(x.square().sum()) for x, _ in pairs)) ** 0.5


def killed_and_resumed(
    dataset: Dataset, folder: Path, here: Machine, size: str, steps: int
) -> dict[str, Any]:
    """Kill a training after its first save, resume it, and compare with one that was left alone."""
    program = partial(_training, dataset, here=here, size=size, steps=steps)
    for name in ("whole", "again"):
        subprocess.run([sys.executable, "-c", program(folder / name)], check=True)
    process = subprocess.Popen([sys.executable, "-c", program(folder / "parts")])
    state = folder / "parts/segmentation.state.safetensors"
    while not state.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    at = checkpoint.load(state, "training")[1]["iteration"]
    subprocess.run([sys.executable, "-c", program(folder / "parts", resume=True)], check=True)
    whole, again, parts = (_tensors(folder / name) for name in ("whole", "again", "parts"))
    return {
        "steps": steps,
        "killed at": at,
        "apart from one left alone": _apart(whole, parts),
        "two left alone, apart": _apart(whole, again),
    }


def two_processes(dataset: Dataset, folder: Path, here: Machine, size: str, steps: int) -> dict[str, Any]:
    """Train with two processes on one card, and compare with one process and the joint batch."""
    subprocess.run([sys.executable, "-c", _training(dataset, folder / "one", here, size, steps)], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    program = _training(dataset, folder / "two", here, size, steps)
    sizes = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, **address, **sizes, "RANK": rank, "LOCAL_RANK": rank},
        )
        for rank in "01"
    ]
    ends = [process.wait() for process in processes]
    if ends != [0, 0]:
        return {"steps": steps, "ended with": str(ends), "apart from one process": float("nan")}
    apart = _apart(*(_tensors(folder / name) for name in ("one", "two")))
    return {"steps": steps, "ended with": str(ends), "apart from one process": apart}


def speed(
    dataset: Dataset, here: Machine, size: str, batches: list[int], seconds: float, peak: float
) -> list[dict[str, Any]]:
    """Return steps per second of each stage: plain eager float32, and ours."""
    rows = []
    for count in batches:
        for stage in STAGES:
            source = DevicePatches(dataset, _set_of(stage), here.device)
            batch = to_device(source.read(np.arange(count) % len(source)), here.device)
            flops = operations(learner_of(stage, size).to(here.device), batch)
            with arithmetic_of_a_gpu("fp32"):
                plain = Way(learner_of(stage, size), Machine(here.device), plain=True)
                eager = 1 / seconds_each(partial(plain.step, batch), here.device, seconds)
            with arithmetic_of_a_gpu(here.precision):
                ours = 1 / seconds_each(
                    partial(Way(learner_of(stage, size), here).step, batch), here.device, seconds
                )
            rows.append(
                {
                    "stage": stage,
                    "batch": count,
                    "eager fp32, steps/s": eager,
                    "ours, steps/s": ours,
                    "ratio": ours / eager,
                    "TFLOP/s": flops * ours / 1e12,
                    "of the peak": flops * ours / peak,
                }
            )
    return rows


def patches_made(dataset: Dataset, here: Machine, batches: list[int], seconds: float) -> list[dict[str, Any]]:
    """Return patches per second made on the device."""
    source = DevicePatches(dataset, FULL, here.device)
    rows = []
    for count in batches:
        chosen = np.arange(count) % len(source)
        each = seconds_each(partial(source.read, chosen), here.device, seconds)
        rows.append({"batch": count, "patches/s": count / each})
    return rows


def profile(dataset: Dataset, here: Machine, size: str, count: int) -> dict[str, str]:
    """Return a table for each stage of what takes the time of its steps."""
    found = {}
    activities = [torch.profiler.ProfilerActivity.CPU]
    if here.device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    for stage in STAGES:
        source = DevicePatches(dataset, _set_of(stage), here.device)
        batch = to_device(source.read(np.arange(count) % len(source)), here.device)
        way = Way(learner_of(stage, size), here)
        for _ in range(3):
            way.step(batch)
        with torch.profiler.profile(activities=activities) as profiler:
            for _ in range(3):
                way.step(batch)
        key = f"self_{here.device.type}_time_total"
        found[stage] = profiler.key_averages().table(sort_by=key, row_limit=15, max_name_column_width=60)
    return found


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Show all; the JSON-able result."""
    gpu = options.device == "cuda"
    device = torch.device(options.device)
    here = Machine(device, precision="bf16" if gpu else "fp32", compile=gpu)
    tiny = options.tiny
    size, batches = ("quick", [2]) if tiny else ("paper", [16, 64])
    patch, steps, seconds, side = (32, 9, 0.01, 64) if tiny else (128, 200, 5.0, 8192)
    dataset = make_dataset(
        folder / "data", patch=patch, faces=2 if tiny else 16, per_image=8 if tiny else 128
    )
    kind = torch.bfloat16 if gpu else torch.float32
    peak = matrix_peak(device, kind, side, seconds)
    return {
        "peak_tflops": peak / 1e12,
        "patches equal": same_patches(dataset, device, 64),
        "bfloat16 against float32": curves(dataset, here, size, batches[0], steps),
        "killed and resumed": [killed_and_resumed(dataset, folder, here, size, steps)],
        "two processes on one card": [two_processes(dataset, folder, here, size, steps)],
        "steps": speed(dataset, here, size, batches, seconds, peak),
        "patches made": patches_made(dataset, here, [*batches, 16 * batches[-1]], seconds),
        "profile": profile(dataset, here, size, batches[0]),
    }


def report(result: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    about = result["machine"]
    parts = [
        f"{about['device']}; PyTorch {about['versions']['torch']}; commit {about['commit']}. Largest matrix "
        f"product: {result['peak_tflops']:.3g} TFLOP/s. All in {about['minutes']:.1f} minutes.\n"
    ]
    for name, found in result.items():
        if isinstance(found, list):
            parts.append(f"## {name.capitalize()}\n\n{table(found)}")
    parts += [f"## Profile of {stage}\n\n```\n{text}\n```\n" for stage, text in result["profile"].items()]
    return "\n".join(parts)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small networks, few steps: to see that it runs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU; --device cpu --tiny shows that this script runs.")
    about = computer.describe("torch", "numpy")
    about["device"] = torch.cuda.get_device_name() if options.device == "cuda" else about["cpu"]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        result = {"machine": about, **measure(options, Path(folder))}
    about["minutes"] = (time.perf_counter() - start) / 60
    text = report(result)
    print(text)
    (options.out / "gpu.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    (options.out / "gpu.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
