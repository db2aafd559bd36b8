"""Claim: a newcomer's first dataset does not wait long for the compiler, and the second one not at all.

    python benchmarks/cold_start.py [--pictures 50] [--triplets 1000] [--rounds 3]

Each command runs as a process of its own, timed from start to exit: first with an empty folder for compiled
code (NUMBA_CACHE_DIR), as after an installation, then again with what that left there. The pictures and the
kernels that ``build-dataset`` takes are made beforehand, with another folder for compiled code.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> None:
    """Time the commands, print a table, write it and the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pictures", type=int, default=50)
    parser.add_argument("--triplets", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, Any] = {"machine": machine.describe("blurgen", "numpy", "numba", "llvmlite")}
    found |= {"pictures": options.pictures, "triplets": options.triplets, "rounds": options.rounds}
    with tempfile.TemporaryDirectory() as folder:
        found["commands"] = measure(Path(folder), options)
    RESULTS.joinpath("cold_start.json").write_text(json.dumps(found, indent=1) + "\n")
    RESULTS.joinpath("cold_start.md").write_text(table(found))
    print(table(found))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of every command, ``rounds`` times with an empty folder and as often after it."""
    pictures, kernels = folder / "faces", folder / "kernels.h5"
    run(["make-faces", "--count", options.pictures, "--out", pictures], folder / "beforehand")
    run(["make-kernels", "--count", 200, "--out", kernels], folder / "beforehand")
    from_folder = ["--faces", f"folder:{pictures}", "--kernels", kernels, "--count", options.triplets]
    drawn = ["--faces", f"procedural:{options.pictures}", "--kernels", kernels, "--count", options.triplets]
    commands = {
        f"build-dataset, {options.triplets:,} triplets of a folder": ["build-dataset", *from_folder],
        "the same with class sets": ["build-dataset", *from_folder, "--class-isolated"],
        f"build-dataset, {options.triplets:,} triplets of drawn faces": ["build-dataset", *drawn],
        f"make-faces, {options.pictures}": ["make-faces", "--count", options.pictures],
        "make-kernels, 2,000": ["make-kernels", "--count", 2000],
    }
    found: dict[str, dict[str, list[float]]] = {}
    for name, words in commands.items():
        found[name] = {"empty": [], "kept": []}
        for _ in range(options.rounds):
            compiled = folder / "compiled"
            for state in ("empty", "kept"):
                out = folder / ("out.h5" if words[0] == "make-kernels" else "out")
                found[name][state].append(run([*words, "--out", out], compiled))
                shutil.rmtree(out, ignore_errors=True)
                out.unlink(missing_ok=True)
            shutil.rmtree(compiled)
    return found


def run(words: list[Any], compiled: Path) -> float:
    """Run one command of blurgen with its compiled code in a folder; return the seconds it took."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "from blurgen_cli.blurgen import main; main()", *map(str, words)],
        env=os.environ | {"NUMBA_CACHE_DIR": str(compiled)},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


def table(found: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    on = found["machine"]
    lines = [
        f"Seconds from start to exit, median of {found['rounds']}, on {on['cores']} cores ({on['cpu']}); "
        f"{found['pictures']} pictures of 256 x 256.",
        "",
        "| command | nothing compiled yet | again |",
        "|---|--:|--:|",
    ]
    for name, seconds in found["commands"].items():
        empty, kept = (statistics.median(seconds[state]) for state in ("empty", "kept"))
        lines.append(f"| {name} | {empty:.1f} | {kept:.1f} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
