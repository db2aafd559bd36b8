"""A folder of static files with which a person sharpens a photograph in a browser; nothing leaves it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.export.folder import new_folder
from blurgen.jobs.progress import Reporter, Silent
from umsn.export.onnx import compared, export_onnx, require_equal, session, write_program
from umsn.export.whole import exported_parts, whole, window_parts
from umsn.nets import KernelGuided
from umsn.nets.kernel_estimator import WINDOW
from umsn.restore.deblur import Deblurrer

RUNTIME: Final = "1.30.0"
"""The version of the npm package ``onnxruntime-web`` whose files the page uses."""

RUNTIME_FILES: Final = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")

PAGE_FILES: Final = ("index.html", "style.css", "app.js", "worker.js", "icon.svg")


@dataclass(frozen=True)
class PageTiling:
    """How the page cuts a photograph into squares; all in pixels."""

    tile: int = 256
    """Side of the largest square that goes through the network at once."""
    overlap: int = 64
    """How far neighbouring squares overlap; there they fade into each other."""
    margin: int = 0
    """Lines at a cut that count for nothing."""


OF_KERNEL_GUIDED: Final = PageTiling(512, 128, 32)
"""A Wiener filter sees further than a network, and rings at the border."""

MOST_WINDOWS: Final = 8
"""Along each side of a photograph, of those the kernel is estimated from: a matter of seconds."""

_MOST_BYTES = 64 << 20  # of a file of the runtime


def export_web(
    deblurrer: Deblurrer,
    out: str | os.PathLike[str],
    runtime: str | os.PathLike[str] | None = None,
    *,
    reporter: Reporter = Silent(),
) -> Path:
    """Write the page, the network and ONNX Runtime Web into a new or empty folder.

    ``runtime`` is the folder of the npm package ``onnxruntime-web`` (``node_modules/onnxruntime-web``); None:
    it is fetched with ``npm pack``. Nothing is loaded from another host, neither now by the page nor later.

    Raises InputError when ``out`` holds something, a package is missing, or npm is not there.
    """
    out = Path(out)
    with new_folder(out) as folder, tempfile.TemporaryDirectory() as scratch:
        if runtime is None:
            reporter.say(f"Fetching onnxruntime-web {RUNTIME} with npm.")
        package = _fetched(Path(scratch)) if runtime is None else Path(runtime)
        for name in RUNTIME_FILES:
            source = package / "dist" / name
            if not source.is_file():
                raise InputError(
                    f"{source}: is not there; give the folder of the npm package that "
                    f"'npm pack onnxruntime-web@{RUNTIME}' fetches."
                )
            shutil.copyfile(source, folder / name)
        page = files("umsn.export") / "web"
        for name in PAGE_FILES:
            (folder / name).write_bytes((page / name).read_bytes())
        about = _write_networks(deblurrer, folder, reporter)
        (folder / "model.json").write_text(json.dumps(about) + "\n", "utf-8")
    return out


def _write_networks(deblurrer: Deblurrer, folder: Path, reporter: Reporter) -> dict[str, Any]:
    """Write ``model.onnx``, and ``kernel.onnx`` where the network estimates one; return model.json."""
    network = deblurrer.network
    if not isinstance(network, KernelGuided):
        export_onnx(deblurrer, folder / "model.onnx", reporter=reporter)
        return asdict(PageTiling())
    # All squares of a photograph have one kernel, so it is found ahead of them.
    reporter.say("Exporting the network to ONNX.")
    find, restore = exported_parts(network)
    write_program(find, folder / "kernel.onnx", ["windows"], "kernel", "K")
    write_program(restore, folder / "model.onnx", ["blurry", "kernel"], "sharp")
    sessions = [session(folder / name) for name in ("kernel.onnx", "model.onnx")]

    def both(blurry: NDArray[np.float32]) -> NDArray[np.float32]:
        windows = window_parts(torch.from_numpy(blurry)).numpy()
        kernels = [sessions[0].run(None, {"windows": each})[0] for each in windows]
        return sessions[1].run(None, {"blurry": blurry, "kernel": np.concatenate(kernels)})[0]

    reporter.say("Checking it against PyTorch.")
    require_equal(folder, compared(whole(deblurrer), both))
    return {**asdict(OF_KERNEL_GUIDED), "window": WINDOW, "most_windows": MOST_WINDOWS}


def _fetched(folder: Path) -> Path:
    """Fetch the npm package and return its folder."""
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(
            f"npm is not installed; install Node.js, or give the folder of onnxruntime-web@{RUNTIME}."
        )
    words = [npm, "pack", "--silent", f"onnxruntime-web@{RUNTIME}"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    archives = list(folder.glob("*.tgz"))
    if done.returncode or not archives:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise InputError(f"npm could not fetch onnxruntime-web@{RUNTIME} ({lines[-1]}).")
    package = folder / "package"
    (package / "dist").mkdir(parents=True)
    with tarfile.open(archives[0]) as archive:
        for name in RUNTIME_FILES:
            member = archive.getmember(f"package/dist/{name}")
            source = archive.extractfile(member)
            if source is None or member.size > _MOST_BYTES:
                raise InputError(f"onnxruntime-web@{RUNTIME}: {name} is not the file that was expected.")
            (package / "dist" / name).write_bytes(source.read())
    return package
