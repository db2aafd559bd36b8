"""Draws docs/gallery/*.jpg and docs/gallery.md: what each option of a dataset does to a picture.

    python docs/make_gallery.py

Every picture is the same crop of the same drawn face, made by ``build_dataset`` itself.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurgen.building.build import build_dataset
from blurgen.dataset.reading import Dataset
from blurgen.faces import parse_source
from blurgen.kernels.bank import KernelBank, make_bank
from blurgen.synthesis.camera.settings import Camera
from umsn.evaluation.strips import Tile, sheet

HERE = Path(__file__).resolve().parent
FACE = "procedural:1:4"
SAMPLE = 0
SEED = 11


def bank(size: int = 25, **options: object) -> KernelBank:
    """Return one kernel."""
    return make_bank(count=1, min_size=size, max_size=size, seed=SEED, **options)  # type: ignore[arg-type]


def dataset(kernels: KernelBank, **options: object) -> Dataset:
    """Return a dataset of one sample, as a recipe."""
    side = 128 + kernels.max_size - 1
    folder = Path(tempfile.mkdtemp())
    source = parse_source(FACE, min_side=side)
    return build_dataset([source], kernels, folder / "data", per_image=1, recipe_only=True, **options)  # type: ignore[arg-type]


def blurry(kernels: KernelBank, **options: object) -> NDArray[np.uint8]:
    """Return the blurry patch."""
    return dataset(kernels, **options)[SAMPLE].blurry


def shown(kernels: KernelBank) -> NDArray[np.uint8]:
    """Return a kernel as a picture, four pixels a weight."""
    weights = kernels.weights[0].astype(np.float64)
    grey = np.rint(255 * np.sqrt(weights / weights.max())).astype(np.uint8)
    return np.repeat(grey.repeat(4, 0).repeat(4, 1)[..., None], 3, 2)


def kernels_sheet() -> list[list[Tile]]:
    rows = []
    for model in ("camera3d", "boracchi2d", "linear"):
        row = []
        for size in (13, 21, 29):
            one = bank(size, model=model)
            row += [Tile(shown(one), f"{model}, {size}"), Tile(blurry(one, noise_sigma=0.0))]
        rows.append(row)
    return rows


def centring_sheet() -> list[list[Tile]]:
    both = [bank(29, center=name) for name in ("mass", "box")]
    return [[Tile(picture) for one in both for picture in (shown(one), blurry(one, noise_sigma=0.0))]]


def noise_sheet() -> list[list[Tile]]:
    return [[Tile(blurry(bank(), noise_sigma=sigma)) for sigma in (0.0, 0.01, 0.03, 0.06)]]


def isolation_sheet() -> list[list[Tile]]:
    rows = []
    for isolation in ("composite", "layered"):
        made = dataset(bank(29), class_isolated=True, isolation=isolation, noise_sigma=0.0)
        row = [Tile(made[SAMPLE].blurry, f"full, {isolation}")]
        for name in ("background", "skin", "features", "hair"):
            row.append(Tile(made.open_set(f"isolated/{name}")[0].blurry))
        rows.append(row)
    return rows


def formation_sheet() -> list[list[Tile]]:
    cameras = (None, Camera(sensor="none"), Camera(), Camera(motion="rotation"), Camera(tone="family"))
    return [[Tile(blurry(bank(), camera=camera)) for camera in cameras]]


SHEETS = {
    "kernels": (
        "Motion models",
        "`make-kernels --model`, without noise. Brightness of a kernel is the square root of its weights.",
        kernels_sheet,
        ["13", "", "21", "", "29", ""],
    ),
    "centring": (
        "Centring",
        "`make-kernels --center`: by the centre of mass (the default) or by the box, as Shen et al. do. The "
        "second shifts the picture.",
        centring_sheet,
        ["mass", "", "box", ""],
    ),
    "noise": (
        "Noise",
        "`build-dataset --noise-sigma`; the paper's is 0.03.",
        noise_sheet,
        ["0", "0.01", "0.03", "0.06"],
    ),
    "isolation": (
        "Class-isolated sets",
        "`build-dataset --class-isolated --isolation composite|layered`: only one class is blurred.",
        isolation_sheet,
        ["full", "background", "skin", "features", "hair"],
    ),
    "formation": (
        "Formation",
        "`build-dataset --formation camera`: blur in linear light, highlights, raw noise, Bayer pattern. "
        "`--motion rotation` takes a path in six degrees of freedom, `--tone family` another tone curve.",
        formation_sheet,
        ["paper", "camera, no sensor noise", "camera", "camera, rotation", "camera, tone family"],
    ),
}


def main() -> None:
    """Draw all sheets and write the page."""
    (HERE / "gallery").mkdir(exist_ok=True)
    page = [
        "# Gallery",
        "",
        "What each option does to one picture, a drawn face. `python docs/make_gallery.py` draws this page.",
    ]
    for name, (title, text, draw, headings) in SHEETS.items():
        sheet(draw(), headings).save(HERE / f"gallery/{name}.jpg", quality=88, optimize=True)
        page += ["", f"## {title}", "", text, "", f"![{title}](gallery/{name}.jpg)"]
    (HERE / "gallery.md").write_text("\n".join(page) + "\n", "utf-8")


if __name__ == "__main__":
    main()
