"""An evaluation that takes a second: flat pictures, so that a screenshot tells which of them is shown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from umsn.evaluation.evaluate import Request, evaluate
from umsn.evaluation.kept_pictures import GalleryPictures
from umsn.scoring.pairs import FolderPairs, Pair

RED, GREEN, BLUE = (200, 30, 30), (30, 200, 30), (30, 30, 200)
METHOD = "ours"


def flat(colour: tuple[int, int, int], brightness: int = 0) -> np.ndarray:
    picture = np.empty((32, 32, 3), np.uint8)
    picture[:] = colour
    # Brightness makes every picture score differently; ten grey levels do not change what colour it is.
    return np.clip(picture.astype(int) + brightness, 0, 255).astype(np.uint8)


def write_evaluation(folder: Path, names: list[str], method: str = METHOD) -> Path:
    """Evaluate red blurry pictures and what ``method`` made of them, green ones; the truth is blue."""
    for kind in ("blurry", "clean", "restored"):
        (folder / kind).mkdir(parents=True)
    for number, name in enumerate(names):
        blurry_name = f"{name}_ker{number:02d}_blur_k{13 + 2 * (number % 2)}"
        for kind, colour, file in (
            ("blurry", RED, blurry_name),
            ("restored", GREEN, blurry_name),
            ("clean", BLUE, name),
        ):
            picture = flat(colour, number if kind != "clean" else 0)
            Image.fromarray(picture).save(folder / kind / f"{file}.png")
    pairs = FolderPairs(folder / "blurry", folder / "clean")
    evaluate(pairs, folder / "out", Request(compare={method: folder / "restored"}))
    keep(folder, list(pairs), method)
    return folder / "out"


def keep(folder: Path, pairs: list[Pair], method: str) -> None:
    """Keep the pictures of these pairs for the gallery."""
    gallery = GalleryPictures(folder / "out", count=len(pairs), main=method)
    for pair in pairs:
        restored = np.asarray(Image.open(folder / "restored" / f"{pair.name}.png"))
        gallery.add(pair, {"blurry": pair.blurry, method: restored})
    gallery.finish()


def write_run(folder: Path, stage: str = "umsn") -> Path:
    """Write the log of a training of one stage."""
    folder.mkdir(parents=True)
    lines: list[dict[str, object]] = [
        {"stage": stage, "event": "start", "parameters": 1234, "about": {"stage": {"batch_size": 16}}}
    ]
    for iteration in range(20, 220, 20):
        values = {"loss": 1 / iteration, "confidence": 1 / iteration, "perceptual": 0.5, "data_wait": 0.1}
        values |= {f"confidence_{name}": 0.5 for name in ("background", "skin", "features", "hair")}
        lines.append({"stage": stage, "iteration": iteration, **values})
    lines.append({"stage": stage, "iteration": 200, "validation_psnr": 25.0, "validation_psnr_blurry": 21.0})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return folder
