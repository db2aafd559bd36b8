"""The kernels of a bank, small to large, each with the camera path behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from blurgen.errors import InputError
from blurgen.jobs.progress import counted
from blurgen.kernels.bank import KernelBank, has_paths, trajectory
from umsn.report.embed import png_uri
from umsn.report.markup import Markup, element

_SIZES: Final = 9
_OF_EACH_SIZE: Final = 4


def kernels_content(path: Path) -> list[Markup]:
    """Return a gallery of the bank in ``path``: four kernels of each of up to nine sizes.

    Raises InputError when the file is no kernel bank.
    """
    bank = KernelBank.load(path)
    paths = has_paths(bank)
    sizes = np.unique(bank.sizes)
    try:
        tiles = [_tile(bank, i, paths) for i in _chosen(bank)]
    except ValueError as error:
        raise InputError(f"{path}: does not hold what its recipe makes; make the bank again.") from error
    made = ", ".join(f"{key} {value}" for key, value in sorted(bank.made_with.items()) if _plain(value))
    about = (
        f"{len(tiles)} of {counted(len(bank), 'kernel')} of {sizes[0]} to {sizes[-1]} pixels, shown as "
        f"the square root of their weights{'; the line is the camera path' if paths else ''}. "
        f"Digest {bank.digest[:12]}. {made}"
    )
    return [element("p", about, class_="note"), element("div", *tiles, class_="kernels")]


def _chosen(bank: KernelBank) -> list[int]:
    sizes = np.unique(bank.sizes)
    shown = sizes[np.unique(np.linspace(0, len(sizes) - 1, min(_SIZES, len(sizes))).round().astype(int))]
    return [int(i) for size in shown for i in np.flatnonzero(bank.sizes == size)[:_OF_EACH_SIZE]]


def _tile(bank: KernelBank, number: int, paths: bool) -> Markup:
    weights = bank.weights[number]
    grey = (255 * np.sqrt(weights / weights.max())).round().astype(np.uint8)
    side = bank.max_size
    drawn = [element("image", href=png_uri(grey), width=side, height=side)]
    caption = f"{bank.sizes[number]} px"
    if paths:
        path = trajectory(bank, number)
        # A path of thousands of samples looks the same with a few hundred.
        step = max(1, len(path.x) // 300)
        x, y = path.x[::step] + side / 2, path.y[::step] + side / 2
        points = " ".join(f"{a:.2f},{b:.2f}" for a, b in zip(x, y, strict=True))
        drawn.append(element("polyline", points=points, class_="path"))
        caption += f" · path {path.length:.0f} px"
    picture = element(
        "svg", *drawn, viewBox=f"0 0 {side} {side}", role="img", aria_label=f"Kernel {number}, {caption}"
    )
    return element("figure", picture, element("figcaption", caption))


def _plain(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
