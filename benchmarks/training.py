"""Claim: training is bound by the networks' arithmetic, near the processor's peak, and not by its data.

    python benchmarks/training.py               # a quarter of an hour on two cores; nothing else running
    python benchmarks/training.py --size quick --patch 32 --batch 2 --seconds 0.1 --out /tmp    # does it run?

Each network takes the steps of a training on one batch: UMSN with its two S-Nets, confidence net and losses;
S-Net; a first-stage network; what size ``small`` was before; and NAFNet of width 16, written from its paper
(``nafnet.py``), with L1. All in float32 and, where the processor has such arithmetic, in bfloat16; channels
last. The share of the peak is that of the fastest large matrix product of the same run. Then UMSN is fed by
shards and by patches made on the way.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import machine as computer
import numpy as np
import torch
from steps import (
    STAGES,
    Way,
    fed,
    learner_of,
    make_dataset,
    matrix_peak,
    multiply_adds,
    operations,
    seconds_each,
    table,
)

from blurgen.dataset.reading import Dataset
from umsn.nets import SIZES
from umsn.patches.batches import FULL, Batch, ShardPatches, to_device
from umsn.patches.device_patches import DevicePatches
from umsn.runs.memory import keep_freed_memory
from umsn.training.machine import Machine

CPU = torch.device("cpu")


def kinds_here() -> dict[str, torch.dtype]:
    """Return float32, and bfloat16 unless a product takes twice as long in it: then it is emulated."""
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16}
    a = torch.randn(512, 512)
    times = {
        name: seconds_each(partial(torch.mm, a.to(kind), a.to(kind)), CPU, 0.1)
        for name, kind in kinds.items()
    }
    return kinds if times["bf16"] < 2 * times["fp32"] else {"fp32": torch.float32}


def time_network(
    stage: str, size: str, batch: Batch, seconds: float, peaks: dict[str, float]
) -> dict[str, Any]:
    """Return what a step of a network takes, in each precision, and the best one's share of the peak."""
    count = len(batch.clean)
    learner = learner_of(stage, size)
    flops, forward = operations(learner, batch), multiply_adds(learner, batch)
    rates = {}
    for precision in peaks:
        way = Way(learner_of(stage, size), Machine(CPU, precision=precision))  # type: ignore[arg-type]
        rates[precision] = count / seconds_each(partial(way.step, batch), CPU, seconds)
    best = max(rates, key=lambda precision: rates[precision])
    sustained = flops * rates[best] / count
    return {
        "network": "NAFNet, width 16" if size == "nafnet" else f"{stage}, {size}",
        "parameters, M": sum(p.numel() for p in learner.network.parameters()) / 1e6,
        "GMAC a patch": forward / 1e9,
        **{f"patches/s, {precision}": rate for precision, rate in rates.items()},
        "precision": best,
        "GFLOP/s": sustained / 1e9,
        "of the peak": sustained / max(peaks.values()),
        "GMAC/s of the network": forward * rates[best] / 1e9,
    }


def feed(dataset: Dataset, size: str, count: int, precision: str, seconds: float) -> list[dict[str, Any]]:
    """Return how fast UMSN trains with its data path, by where patches come from."""
    here = Machine(CPU, precision=precision)  # type: ignore[arg-type]
    rows = []
    for name, source in (
        ("shards", ShardPatches(dataset)),
        ("made by PyTorch", DevicePatches(dataset, FULL, CPU)),
    ):
        found = fed(Way(learner_of("umsn", size), here), source, here, count, seconds)
        rows.append(
            {
                "data": name,
                "patches/s": count * found["steps_per_second"],
                "waiting for data": found["waiting"],
            }
        )
    return rows


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure all; the JSON-able result."""
    keep_freed_memory()
    dataset = make_dataset(folder, patch=options.patch)
    batch = to_device(ShardPatches(dataset).read(np.arange(options.batch)), CPU)
    peaks = {
        name: matrix_peak(CPU, kind, options.side, options.seconds) for name, kind in kinds_here().items()
    }
    measured = partial(time_network, batch=batch, seconds=options.seconds, peaks=peaks)
    networks = [measured(stage, options.size) for stage in reversed(STAGES)]
    networks += [measured("umsn", "former small"), measured("umsn", "nafnet")]
    return {
        "peak_gflops": {name: peak / 1e9 for name, peak in peaks.items()},
        "networks": networks,
        "feeding": feed(dataset, options.size, options.batch, networks[0]["precision"], options.seconds),
    }


def report(result: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    about, peaks = result["machine"], result["peak_gflops"]
    peak = ", ".join(f"{rate:.0f} GFLOP/s in {precision}" for precision, rate in peaks.items())
    return (
        f"{about['cpu']}, {about['cores']} cores, {about['threads']} threads; PyTorch "
        f"{about['versions']['torch']}; commit {about['commit']}; batches of {about['batch']} patches of "
        f"{about['patch']} x {about['patch']}.\n\n"
        f"Largest matrix product in the same run: {peak}.\n\n"
        + table(result["networks"])
        + "\n"
        + table(result["feeding"])
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    default = "compact" if "compact" in SIZES else "quick"
    parser.add_argument("--size", choices=SIZES, default=default, help="of the networks")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--patch", type=int, default=128)
    parser.add_argument("--side", type=int, default=4096, help="of the matrices whose product is the peak")
    parser.add_argument("--seconds", type=float, default=30, help="for each figure")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    about = computer.describe("torch", "numpy", "numba")
    about |= {"threads": torch.get_num_threads(), "batch": options.batch, "patch": options.patch}
    with tempfile.TemporaryDirectory() as folder:
        result = {"machine": about, **measure(options, Path(folder) / "data")}
    text = report(result)
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "training.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    (options.out / "training.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
