"""Face embedders that the user has: from a picture to a vector whose direction says who it is.

ONNX files are data: a graph of known operations. A TorchScript file is a program, and loading it runs it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from blurgen.errors import Argument, ArgumentError, InputError
from umsn.scoring.measures import Picture
from umsn.scoring.upright import SIDE, Points, upright

RANGES: Final[dict[str, tuple[float, float]]] = {"-1..1": (-1, 1), "0..1": (0, 1), "0..255": (0, 255)}
TORCHSCRIPT_SUFFIXES: Final = (".pt", ".pth", ".ts", ".torchscript")

Run = Callable[[NDArray[np.float32]], NDArray[np.float64]]


@dataclass(frozen=True)
class InputFormat:
    """What an embedder takes. The defaults are those of ArcFace and FaceNet models."""

    size: int | None = None
    """Side of its square pictures; None: as the ONNX file says, or the picture's own."""
    values: str = "-1..1"
    """What black and white are, one of ``RANGES``."""
    colours: str = "rgb"
    """``rgb`` or ``bgr``."""

    def __post_init__(self) -> None:
        if self.values not in RANGES:
            raise ArgumentError(
                Argument("values"), f" must be one of {', '.join(RANGES)}, not '{self.values}'."
            )
        if self.colours not in ("rgb", "bgr"):
            raise ArgumentError(Argument("colours"), f" must be rgb or bgr, not '{self.colours}'.")


class Embedder:
    """A picture -> a unit vector.

    What goes in, at the embedder's size: the face turned upright, where its points are given; else the middle
    square of the picture, scaled with bilinear filtering. Raises InputError for a file that cannot be used.
    """

    def __init__(self, path: Path, format: InputFormat = InputFormat()) -> None:
        if not path.is_file():
            raise InputError(f"{path}: there is no such embedder.")
        self.path = path
        self._low, self._high = RANGES[format.values]
        self._backwards = format.colours == "bgr"
        self._run: Run
        self._channels_first, self._size = True, format.size
        if path.suffix.lower() == ".onnx":
            self._run, self._channels_first, size = _onnx(path)
            self._size = size or format.size
            if size is not None and format.size not in (None, size):
                raise InputError(f"{path} takes pictures of {size} x {size}, not {format.size}.")
        elif path.suffix.lower() in TORCHSCRIPT_SUFFIXES:
            self._run = _torchscript(path)
        else:
            raise InputError(f"{path}: an embedder is an .onnx file, or TorchScript (.pt).")

    def __call__(self, picture: Picture, name: str, points: Points | None = None) -> NDArray[np.float64]:
        """Return the unit vector of a picture (of its face at ``points``); errors call it ``name``."""
        try:
            vector = self._run(self._prepared(picture, points)).reshape(-1)
        except Exception as error:
            # A foreign graph or program may fail with anything.
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(f"{self.path} fails on {name} ({reason}).") from error
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or length == 0:
            raise InputError(f"{self.path} gives no direction for {name}: its output is zero or not finite.")
        return vector / length

    def _prepared(self, picture: Picture, points: Points | None) -> NDArray[np.float32]:
        square = self._middle(picture) if points is None else upright(picture, points, self._size or SIDE)
        values = np.asarray(square, np.float32) / 255 * (self._high - self._low) + self._low
        values = values[..., ::-1] if self._backwards else values
        values = values.transpose(2, 0, 1) if self._channels_first else values
        return np.ascontiguousarray(values[None], np.float32)

    def _middle(self, picture: Picture) -> Picture:
        side = min(picture.shape[:2])
        top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
        square = Image.fromarray(picture[top : top + side, left : left + side])
        if self._size is not None and self._size != side:
            square = square.resize((self._size, self._size), Image.Resampling.BILINEAR)
        return np.asarray(square)


def _onnx(path: Path) -> tuple[Run, bool, int | None]:
    """Return how to run an ONNX file, whether channels come first, and the side of its pictures."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise InputError('ONNX embedders need onnxruntime; to install it: pip install "blurgen[eval]"')
    import onnxruntime  # noqa: PLC0415  (an extra)

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised as well
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # onnxruntime has no common base for what it raises.
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} cannot be used as an ONNX model ({reason}).") from error
    inputs = session.get_inputs()
    shape = inputs[0].shape if inputs else []
    if (
        len(inputs) != 1
        or len(shape) != 4
        or inputs[0].type != "tensor(float)"
        or 3 not in (shape[1], shape[3])
    ):
        raise InputError(
            f"{path} does not take one float picture, [N, 3, H, W] or [N, H, W, 3]; give a face embedder."
        )
    first = shape[1] == 3
    height, width = (shape[2], shape[3]) if first else (shape[1], shape[2])
    if shape[0] not in (1, None) and not isinstance(shape[0], str):
        raise InputError(f"{path} takes {shape[0]} pictures at a time; give one that takes one.")
    if isinstance(height, int) and isinstance(width, int) and height != width:
        raise InputError(f"{path} takes pictures of {width} x {height}; only square ones are supported.")
    size = height if isinstance(height, int) else None
    name = inputs[0].name

    def run(values: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(session.run(None, {name: values})[0], np.float64)

    return run, first, size


def _torchscript(path: Path) -> Run:
    """Load a program and return how to run it."""
    try:
        module: Any = torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} cannot be used as TorchScript ({reason}).") from error

    def run(values: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.no_grad():
            found = module(torch.from_numpy(values))
        return found.double().cpu().numpy()

    return run
