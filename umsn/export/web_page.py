"""A folder of static files with which a person sharpens a photograph in a browser; nothing leaves it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Final

from blurgen.errors import InputError
from blurgen.export.folder import new_folder
from umsn.export.onnx import export_onnx
from umsn.restore.deblur import Deblurrer

RUNTIME: Final = "1.30.0"
"""The version of the npm package ``onnxruntime-web`` whose files the page uses."""

RUNTIME_FILES: Final = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")

PAGE_FILES: Final = ("index.html", "style.css", "app.js", "worker.js", "icon.svg")

TILE: Final = 256
"""Side of the largest square that goes through the network at once, pixels."""

OVERLAP: Final = 64
"""How far neighbouring squares overlap; there they fade into each other."""

_MOST_BYTES = 64 << 20  # of a file of the runtime


def export_web(
    deblurrer: Deblurrer, out: str | os.PathLike[str], runtime: str | os.PathLike[str] | None = None
) -> Path:
    """Write the page, the network and ONNX Runtime Web into a new or empty folder.

    ``runtime`` is the folder of the npm package ``onnxruntime-web`` (``node_modules/onnxruntime-web``); None:
    it is fetched with ``npm pack``. Nothing is loaded from another host, neither now by the page nor later.

    Raises InputError when ``out`` holds something, a package is missing, or npm is not there.
    """
    out = Path(out)
    with new_folder(out) as folder, tempfile.TemporaryDirectory() as scratch:
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
        made = export_onnx(deblurrer, folder / "model.onnx")
        about = {"tile": TILE, "overlap": OVERLAP, "bytes": made.size}
        (folder / "model.json").write_text(json.dumps(about) + "\n", "utf-8")
    return out


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
