"""A disk that runs full for real: a small file system that only one process and its children see.

Collected where this user may mount one (conftest.py).
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import small_dataset
from conftest import OWN_MOUNTS

# In a name space of its own: build into a file system that is too small, look, make it larger, build again.
SCRIPT = """
set -u
mount -t tmpfs -o size="$SMALL" tmpfs "$DISK" || exit 9
"$PYTHON" -c "$BUILD" "$@" --out "$DISK/data" 2> "$OUT/first"
echo $? > "$OUT/status"
cp -r "$DISK/data" "$OUT/after"
mount -o remount,size=200m "$DISK" || exit 9
"$PYTHON" -c "$BUILD" "$@" --out "$DISK/data" 2> "$OUT/second" || exit 8
cp -r "$DISK/data" "$OUT/data"
"""

BUILD = """
import shutil
from blurgen_cli.blurgen import main
usage = shutil.disk_usage
shutil.disk_usage = lambda path: usage(path)._replace(free=1 << 40)  # others fill the disk while it builds
main()
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with a build on a disk that has room, and the words of the command that made it."""
    folder = tmp_path_factory.mktemp("whole")
    photos = small_dataset.write_photos(folder / "photos")
    small_dataset.small_bank().save(folder / "kernels.h5")
    words = [
        *("build-dataset", "--faces", f"folder:{photos}", "--kernels", str(folder / "kernels.h5")),
        *("--patch-size", "24", "--shard-size", "24", "--per-image", "40", "--class-isolated"),
    ]
    process = small_dataset.command(*words, "--jobs", 1, "--out", folder / "data")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return folder / "data", words


@pytest.mark.parametrize(("small", "jobs"), [("2m", 2), ("100k", 1)])
def test_a_file_system_that_runs_full(whole, tmp_path, small, jobs):
    disk, out = tmp_path / "disk", tmp_path / "out"
    disk.mkdir()
    out.mkdir()
    variables = {"SMALL": small, "DISK": disk, "OUT": out, "PYTHON": sys.executable, "BUILD": BUILD}
    done = subprocess.run(
        [*OWN_MOUNTS, "sh", "-c", SCRIPT, "build", *whole[1], "--jobs", str(jobs)],
        env=os.environ | {name: str(value) for name, value in variables.items()},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    errors = (out / "first").read_text()
    assert (out / "status").read_text() == "2\n", errors
    lines = errors.splitlines()
    assert lines[-1].startswith("Error: No room left in ")
    assert "Traceback" not in errors and "Warning" not in errors
    assert [line for line in lines if line.startswith("Error")] == lines[-1:]
    assert not list((out / "after").rglob("*.part"))
    expected = small_dataset.files_of(whole[0])
    after = small_dataset.files_of(out / "after")
    made = {file: content for file, content in after.items() if "shard" in file}
    assert made.items() <= expected.items()  # what is there is whole
    assert bool(made) == (small == "2m")
    assert small_dataset.files_of(out / "data") == expected
