"""A stranger with FORMAT.md, and no line of our code, gets every byte of a real build.

The files are read with h5py and json alone. The triplets are made again twice: by integer arithmetic
(tests/naive.py), and by float32 convolution in PyTorch, which is what makes CPU and GPU interchangeable.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import naive
import numpy as np
import pytest
import torch
from PIL import Image

from blurgen.building.build import build_dataset
from blurgen.faces import parse_source
from blurgen.kernels.bank import make_bank

CLASS_SETS = ("isolated/background", "isolated/skin", "isolated/features", "isolated/hair")


@dataclass
class Read:
    """A dataset as FORMAT.md says it lies on disk."""

    recipe: dict
    faces: list  # (pixels [H, W, 3], labels [H, W]) of each face
    kernels: np.ndarray  # [K, M, M]
    sets: dict  # set name -> {"clean", "blurry", "mask", "index"}, all shards joined


def write_photos(folder: Path, shapes, rng) -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for i, (height, width) in enumerate(shapes):
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        blobs = rng.choice(np.array([*range(11), 255], np.uint8), (height // 8 + 1, width // 8 + 1))
        if i == 0:
            blobs[blobs == 10] = 0  # a face without hair has no row in the set of hair
        labels = blobs.repeat(8, 0).repeat(8, 1)[:height, :width]
        Image.fromarray(pixels).save(folder / f"images/{i}.png")
        Image.fromarray(labels).save(folder / f"labels/{i}.png")
    return folder


def read_dataset(root: Path) -> Read:
    manifest = json.loads((root / "dataset.json").read_text("utf-8"))
    assert (manifest["format"], manifest["version"], manifest["complete"]) == ("blurgen-dataset", 1, True)
    faces = []
    with h5py.File(root / "faces.h5") as file:
        pixels, labels = file["pixels"][:], file["labels"][:]
        for row in file["table"]:
            first, height, width = (int(row[name]) for name in ("offset", "height", "width"))
            end = first + height * width
            faces.append((pixels[3 * first : 3 * end].reshape(height, width, 3), labels[first:end]))
            faces[-1] = (faces[-1][0], faces[-1][1].reshape(height, width))
    with h5py.File(root / "kernels.h5") as file:
        kernels = file["kernels"][:]
    sets = {}
    for name, shards in manifest["sets"].items():
        parts = []
        for shard in shards:
            with h5py.File(root / shard["file"]) as file:
                parts.append({array: file[array][:] for array in ("clean", "blurry", "mask", "index")})
        sets[name] = {array: np.concatenate([part[array] for part in parts]) for array in parts[0]}
    return Read(manifest["recipe"], faces, kernels, sets)


def planned(data: Read, sample: int):
    recipe = data.recipe
    return naive.plan(
        recipe["seed"],
        sample,
        [len(pixels) for pixels, _ in data.faces],
        [pixels.shape[1] for pixels, _ in data.faces],
        len(data.kernels),
        data.kernels.shape[1],
        recipe["patch_size"],
    )


@pytest.fixture(scope="module", params=["composite", "layered", "full size"])
def data(request, tmp_path_factory) -> Read:
    root = tmp_path_factory.mktemp("contract")
    rng = np.random.default_rng(8)
    options = {"class_isolated": True, "seed": 2**63 + 5}
    if request.param == "full size":
        shapes, patch, bank = [(156, 170), (160, 156)], 128, make_bank(count=6, seed=4)
        options |= {"count": 3, "shard_size": 2}
    else:
        shapes, patch = [(40, 32), (33, 50), (32, 32)], 24
        bank = make_bank(count=7, min_size=5, max_size=9, seed=4)
        options |= {"per_image": 9, "shard_size": 10, "isolation": request.param, "noise_sigma": 0.07}
    folder = write_photos(root / "photos", shapes, rng)
    source = parse_source(f"folder:{folder}", min_side=patch + bank.max_size - 1, patch_size=patch)
    build_dataset([source], bank, root / "set", patch_size=patch, **options)
    return read_dataset(root / "set")


def test_integer_arithmetic_gives_every_byte(data):
    recipe, full = data.recipe, data.sets["full"]
    members = {name: [] for name in CLASS_SETS}
    np.testing.assert_array_equal(full["index"]["sample"], np.arange(recipe["count"]))
    for sample in range(recipe["count"]):
        image, top, left, kernel = planned(data, sample)
        assert tuple(full["index"][sample]) == (sample, image, top, left, kernel)
        clean, blurry, mask, isolated, counts = naive.triplet(
            *data.faces[image],
            data.kernels[kernel],
            recipe["seed"],
            sample,
            top,
            left,
            recipe["patch_size"],
            recipe["noise_sigma"],
            recipe["isolation"],
        )
        expected = {"clean": clean, "blurry": blurry, "mask": mask, "index": full["index"][sample]}
        for array, value in expected.items():
            np.testing.assert_array_equal(full[array][sample], value)
        for name, count, picture in zip(CLASS_SETS, counts, isolated, strict=True):
            if 200 * count >= recipe["patch_size"] ** 2:
                members[name].append(expected | {"blurry": picture})
    for name, rows in members.items():
        assert len(data.sets[name]["index"]) == len(rows)
        for row, expected in enumerate(rows):
            for array, value in expected.items():
                np.testing.assert_array_equal(data.sets[name][array][row], value)


def convolved(picture: np.ndarray, kernel: np.ndarray, top: int, left: int, patch: int) -> torch.Tensor:
    """Return the blur of a patch, float32 [P, P, C], of a face [H, W, C] that is large enough around it."""
    radius = len(kernel) // 2
    window = picture[top - radius : top + patch + radius, left - radius : left + patch + radius]
    channels = torch.from_numpy(np.ascontiguousarray(window)).permute(2, 0, 1)[:, None].float()
    turned = torch.from_numpy(kernel[::-1, ::-1].astype(np.float32))[None, None]
    return torch.nn.functional.conv2d(channels, turned)[:, 0].permute(1, 2, 0)


def rounded(total: torch.Tensor, grain: torch.Tensor) -> np.ndarray:
    levels = torch.floor((total + grain + 16384) / 32768)
    return levels.clamp(0, 255).to(torch.uint8).numpy()


def test_float32_convolution_gives_every_byte(data):
    recipe, full = data.recipe, data.sets["full"]
    patch, rows = recipe["patch_size"], dict.fromkeys(CLASS_SETS, 0)
    for sample, image, top, left, kernel in full["index"].tolist():
        (pixels, labels), weights = data.faces[image], data.kernels[kernel]
        grain = naive.noise(recipe["seed"], sample, recipe["noise_sigma"], patch)
        grain = torch.from_numpy(grain).float()
        inside = np.s_[top : top + patch, left : left + patch]
        blur = convolved(pixels, weights, top, left, patch)
        sharp = 32768 * torch.from_numpy(pixels[inside].copy()).float()
        np.testing.assert_array_equal(full["blurry"][sample], rounded(blur, grain))
        for name, members in zip(CLASS_SETS, naive.CLASSES, strict=True):
            of_class = np.isin(labels, list(members)).astype(np.uint8)[..., None]
            if 200 * of_class[inside].sum() < patch**2:
                continue
            if recipe["isolation"] == "composite":
                total = torch.where(torch.from_numpy(of_class[inside]) > 0, blur, sharp)
            else:
                share = convolved(of_class, weights, top, left, patch)
                moved = convolved(of_class * pixels, weights, top, left, patch)
                total = moved + (1 - share / 32768) * sharp
            np.testing.assert_array_equal(data.sets[name]["blurry"][rows[name]], rounded(total, grain))
            rows[name] += 1
    assert rows == {name: len(data.sets[name]["index"]) for name in CLASS_SETS}
