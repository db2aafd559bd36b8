"""Camera paths: what the lens was pointed at while the shutter was open, one file for each model.

In: a model, a seed and kernel numbers. Out: ``Paths``, of eight kernels at a time.
A new model is a new file here and a line in MODELS.

A path is a list of samples, each with a place in the image plane (arbitrary origin and unit;
``blurgen.kernels.raster`` shifts and scales it into a kernel) and a weight, the light that falls there.
It is a pure function of (model, seed, number, attempt, samples) and the same on any machine: only
operations that IEEE 754 defines to the last bit are used (+, -, x, /, square root), in a fixed order,
without fused multiply-add.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blurgen.kernels.paths import boracchi2d, camera3d, gaussian_process, linear
from blurgen.kernels.paths.deviates import LANES, MOST_ATTEMPTS, MOST_SAMPLES
from blurgen.randomness.normal_table import QUANTILES_Q15

__all__ = ["LANES", "MODELS", "MOST_ATTEMPTS", "MOST_SAMPLES", "Model", "Paths", "walk"]


@dataclass(frozen=True)
class Model:
    """A law of motion: its compiled walk and the names of the parameters it draws for each kernel."""

    walk: Callable[..., None]
    parameters: tuple[str, ...]


MODELS: Final = {
    "camera3d": Model(camera3d.walk, camera3d.PARAMETERS),
    "boracchi2d": Model(boracchi2d.walk, boracchi2d.PARAMETERS),
    "gaussian-process": Model(gaussian_process.walk, gaussian_process.PARAMETERS),
    "linear": Model(linear.walk, linear.PARAMETERS),
}


@dataclass(frozen=True)
class Paths:
    """The paths of LANES kernels side by side, in the unit of their model."""

    x: NDArray[np.float64]  # [seen, LANES], to the right
    y: NDArray[np.float64]  # [seen, LANES], downwards
    weight: NDArray[np.float64]  # [seen, LANES], positive, not normalised
    parameters: NDArray[np.float64]  # [len(model.parameters), LANES]

    @classmethod
    def empty(cls, model: str, seen: int) -> Paths:
        """Return room for the first ``seen`` samples of LANES paths."""
        rows = len(MODELS[model].parameters)
        x, y, weight = np.empty((3, seen, LANES))
        return cls(x, y, weight, np.empty((rows, LANES)))


def walk(
    model: str,
    seed: int,
    numbers: NDArray[np.uint64],
    attempts: NDArray[np.uint32],
    samples: int,
    paths: Paths,
) -> None:
    """Walk the paths of LANES kernels into ``paths``.

    ``numbers`` [LANES] are kernel numbers of a bank, ``attempts`` [LANES] count refused earlier draws. A
    whole exposure has ``samples`` samples; the first ``len(paths.x)`` are seen. The GIL is released.
    """
    MODELS[model].walk(
        np.uint64(seed),
        numbers,
        attempts,
        np.int64(samples),
        QUANTILES_Q15,
        paths.parameters,
        paths.x,
        paths.y,
        paths.weight,
    )
