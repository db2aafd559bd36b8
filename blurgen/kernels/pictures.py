"""Pictures of kernel banks: a gallery of kernels with their paths, and plots of the statistics."""

from __future__ import annotations

import os
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from blurgen.errors import InputError
from blurgen.files.atomic import write_file
from blurgen.files.png import encode_png
from blurgen.jobs.progress import counted
from blurgen.kernels.bank import CameraPath, KernelBank, has_paths, trajectory
from blurgen.kernels.statistics import DIRECTION_BINS, center_offsets

_ZOOM: Final = 5
_GAP: Final = 10
_CAPTION: Final = 15
_BACKGROUND: Final = (24, 26, 30)
_FRAME: Final = (60, 64, 72)
_INK: Final = (200, 204, 212)
_PLOT_FONT_SIZE = 9


def save_gallery(bank: KernelBank, path: str | os.PathLike[str], **layout: int) -> None:
    """Write a gallery of a bank as a PNG file; see ``gallery``."""
    write_file(path, encode_png(np.asarray(gallery(bank, **layout))))


def gallery(bank: KernelBank, *, columns: int = 6, per_size: int = 4) -> Image.Image:
    """Return a gallery of a bank.

    ``per_size`` kernels of each of up to nine sizes, small to large: the weights (left) and the camera
    path (right; bright where it lingers, the start marked by a ring, the centre of mass by a cross) with
    number, size and path length. Imported kernels have no paths and are shown by their weights.
    """
    chosen = _choice(bank, per_size)
    paths = [trajectory(bank, i) for i in chosen] if has_paths(bank) else [None] * len(chosen)
    side = bank.max_size * _ZOOM
    cell_width = (side if paths[0] is None else 2 * side + 2) + _GAP
    cell_height = side + _CAPTION + _GAP
    columns = min(columns, len(chosen))
    rows = -(-len(chosen) // columns)
    sheet = Image.new("RGB", (columns * cell_width + _GAP, rows * cell_height + _GAP), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(11)
    offsets = center_offsets(bank.weights[chosen])
    for k, (i, path_of_kernel) in enumerate(zip(chosen, paths, strict=True)):
        left, top = _GAP + k % columns * cell_width, _GAP + k // columns * cell_height
        size = int(bank.sizes[i])
        sheet.paste(_picture_of_weights(bank.weights[i]), (left, top))
        _frame(draw, left, top, size, side)
        _cross(draw, left + side / 2 + offsets[k, 0] * _ZOOM, top + side / 2 + offsets[k, 1] * _ZOOM)
        caption = f"{i}: {size} px"
        if path_of_kernel is not None:
            sheet.paste(_picture_of_path(path_of_kernel, bank.max_size), (left + side + 2, top))
            _frame(draw, left + side + 2, top, size, side)
            caption += f", path {path_of_kernel.length:.0f} px"
        draw.text((left, top + side + 1), caption, fill=_INK, font=font)
    return sheet


def save_plots(statistics: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Plot ``blurgen.kernels.statistics.statistics`` into a PNG file; InputError without matplotlib."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise InputError('Plots need matplotlib: pip install "blurgen[plot]"') from error
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    figure.suptitle(f"{counted(statistics['count'], 'kernel')}, digest {statistics['digest'][:8]}")
    sizes = figure.add_subplot(2, 3, 1)
    sizes.bar(list(statistics["sizes"]), list(statistics["sizes"].values()))
    sizes.set(title="size (px)", ylabel="kernels")
    sizes.tick_params(labelsize=_PLOT_FONT_SIZE)
    directions = figure.add_subplot(2, 3, 2, projection="polar")
    step = np.pi / DIRECTION_BINS
    middles = (np.arange(2 * DIRECTION_BINS) + 0.5) * step
    directions.bar(middles, statistics["directions"] * 2, width=step, edgecolor="white")
    directions.set(title="direction of the main axis", yticklabels=[])
    panels = [("taps", "taps"), ("roundness", "roundness")]
    panels += [("straightness", "straightness of the path"), ("path_length", "path length (px)")]
    for k, (name, title) in enumerate(panels):
        if name in statistics:
            panel = figure.add_subplot(2, 3, 3 + k)
            edges, counts = statistics[name]["histogram"]["edges"], statistics[name]["histogram"]["counts"]
            panel.stairs(counts, edges, fill=True)
            panel.set(title=title, ylabel="kernels")
    # Rendered first: a missing font or a bad backend must not leave half a file.
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    write_file(path, picture.getvalue())


def _choice(bank: KernelBank, per_size: int) -> list[int]:
    """Return numbers of kernels: the first ``per_size`` of up to nine sizes, evenly spread, ascending."""
    sizes = np.unique(bank.sizes)
    shown = sizes[np.unique(np.linspace(0, len(sizes) - 1, min(9, len(sizes))).round().astype(int))]
    return [int(i) for size in shown for i in np.flatnonzero(bank.sizes == size)[:per_size]]


def _picture_of_weights(kernel: NDArray[np.uint16]) -> Image.Image:
    grey = (255 * np.sqrt(kernel / kernel.max())).astype(np.uint8)
    return Image.fromarray(grey.repeat(_ZOOM, axis=0).repeat(_ZOOM, axis=1)).convert("RGB")


def _picture_of_path(path: CameraPath, size: int) -> Image.Image:
    """Draw a path as a line, bright where much light falls on little length."""
    side = size * _ZOOM
    light = np.zeros((side + 1, side + 1))
    columns, rows = (path.x + size / 2) * _ZOOM, (path.y + size / 2) * _ZOOM
    np.add.at(light, (np.clip(rows, 0, side).astype(int), np.clip(columns, 0, side).astype(int)), path.weight)
    grey = np.zeros_like(light)
    lit = light > 0
    grey[lit] = np.clip(0.35 + 0.65 * light[lit] / np.percentile(light[lit], 97), 0, 1)
    picture = Image.fromarray((255 * grey[:side, :side]).astype(np.uint8)).convert("RGB")
    x, y = float(columns[0]), float(rows[0])
    ImageDraw.Draw(picture).ellipse((x - 3, y - 3, x + 3, y + 3), outline=(255, 140, 60))
    return picture


def _frame(draw: ImageDraw.ImageDraw, left: int, top: int, size: int, side: int) -> None:
    margin = (side - size * _ZOOM) // 2
    draw.rectangle((left, top, left + side - 1, top + side - 1), outline=_FRAME)
    box = (left + margin, top + margin, left + side - margin - 1, top + side - margin - 1)
    draw.rectangle(box, outline=(90, 120, 160))


def _cross(draw: ImageDraw.ImageDraw, x: float, y: float) -> None:
    draw.line((x - 2, y, x + 2, y), fill=(255, 80, 80))
    draw.line((x, y - 2, x, y + 2), fill=(255, 80, 80))
