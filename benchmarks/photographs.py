"""Claim: a photograph of 24 megapixels is deblurred in under a minute and 2 GB on two cores, without seams.

    python benchmarks/photographs.py --json benchmarks/results/photographs.json
    python benchmarks/photographs.py --size quick --megapixels 1 --side 900        # a few seconds

For each size of networks ``umsn deblur --no-align`` works on a JPEG of 3:2, in a process of its own: seconds
from its start to its end, with reading and writing, and the most memory that it had. Then the same picture is
given a second time without its first rows and columns, so that all tiles lie elsewhere, and the two results
are compared where both have their surroundings. Weights are random: they decide neither time nor memory.
Residuals are made as large as those of a trained network, so that differences count.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch
from PIL import Image
from torch import nn

from umsn import checkpoint
from umsn.nets import SIZES, build_network, config_of, network_config, network_name
from umsn.restore import tiles
from umsn.restore.deblur import Deblurrer

OFFSET = (5 * tiles.ALIGN, 3 * tiles.ALIGN)
"""Rows and columns by which the cuts are moved."""

RESIDUAL = 0.05
"""Standard deviation of what the networks add, as of a trained one's correction of a strong blur."""


def photograph(height: int, width: int) -> np.ndarray:
    """Return a picture with detail of all sizes and the noise of a sensor, uint8 ``[height, width, 3]``."""
    random = np.random.default_rng(0)
    total = np.zeros((height, width, 3), np.float32)
    for cells in (4, 16, 64, 256):
        coarse = Image.fromarray(random.integers(0, 256, (cells, cells, 3)).astype(np.uint8))
        total += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 4
    return (total + random.normal(0, 4, total.shape)).clip(0, 255).astype(np.uint8)


def write_checkpoint(path: Path, size: str) -> None:
    """Write a checkpoint of UMSN and S-Net with random weights."""
    torch.manual_seed(0)
    networks = {
        "network": build_network("umsn", network_config("umsn", size)),
        "s_net": build_network("snet", network_config("snet", size)),
    }
    _set_residual(networks["network"], networks["s_net"])
    tensors = {
        full: tensor
        for name, network in networks.items()
        for full, tensor in checkpoint.with_prefix(name, network.state_dict()).items()
    }
    made = {name: {"name": network_name(n), "config": config_of(n)} for name, n in networks.items()}
    checkpoint.save(path, "networks", tensors, {"networks": made})


@torch.no_grad()
def _set_residual(network: nn.Module, s_net: nn.Module) -> None:
    """Scale the last layer so that what is added to a picture has the standard deviation ``RESIDUAL``."""
    picture = torch.from_numpy(photograph(128, 128)).permute(2, 0, 1)[None].float() / 255
    masks = nn.functional.one_hot(s_net(picture).argmax(1), 4).permute(0, 3, 1, 2).float()
    found = float((network(picture, masks) - picture).std())
    base: Any = network.base
    base.head.weight *= RESIDUAL / found


def deblur_file(weights: Path, picture: Path, out: Path) -> dict[str, float]:
    """Run ``umsn deblur`` in a process; return its seconds and the most memory that it had, in bytes."""
    command = [sys.executable, "-c", "from blurgen_cli.umsn import main; main()", "deblur", str(picture)]
    command += ["--no-align", "--checkpoint", str(weights), "--out", str(out), "--device", "cpu"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"umsn deblur ended with {os.waitstatus_to_exitcode(status)}.")
    kilo = 1 if sys.platform == "darwin" else 1024
    return {"seconds": time.perf_counter() - start, "peak_bytes": usage.ru_maxrss * kilo}


def largest_difference(weights: Path, side: int) -> dict[str, Any]:
    """Return by how many grey levels two results differ whose tiles lie elsewhere."""
    deblur = Deblurrer(weights, "cpu")
    picture = photograph(side, side)
    rows, columns = OFFSET
    whole, part = deblur(picture), deblur(np.ascontiguousarray(picture[rows:, columns:]))
    border = tiles.TILE // 4  # beyond it no pixel sees the edge that one of the two does not have
    inner = np.s_[border:, border:]
    difference = np.abs(whole[rows:, columns:][inner].astype(int) - part[inner])
    tiling = deblur.tiling(side, side)
    return {
        "largest_difference": int(difference.max()),
        "mean_difference": float(difference.mean()),
        "residual": float(np.abs(whole.astype(int) - picture).mean()),
        "tile": tiling.side,
        "step": tiling.step,
        "bf16": deblur.in_bfloat16 if side > tiles.TILE else False,
    }


def measure(sizes: list[str], megapixels: float, side: int) -> dict[str, Any]:
    """Return all figures."""
    height = round(math.sqrt(megapixels * 1e6 * 2 / 3))
    found: dict[str, Any] = {
        "machine": machine.describe("torch", "numpy", "pillow"),
        "height": height,
        "width": round(height * 1.5),
        "compared_side": side,
        "sizes": {},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        picture = folder / "photograph.jpg"
        Image.fromarray(photograph(height, found["width"])).save(picture, quality=92)
        for size in sizes:
            weights = folder / f"{size}.safetensors"
            write_checkpoint(weights, size)
            times = deblur_file(weights, picture, folder / size)
            found["sizes"][size] = {**times, **largest_difference(weights, side)}
    return found


def table(found: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    megapixels = found["height"] * found["width"] / 1e6
    lines = [
        f"`umsn deblur --no-align` of a photograph of {found['width']} x {found['height']} pixels "
        f"({megapixels:.1f} megapixels), {found['machine']['cores']} cores ({found['machine']['cpu']}), load "
        f"{found['machine']['load_at_start']} at the start",
        "",
        "| networks | seconds | peak memory (GB) | arithmetic | tile, step (px) | largest difference, tiles "
        "elsewhere (grey levels) | mean difference | mean correction |",
        "|---|---:|---:|---|---|---:|---:|---:|",
    ]
    for size, one in found["sizes"].items():
        lines.append(
            f"| {size} | {one['seconds']:.1f} | {one['peak_bytes'] / 1e9:.2f} | "
            f"{'bf16' if one['bf16'] else 'fp32'} | {one['tile']}, {one['step']} | "
            f"{one['largest_difference']} | {one['mean_difference']:.4f} | {one['residual']:.1f} |"
        )
    lines += [
        "",
        f"Differences are of a picture of {found['compared_side']} x {found['compared_side']} pixels, all "
        f"pixels more than {tiles.TILE // 4} from where one of the two begins.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print a table, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    default = "compact" if "compact" in SIZES else SIZES[-1]
    parser.add_argument("--size", action="append", choices=SIZES, help=f"May be given again.  [{default}]")
    parser.add_argument("--megapixels", type=float, default=24.0)
    parser.add_argument("--side", type=int, default=2_560, help="Of the picture that is cut in two ways.")
    parser.add_argument("--json", type=Path, help="Write all figures there, and the table beside it as .md.")
    options = parser.parse_args()
    smallest = tiles.TILE // 4 + max(OFFSET)
    if options.side <= smallest:
        parser.error(f"--side must be more than {smallest}, or no pixel can be compared.")
    found = measure(options.size or [default], options.megapixels, options.side)
    print(table(found))
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        options.json.with_suffix(".md").write_text(table(found) + "\n", "utf-8")


if __name__ == "__main__":
    main()
