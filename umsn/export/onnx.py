"""ONNX: one file with the input ``blurry`` and the output ``sharp``, checked against PyTorch when written."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from blurgen.errors import InputError
from blurgen.files.atomic import check_writable, write_aside
from blurgen.jobs.progress import Reporter, Silent
from umsn.export.probe import probe_pictures
from umsn.export.whole import exported, whole
from umsn.restore.deblur import Deblurrer

Precision = Literal["fp32", "fp16", "int8"]

OPSET: Final = 20
"""The operator set of the file."""

MOST_DIFFERENCE: Final = 1e-4
"""How far a float32 export may be from PyTorch in the mean, of full scale: a fortieth of a grey level.

In the mean: where two classes are equally likely to S-Net, rounding alone decides on a pixel of a mask, and
the picture around it can change by a grey level or two.
"""

_PROBED = 8
_CALIBRATED = 32


@dataclass(frozen=True)
class Difference:
    """How far what was exported is from PyTorch, over the probe pictures."""

    largest: float
    """Of full scale."""
    mean: float
    """The mean absolute difference, likewise."""
    loss: float
    """PSNR lost, dB."""


@dataclass(frozen=True)
class Exported:
    """What an export became."""

    path: Path
    size: int
    """Bytes."""
    difference: Difference


def export_onnx(
    deblurrer: Deblurrer,
    path: str | os.PathLike[str],
    precision: Precision = "fp32",
    *,
    reporter: Reporter = Silent(),
) -> Exported:
    """Write the whole network, S-Net and masks inside, to one ONNX file.

    ``fp16`` stores and computes in half precision, ``int8`` multiplies 8-bit numbers (ONNX Runtime's static
    quantisation, calibrated on drawn faces); inputs and outputs stay float32. The file appears when it is
    checked: by ONNX, and against PyTorch on 8 blurred faces and on a picture of odd size.

    Raises InputError when a package is missing, the folder cannot be written, or a float32 export is further
    from PyTorch than ``MOST_DIFFERENCE``.
    """
    onnx, _ = _packages()
    check_writable(path)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "plain.onnx")
        reporter.say("Exporting the network to ONNX.")
        write_program(exported(deblurrer), plain, ["blurry"], "sharp")
        if precision != "fp32":
            reporter.say(f"Lowering it to {precision}.")
        finished = _lowered(plain, precision, Path(folder))
        reporter.say("Checking it against PyTorch.")
        onnx.checker.check_model(onnx.load(finished), full_check=True)
        opened = session(finished)
        found = compared(whole(deblurrer), lambda blurry: opened.run(None, {"blurry": blurry})[0])
        if precision == "fp32":
            require_equal(path, found)
        data = finished.read_bytes()
    with write_aside(path) as aside:
        aside.write_bytes(data)
    return Exported(Path(path), len(data), found)


def write_program(
    program: torch.export.ExportedProgram, path: Path, inputs: Sequence[str], output: str, sizes: str = "NHW"
) -> None:
    """Write a traced program as an ONNX file and have ONNX check it; ``sizes`` names the free ones.

    Raises InputError where a package is missing.
    """
    onnx, _ = _packages()
    with _quiet():
        made = torch.onnx.export(
            program,
            input_names=list(inputs),
            output_names=[output],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert made is not None
    made.save(str(path), external_data=False)
    onnx.save(_tidied(onnx.load(path), sizes), str(path))
    onnx.checker.check_model(onnx.load(path), full_check=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what torch says of packages that are not needed, and of its own old code, from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def session(path: Path, threads: int = 0) -> Any:
    """Return an ONNX Runtime session of a file on the CPU; ``threads`` 0: as many as there are cores."""
    _, runtime = _packages()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _packages() -> tuple[Any, Any]:
    try:
        import onnx  # noqa: PLC0415  (an extra)
        import onnxruntime  # noqa: PLC0415
        import onnxscript  # noqa: F401, PLC0415  (torch.onnx needs it)
    except ImportError as error:
        raise InputError(
            f"exporting to ONNX needs the package {error.name}: pip install 'blurgen[onnx]'"
        ) from None
    return onnx, onnxruntime


def _tidied(model: Any, sizes: str) -> Any:
    """Name the first input's free sizes as a reader of the file expects, and leave out the tracer's notes.

    Those are as large as a small network, and name the files of this machine.
    """
    free = [d.dim_param for d in model.graph.input[0].type.tensor_type.shape.dim if d.dim_param]
    names = dict(zip(free, sizes, strict=True))
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param in names:
                size.dim_param = names[size.dim_param]
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        part.ClearField("metadata_props")
    return model


def _lowered(plain: Path, precision: Precision, folder: Path) -> Path:
    """Return the file in the precision that is wanted."""
    if precision == "fp32":
        return plain
    lowered = folder / f"{precision}.onnx"
    if precision == "fp16":
        import onnx  # noqa: PLC0415
        from onnxruntime.transformers.float16 import convert_float_to_float16  # noqa: PLC0415
        from onnxruntime.transformers.onnx_model import OnnxModel  # noqa: PLC0415

        # Conversions are put at the end, where a reader meets them after their use.
        half = OnnxModel(convert_float_to_float16(onnx.load(plain), keep_io_types=True))
        half.topological_sort()
        onnx.save(half.model, str(lowered))
        return lowered
    from onnxruntime.quantization import QuantFormat, quantize_static  # noqa: PLC0415
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

    prepared = folder / "prepared.onnx"
    quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(lowered),
        _Calibration(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        op_types_to_quantize=["Conv"],
    )
    return lowered


class _Calibration:
    """The blurred faces that quantisation sees, one at a time, as ONNX Runtime asks for them."""

    def __init__(self) -> None:
        blurry, _ = probe_pictures(_CALIBRATED, seed=1)
        self._left = iter(blurry)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        picture = next(self._left, None)
        return None if picture is None else {"blurry": picture[None]}


def compared(
    network: nn.Module, exported: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> Difference:
    """Return how far ``exported`` is from a network, both of blurry pictures float32 ``[N, 3, H, W]``."""
    blurry, clean = probe_pictures(_PROBED)

    def both(pictures: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with torch.no_grad():
            return network(torch.from_numpy(pictures)).numpy(), exported(pictures)

    ours, theirs = both(blurry)
    # Free sizes are a promise as well.
    odd, odd_theirs = both(np.ascontiguousarray(blurry[:1, :, :61, :99]))
    differences = [np.abs(ours - theirs), np.abs(odd - odd_theirs)]
    lost = [10 * np.log10(np.square(made - clean).mean()) for made in (theirs, ours)]
    return Difference(
        max(float(each.max()) for each in differences),
        max(float(each.mean()) for each in differences),
        float(lost[0] - lost[1]),
    )


def require_equal(path: str | os.PathLike[str], found: Difference) -> None:
    """Raise InputError unless a float32 export is within ``MOST_DIFFERENCE`` of PyTorch in the mean."""
    if not found.mean <= MOST_DIFFERENCE:
        raise InputError(
            f"{path}: the export differs from PyTorch by {found.mean:.2g} of full scale; nothing was "
            "written. Another version of torch or onnxruntime may help."
        )
