"""Kernels from a phone's gyroscope: a log of how the camera turned becomes one kernel for each exposure.

The log is text with comma, semicolon or tab between ``time, wx, wy, wz``: rates of turning in radians a
second about the axes of the device. A first line that is no numbers is a heading, and further columns are
ignored. It is cut into exposures one after another. During each, the rates are integrated (between two lines
they are taken to change linearly); a point in the middle of the picture then moves by ``focal_length`` times
the angle, and where it was is the kernel. Turning about the line of sight leaves the middle in its
place: kernels cannot show it (a camera with motion "rotation" can).
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError, check_choice, check_range
from blurgen.files.bounded import read_bounded
from blurgen.kernels.bank import KernelBank
from blurgen.kernels.raster import to_q15
from blurgen.limits import LARGEST_KERNEL

AXES: Final = ("android", "camera")
"""Axes of the device: of phones (right, up, towards the user), or a camera's (right, down, forward)."""

TIME_UNITS: Final = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Seconds in a unit of the first column."""

_MOST_BYTES = 64 << 20
_MOST_KERNELS = 1 << 14
_MOST_SAMPLES = 1 << 20
_FASTEST = 1000.0  # radians a second: a good gyroscope ends at 35
_PER_EXPOSURE = 1000  # points of a path


def import_gyroscope(
    path: str | os.PathLike[str],
    *,
    focal_length: float,
    exposure: float,
    axes: str = "android",
    time_unit: str = "s",
) -> KernelBank:
    """Return one kernel for each whole ``exposure`` (seconds) of a gyroscope's log, its mass at the centre.

    ``focal_length`` in pixels of the pictures to blur: that of a 35 mm camera divided by 43.27 mm, times the
    diagonal of the picture. ``axes`` is one of AXES, ``time_unit`` one of TIME_UNITS. Raises ValueError for
    an argument out of range; InputError when the file is no such log, is shorter than an exposure, or the
    camera turned too fast for a kernel of 101 pixels.
    """
    check_range("focal_length", focal_length, 1, 1_000_000)
    check_range("exposure", exposure, 0.00001, 100)
    check_choice("axes", axes, AXES)
    check_choice("time_unit", time_unit, TIME_UNITS)
    path = Path(path)
    time, rates = _read(path, TIME_UNITS[time_unit])
    count = int(np.floor((time[-1] - time[0]) / exposure + 1e-9))
    if count < 1:
        raise InputError(
            f"{path}: lasts {time[-1] - time[0]:.3g} s, less than an exposure of {exposure:g} s."
        )
    if count > _MOST_KERNELS:
        raise InputError(f"{path}: has {count:,} exposures; {_MOST_KERNELS:,} are the most, cut it.")
    angles = _integral(time, rates)
    kernels = []
    for number in range(count):
        moments = time[0] + exposure * (number + (np.arange(_PER_EXPOSURE) + 0.5) / _PER_EXPOSURE)
        right, up = (np.interp(moments, *angles[axis]) for axis in (0, 1))
        down = up if axes == "camera" else -up
        # The camera turns right: what it sees moves left. It turns its view up (about the right): down.
        kernels.append(_kernel(path, number, -focal_length * down, focal_length * right))
    made_with = {
        "imported_from": path.name,
        "focal_length": focal_length,
        "exposure": exposure,
        "axes": axes,
        "time_unit": time_unit,
    }
    return KernelBank.of_kernels(kernels, made_with)


def _read(path: Path, unit: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the times in seconds ``[n]``, ascending, and the rates ``[n, 3]``."""
    try:
        text = read_bounded(path, _MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no text; expected lines of time, wx, wy, wz.") from None
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    separator = next((mark for mark in ("\t", ";") if lines and mark in lines[0]), ",")
    if lines and not _is_number(lines[0].split(separator)[0]):
        del lines[0]
    if not 2 <= len(lines) <= _MOST_SAMPLES:
        raise InputError(f"{path}: has {len(lines):,} lines of numbers, expected 2 to {_MOST_SAMPLES:,}.")
    try:
        table = np.loadtxt(
            io.StringIO("\n".join(lines)), delimiter=separator, usecols=(0, 1, 2, 3), ndmin=2, comments=None
        )
    except ValueError as error:
        reason = str(error).partition(";")[0].partition("\n")[0][:100]
        raise InputError(f"{path}: is no log of time, wx, wy, wz ({reason}).") from None
    if not np.isfinite(table).all():
        raise InputError(f"{path}: holds a number that is not finite; remove its line.")
    if (np.abs(table[:, 1:]) > _FASTEST).any():
        raise InputError(f"{path}: turns faster than {_FASTEST:g} radians a second; is that its unit?")
    # Times of a phone count from long ago, in nanoseconds: the first is taken off before anything is lost.
    time = (table[:, 0] - table[0, 0]) * unit
    if not (np.diff(time) > 0).all():
        line = int(np.argmin(np.diff(time) > 0)) + 2
        raise InputError(f"{path}: time does not go on from one line to the next (number {line}); sort it.")
    return time, table[:, 1:]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _integral(
    time: NDArray[np.float64], rates: NDArray[np.float64]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return moments and angles of each axis: at the lines of the log, and at three places between two."""
    share = np.array([0.25, 0.5, 0.75, 1.0])
    step, change = np.diff(time)[:, None], np.diff(rates, axis=0)
    moments = np.concatenate(([time[0]], (time[:-1, None] + step * share).ravel()))
    found = []
    for axis in range(3):
        begun = np.concatenate(([0.0], np.cumsum(step[:, 0] * (rates[:-1, axis] + change[:, axis] / 2))))
        within = step * (share * rates[:-1, axis, None] + share**2 / 2 * change[:, axis, None])
        found.append((moments, np.concatenate(([0.0], (begun[:-1, None] + within).ravel()))))
    return found


def _kernel(path: Path, number: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Return the kernel of a path in pixels, its mean at the centre, in the smallest odd size from 3 on."""
    x, y = x - x.mean(), y - y.mean()
    reach = max(np.abs(x).max(), np.abs(y).max())
    if not reach <= LARGEST_KERNEL // 2:
        raise InputError(
            f"{path}: in exposure {number} the picture moves {reach:.0f} pixels from its mean, "
            f"{LARGEST_KERNEL // 2} are the most; give a shorter exposure or a smaller focal length."
        )
    radius = max(1, int(np.ceil(reach)))
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    right, down = x - column, y - row
    grid = np.zeros((2 * radius + 2, 2 * radius + 2))
    for i, j, share in (
        (0, 0, (1 - down) * (1 - right)),
        (0, 1, (1 - down) * right),
        (1, 0, down * (1 - right)),
        (1, 1, down * right),
    ):
        np.add.at(grid, (row + radius + i, column + radius + j), share)
    return to_q15(grid[:-1, :-1])
