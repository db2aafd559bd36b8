"""Claim: training is bound by the network's arithmetic, not by its data, and runs near the device's peak.

    python benchmarks/training.py                 # on a GPU: the paper's networks, batches of 16 and 64
    python benchmarks/training.py --size quick --batch 8 --seconds 3        # something for a processor

Every stage takes the same steps on the same batch in two ways: plain eager float32, four F-Nets one after
another; and ours (bfloat16 autocast, channels last, torch.compile, fused Adam and grouped F-Nets on a GPU;
of these the last two on a processor). Then stage umsn is fed by patches made on the device, by shards, and
the way the authors feed theirs (scipy on the host, one patch after another).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import machine
import numpy as np
import scipy.signal
import torch
from torch.utils.flop_counter import FlopCounterMode

from blurgen.building.build import build_dataset
from blurgen.dataset.reading import Dataset
from blurgen.faces import parse_source
from blurgen.kernels.bank import make_bank
from umsn.nets import SIZES, build_network, network_config
from umsn.patches.batches import FULL, Batch, Batches, Patches, PatchSource, ShardPatches, to_device
from umsn.patches.device_patches import DevicePatches
from umsn.training.learners import DeblurLearner, FirstStageLearner, Learner, SegmentationLearner

PATCH = 128


class AuthorsPatches:
    """Their data path: for each patch one scipy convolution a channel at 175 pixels, and numpy noise."""

    endless, patch_size = False, PATCH

    def __init__(self, dataset: Dataset) -> None:
        self._dataset, self._random = dataset, np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self._dataset)

    def read(self, rows: np.ndarray) -> Patches:
        clean, blurry, labels = [], [], []
        for row in rows:
            face = self._dataset.faces.face(int(row) % self._dataset.faces.count)
            picture = face.pixels[:175, :175].astype(np.float32)
            kernel = self._dataset.bank.weights[int(row) % len(self._dataset.bank)] / 32768
            blurred = np.stack(
                [scipy.signal.convolve(picture[..., c], kernel, mode="same") for c in range(3)], axis=2
            )
            blurred += self._random.normal(0, 0.03 * 255, blurred.shape)
            inside = (slice(23, 23 + PATCH), slice(23, 23 + PATCH))
            clean.append(picture[inside].astype(np.uint8))
            blurry.append(blurred[inside].clip(0, 255).astype(np.uint8))
            labels.append(face.labels[inside])
        return Patches(*(torch.from_numpy(np.stack(parts)) for parts in (clean, blurry, labels)))


def learner_of(stage: str, size: str) -> Learner:
    torch.manual_seed(0)

    def network(name: str):
        return build_network(name, network_config(name, size))

    if stage == "segmentation":
        return SegmentationLearner(network("snet"), "blurry")
    if stage == "first-stage":
        return FirstStageLearner(network("first-stage"), 1, None)
    return DeblurLearner(
        network("umsn"),
        confidence=network("confidence"),
        perceptual=None,
        s_net=network("snet"),
        s_net_clean=network("snet"),
        masks="snet",
    )


class Way:
    """One way to take training steps."""

    def __init__(self, stage: str, size: str, device: torch.device, *, ours: bool) -> None:
        self.learner = learner_of(stage, size).to(device)
        self._device, gpu = device, device.type == "cuda"
        self._layout = torch.channels_last if ours and gpu else torch.contiguous_format
        self._bf16 = ours and gpu
        self.learner.to(memory_format=self._layout)
        if stage == "umsn":
            self.learner.network.grouped = ours
        if ours and gpu:
            self.learner.network.compile()
        trained = [p for p in self.learner.parameters() if p.requires_grad]
        self._optimizer = torch.optim.Adam(trained, lr=1e-4, fused=ours)

    def step(self, batch: Batch) -> None:
        images = (image.contiguous(memory_format=self._layout) for image in (batch.clean, batch.blurry))
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            terms, _ = self.learner(Batch(*images, batch.classes))
        self._optimizer.zero_grad(set_to_none=True)
        sum(terms.values()).backward()
        self._optimizer.step()


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_each(run: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Return the median of the times of a call, after three that do not count (compilation, caches)."""
    for _ in range(3):
        run()
    wait(device)
    times: list[float] = []
    while len(times) < 5 or sum(times) < seconds:
        start = time.perf_counter()
        run()
        wait(device)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def matrix_peak(device: torch.device, seconds: float) -> float:
    """Return the FLOP/s of a large matrix product, bfloat16 on a GPU."""
    side, kind = (8192, torch.bfloat16) if device.type == "cuda" else (1024, torch.float32)
    a = torch.randn(side, side, device=device, dtype=kind)
    return 2 * side**3 / seconds_each(partial(torch.mm, a, a), device, seconds)


def operations(stage: str, size: str, batch: Batch, device: torch.device) -> int:
    """Return the floating-point operations of one step."""
    with FlopCounterMode(display=False) as counter:
        terms, _ = learner_of(stage, size).to(device)(batch)
        sum(terms.values()).backward()
    return counter.get_total_flops()


def fed(
    way: Way, source: PatchSource, size: int, device: torch.device, seconds: float
) -> tuple[float, float]:
    """Return steps per second with the data path as in training, and the share of time spent waiting."""
    batches = Batches(source, batch_size=size, seed=0, device=device)
    stream: Iterator[Batch] = batches.starting_at(0)
    for _ in range(3):
        way.step(next(stream))
    wait(device)
    start, waited, steps = time.perf_counter(), batches.waited, 0
    while steps < 5 or time.perf_counter() - start < seconds:
        way.step(next(stream))
        steps += 1
    wait(device)
    elapsed = time.perf_counter() - start
    return steps / elapsed, (batches.waited - waited) / elapsed


def measure(options: argparse.Namespace, dataset: Dataset, device: torch.device) -> dict:
    on_device = DevicePatches(dataset, FULL, device)
    peak = matrix_peak(device, options.seconds)
    result: dict = {"peak_tflops": peak / 1e12, "stages": [], "feeding": [], "patches": []}
    for size in options.batch:
        batch = to_device(on_device.read(np.arange(size)), device)
        for stage in ("segmentation", "first-stage", "umsn"):
            flops = operations(stage, options.size, batch, device)
            rates = []
            for ours in (False, True):
                way = Way(stage, options.size, device, ours=ours)
                rates.append(1 / seconds_each(partial(way.step, batch), device, options.seconds))
            row = {
                "stage": stage,
                "batch": size,
                "eager_steps_per_second": rates[0],
                "steps_per_second": rates[1],
            }
            row |= {"tflops": flops * rates[1] / 1e12, "share_of_peak": flops * rates[1] / peak}
            result["stages"].append(row)
        sources = {"device": on_device, "shards": ShardPatches(dataset), "authors": AuthorsPatches(dataset)}
        for name, source in sources.items():
            way = Way("umsn", options.size, device, ours=True)
            steps, waiting = fed(way, source, size, device, options.seconds)
            result["feeding"].append(
                {"data": name, "batch": size, "steps_per_second": steps, "waiting": waiting}
            )
        each = seconds_each(partial(on_device.read, np.arange(size)), device, options.seconds)
        result["patches"].append({"batch": size, "patches_per_second": size / each})
    return result


def show(result: dict) -> None:
    print(f"Matrix product: {result['peak_tflops']:.2f} TFLOP/s\n")
    print("| stage | batch | eager fp32, steps/s | ours, steps/s | ratio | TFLOP/s | of the peak |")
    print("|---|---|---|---|---|---|---|")
    for row in result["stages"]:
        eager, ours = row["eager_steps_per_second"], row["steps_per_second"]
        print(
            f"| {row['stage']} | {row['batch']} | {eager:.2f} | {ours:.2f} | {ours / eager:.2f} | "
            f"{row['tflops']:.2f} | {row['share_of_peak']:.0%} |"
        )
    print("\n| data | batch | umsn, steps/s | waiting for data |\n|---|---|---|---|")
    for row in result["feeding"]:
        print(f"| {row['data']} | {row['batch']} | {row['steps_per_second']:.2f} | {row['waiting']:.1%} |")
    print("\n| batch | patches/s made on the device |\n|---|---|")
    for row in result["patches"]:
        print(f"| {row['batch']} | {row['patches_per_second']:,.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=tuple(SIZES), default="paper", help="of the networks")
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--seconds", type=float, default=10, help="for each figure")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    about = machine.describe("torch", "numpy", "scipy", "numba")
    about["device"] = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        bank = make_bank(count=256)
        source = parse_source("procedural:16", min_side=PATCH + bank.max_size - 1)
        dataset = build_dataset([source], bank, Path(folder) / "data", per_image=32)
        result = measure(options, dataset, device)
    show(result)
    file = Path(__file__).parent / "results" / "training.json"
    file.parent.mkdir(exist_ok=True)
    about |= {"size": options.size, "threads": torch.get_num_threads()}
    file.write_text(json.dumps({"machine": about, **result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
