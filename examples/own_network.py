"""Any network of yours, trained on a dataset of blurgen, and its pictures of a test set for `umsn evaluate`.

    python examples/own_network.py benchmarks/nafnet.py:NAFNet --data DATA --testset SET --out OUT
    umsn evaluate --testset SET --compare NAFNet=OUT/SET --out tables

A network is a class without arguments, FILE.py:CLASS or MODULE:CLASS, that turns blurry pictures
[N, 3, H, W] in [0, 1] into sharp ones. It learns by L1, AdamW, a cosine to zero and mirrored
patches; in bfloat16 where that is faster. DATA may be a recipe alone (``build-dataset --recipe-only``).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import math
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

import blurgen
from blurgen.files.png import save_picture
from umsn.patches.batches import PatchDataset, ShardPatches, as_pixels, to_image
from umsn.runs.memory import keep_freed_memory
from umsn.scoring.pairs import open_pairs
from umsn.training.precision import faster_precision


def make_network(name: str) -> nn.Module:
    """Return a new network: ``name`` is FILE.py:CLASS or MODULE:CLASS."""
    place, _, of_class = name.rpartition(":")
    if not place.endswith(".py"):
        return getattr(importlib.import_module(place), of_class)()
    spec = importlib.util.spec_from_file_location(Path(place).stem, place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, of_class)()


def batches(data: Path, size: int, device: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield blurry and clean patches without end, in random order, each batch also mirrored or not."""
    patches = PatchDataset(ShardPatches(blurgen.open_dataset(data)))
    random = torch.Generator().manual_seed(0)
    loader = DataLoader(patches, size, shuffle=True, drop_last=True, generator=random)
    while True:
        for blurry, clean, _classes in loader:
            axes = [3] if torch.rand((), generator=random) < 0.5 else []
            yield blurry.to(device).flip(axes), clean.to(device).flip(axes)


def train(network: nn.Module, feed: Iterator[tuple[Tensor, Tensor]], minutes: float, rate: float) -> str:
    """Train for so many minutes (on a processor: of its time), and return a line that says what was done."""
    keep_freed_memory()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    weights = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, rate, weight_decay=0)

    def loss_of(blurry: Tensor, clean: Tensor, precision: str) -> Tensor:
        with torch.autocast(blurry.device.type, torch.bfloat16, enabled=precision == "bf16"):
            return (network(blurry).float() - clean).abs().mean()

    first = next(feed)
    precision, why = faster_precision(lambda p: loss_of(*first, p), weights, first[0].device)
    clock = time.process_time if first[0].device.type == "cpu" else time.perf_counter
    start, steps, recent = clock(), 0, deque[float](maxlen=100)
    while (done := (clock() - start) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 + math.cos(math.pi * done)) / 2
        loss = loss_of(*next(feed), precision)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
        recent.append(float(loss.detach()))
        if steps % 100 == 0:
            print(f"{steps:,} steps, {done:.0%}, L1 {sum(recent) / len(recent):.4f}", flush=True)
    seconds = clock() - start
    return (
        f"{steps:,} steps of {len(first[0])} patches in {seconds / 60:.2f} minutes, {precision} ({why}), "
        f"L1 of the last {len(recent)}: {sum(recent) / len(recent):.4f}"
    )


@torch.no_grad()
def deblur(network: nn.Module, testset: Path, out: Path, device: str) -> int:
    """Write what the network makes of every picture of a test set, and return of how many."""
    network.to(device).eval()
    pairs = open_pairs(testset=testset)
    out.mkdir(parents=True, exist_ok=True)
    for pair in pairs:
        sharp = network(to_image(pair.blurry, torch.device(device)))
        save_picture(out / f"{pair.name}.png", as_pixels(sharp)[0])
    return len(pairs)


def main(arguments: list[str] | None = None) -> None:
    """Train, and deblur the test sets."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("network", help="FILE.py:CLASS or MODULE:CLASS; the file is run: use one you trust")
    parser.add_argument("--data", type=Path, help="dataset to train on")
    parser.add_argument("--minutes", type=float, default=20, help="of training (on a processor: of its time)")
    parser.add_argument("--weights", type=Path, help="network.safetensors of an earlier run, to begin with")
    parser.add_argument("--testset", type=Path, action="append", default=[], help="may be given again")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    if given.data is None and given.weights is None:
        parser.error("Give --data to train on, or --weights, or both.")
    torch.manual_seed(0)
    network = make_network(given.network)
    if given.weights is not None:
        network.load_state_dict(load_file(given.weights))
    network.to(given.device)
    given.out.mkdir(parents=True, exist_ok=True)
    if given.data is not None:
        feed = batches(given.data, given.batch_size, given.device)
        print(train(network, feed, given.minutes, given.learning_rate))
        weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        save_file(weights, given.out / "network.safetensors")
    for testset in given.testset:
        out = given.out / testset.name
        print(f"{deblur(network, testset, out, given.device):,} pictures: {out}")


if __name__ == "__main__":
    main()
