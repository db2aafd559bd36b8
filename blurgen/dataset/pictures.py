"""A contact sheet of a dataset: what is in it, at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from blurgen.dataset.manifest import FULL, ISOLATED
from blurgen.dataset.reading import Dataset, Triplet
from blurgen.dataset.render import Renderer
from blurgen.errors import InputError, check_range
from blurgen.files.atomic import write_aside
from blurgen.files.png import encode_png
from blurgen.labels import Label
from blurgen.randomness.philox import Stream, words
from blurgen.synthesis.camera.shake import trajectory

LABEL_COLOURS: Final[NDArray[np.uint8]] = np.full((256, 3), 128, np.uint8)
"""uint8 [256, 3]: the colour a mask pixel of each label is shown in; grey where it is unknown."""
LABEL_COLOURS[: Label.HAIR + 1] = [
    (20, 20, 30),  # background
    (236, 188, 150),  # skin
    (110, 60, 160),  # left eyebrow
    (160, 90, 210),  # right eyebrow
    (40, 120, 220),  # left eye
    (70, 170, 250),  # right eye
    (240, 140, 40),  # nose
    (220, 50, 80),  # upper lip
    (250, 240, 240),  # inner mouth
    (170, 30, 60),  # lower lip
    (90, 160, 70),  # hair
]

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_GAP, _CAPTION, _MARGIN = 6, 18, 10
_PAPER, _INK = (255, 255, 255), (40, 40, 40)


def contact_sheet(dataset: Dataset, rows: int = 8, seed: int = 0) -> Image.Image:
    """Return a picture with ``rows`` samples, chosen by ``seed`` and spread over the dataset.

    Each row shows clean, blurry, mask in colours and the kernel, and, where the dataset has them, the
    versions in which only one class is blurred. Raises ValueError for less than one row.
    """
    check_range("rows", rows, 1)
    chosen = _choose(len(dataset), rows, seed)
    return _sheet(dataset, sheet_titles(dataset), chosen, [_tiles(dataset, number) for number in chosen])


def sheet_titles(dataset: Dataset) -> list[str]:
    """Return what stands above the columns of a contact sheet, and that a dataset has no labels."""
    mask = "mask" if dataset.faces.labelled.any() else "mask: no labels"
    isolated = [name.replace("isolated/", "blurred: ") for name in dataset.sets if name != FULL]
    return ["clean", "blurry", mask, "kernel", *isolated]


def stage_sheet(dataset: Dataset, rows: int = 8, seed: int = 0) -> Image.Image:
    """Return a picture with ``rows`` samples as ``contact_sheet`` chooses them, and how each came about.

    Side by side: the photograph, its linear light, the highlights, the blurred picture, the noisy raw one and
    the developed one (``CameraDegrader.stages``). Raises ValueError for less than one row; InputError when no
    camera took the pictures.
    """
    check_range("rows", rows, 1)
    chosen = _choose(len(dataset), rows, seed)
    samples = [dataset[number].index["sample"] for number in chosen]
    with closing(Renderer(dataset.root, dataset.recipe)) as renderer:
        stages = [renderer.stages(renderer.plan([sample])) for sample in samples]
    tiles = [list(pictures.values()) for pictures in stages]
    return _sheet(dataset, list(stages[0]), chosen, tiles)


def triplet_picture(triplet: Triplet) -> bytes:
    """Return clean, blurry and mask of one triplet side by side, as a PNG file."""
    return png(Image.fromarray(np.hstack([triplet.clean, triplet.blurry, LABEL_COLOURS[triplet.mask]])))


def png(picture: Image.Image) -> bytes:
    """Return a picture as a PNG file."""
    return encode_png(np.asarray(picture))


def _sheet(
    dataset: Dataset,
    titles: Sequence[str],
    chosen: list[int],
    tiles: Sequence[Sequence[NDArray[np.uint8] | None]],
) -> Image.Image:
    """Return titles above one row of tiles for each chosen sample, and what it is made of below that."""
    patch = dataset.recipe.patch_size
    pitch, line = patch + _GAP, patch + _CAPTION + _GAP
    sheet = Image.new(
        "RGB",
        (2 * _MARGIN + len(titles) * pitch - _GAP, 2 * _MARGIN + _CAPTION + len(chosen) * line - _GAP),
        _PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=12)
    for column, title in enumerate(titles):
        draw.text((_MARGIN + column * pitch, _MARGIN), _fit(draw, title, patch, font), _INK, font)
    for row, number in enumerate(chosen):
        why_not = _why_not(dataset, number)
        top = _MARGIN + _CAPTION + row * line
        for column, tile in enumerate(tiles[row]):
            if tile is not None:
                sheet.paste(Image.fromarray(tile), (_MARGIN + column * pitch, top))
            else:
                place = (_MARGIN + column * pitch + 4, top + patch // 2 - 8)
                draw.text(place, _fit(draw, why_not, patch - 4, font), _INK, font)
        caption = _fit(draw, _describe(dataset, number), sheet.width - 2 * _MARGIN, font)
        draw.text((_MARGIN, top + patch + 1), caption, _INK, font)
    return sheet


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Save a sheet in the format its name asks for, at once and whole.

    InputError when that is impossible; a file that has the name already then stays as it was.
    """
    picture = Image.registered_extensions().get(path.suffix.lower())
    if picture not in Image.SAVE:
        raise InputError(
            f"{path}: cannot be written ('{path.suffix}' is no picture format known here); "
            "choose another name, such as sheet.png."
        )
    try:
        with write_aside(path) as aside:
            sheet.save(aside, format=picture)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be written ({error}); choose another name, such as sheet.png."
        ) from None


def _choose(length: int, rows: int, seed: int) -> list[int]:
    """Return row numbers in ascending order, one from each of ``rows`` equal parts."""
    edges = np.linspace(0, length, min(rows, length) + 1).astype(np.int64)
    draws = words(seed, Stream.CHOICE, 0, len(edges) - 1).astype(np.uint64)
    return [int(a + (int(w) * int(b - a) >> 32)) for a, b, w in zip(edges, edges[1:], draws, strict=False)]


def _tiles(dataset: Dataset, row: int) -> list[NDArray[np.uint8] | None]:
    triplet = dataset[row]
    tiles: list[NDArray[np.uint8] | None] = [triplet.clean, triplet.blurry, LABEL_COLOURS[triplet.mask]]
    tiles.append(_kernel_tile(_kernel(dataset, triplet.index), dataset.recipe.patch_size))
    for name in ISOLATED if dataset.recipe.class_isolated else ():
        found = dataset.find(int(triplet.index["sample"]), name)
        tiles.append(None if found is None else dataset.open_set(name)[found].blurry)
    return tiles


def _kernel(dataset: Dataset, index: np.void) -> NDArray[Any]:
    """Return what blurs a sample; where the camera turns, in the middle of the patch."""
    recipe, size = dataset.recipe, int(dataset.bank.sizes[index["kernel"]])
    if recipe.camera is None or recipe.camera.motion == "shift":
        return np.asarray(dataset.bank.weights[index["kernel"]])
    shake = trajectory(recipe.camera, recipe.seed, int(index["sample"]), recipe.patch_size, size)
    middle = (recipe.patch_size - 1) / 2
    return np.pad(shake.kernel(middle, middle, size), (dataset.bank.max_size - size) // 2)


def _kernel_tile(kernel: NDArray[Any], patch: int) -> NDArray[np.uint8]:
    """Return a kernel as a grey picture, its largest weight white, enlarged by a whole factor if it fits."""
    grey = (kernel.astype(np.float64) * (255 / kernel.max())).round().astype(np.uint8)
    factor = max(1, patch // len(grey))
    large = grey.repeat(factor, 0).repeat(factor, 1)[:patch, :patch]
    tile = np.zeros((patch, patch, 3), np.uint8)
    start = (patch - len(large)) // 2
    tile[start : start + len(large), start : start + len(large)] = large[..., None]
    return tile


def _describe(dataset: Dataset, row: int) -> str:
    index, camera = dataset[row].index, dataset.recipe.camera
    face, kernel = int(index["image"]), int(index["kernel"])
    motion = f"kernel {kernel}" if camera is None or camera.motion == "shift" else "rotation"
    return (
        f"sample {int(index['sample'])}: {dataset.faces.name(face)} at row {int(index['top'])}, column "
        f"{int(index['left'])}; {motion}, {int(dataset.bank.sizes[kernel])} pixels"
    )


def _why_not(dataset: Dataset, row: int) -> str:
    labelled = dataset.faces.labelled[int(dataset[row].index["image"])]
    return "under 0.5 % of it" if labelled else "no labels"


def _fit(draw: ImageDraw.ImageDraw, text: str, width: int, font: _Font) -> str:
    """Return as much of a text as is not wider than ``width`` pixels."""
    while text and draw.textlength(text, font) > width:
        text = text[:-1]
    return text
