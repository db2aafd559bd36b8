"""Is a test set still what its ``testset.json`` says? Every byte of every picture is read.

PNG files carry checksums, so damage to a single bit shows. That the pictures are the right ones is shown by
making the blurry ones again from the clean ones and the kernels: to the bit, except for the rim where the
blur read parts of the face which the clean picture does not show.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurgen.building.verify import Problem
from blurgen.dataset.manifest import KERNELS
from blurgen.errors import InputError
from blurgen.files.inside import inside
from blurgen.files.png_checks import read_checked
from blurgen.jobs.parallel import Workers, run_jobs
from blurgen.jobs.progress import Reporter, Silent
from blurgen.kernels.bank import KernelBank
from blurgen.labels import LABEL_VALUES
from blurgen.synthesis.recipe import KernelsUsed
from blurgen.testset.blurring import blur_face
from blurgen.testset.manifest import TESTSET, TestsetManifest, read_testset

_FINISH = "the same 'blurgen build-testset' makes it again"


def verify_testset(root: str | Path, *, jobs: int = 1, progress: Reporter | None = None) -> list[Problem]:
    """Return everything that is wrong with the test set in ``root``; an empty list if all is well.

    Finds damaged, missing and extra pictures, those of another size, blurry pictures that are not their clean
    one under their kernel (but for a rim of half the kernel's size), values that are no labels, and other
    kernels than the set's. ``jobs`` processes read (-1: one per core). InputError when ``root`` holds no test
    set or its ``testset.json`` cannot be read.
    """
    root, reporter = Path(root), progress or Silent()
    manifest = read_testset(root)
    problems = []
    if not manifest.complete:
        problems.append(Problem(TESTSET, "is not complete; the same 'blurgen build-testset' finishes it"))
    found_kernels = _read_kernels(root, manifest)
    if isinstance(found_kernels, Problem):
        problems.append(found_kernels)
    kernels = None if isinstance(found_kernels, Problem) else found_kernels
    calls = [(root.absolute(), manifest, kernels, number) for number in range(len(manifest.faces))]
    with reporter.bar("Verifying", len(calls), "faces") as bar:
        for found in run_jobs(check_face, calls, Workers(jobs)):
            problems += found
            bar.advance()
    problems += _extra_files(root, manifest)
    return sorted(problems, key=lambda problem: problem.file)


def check_face(
    root: Path, manifest: TestsetManifest, kernels: KernelBank | None, number: int
) -> list[Problem]:
    """Check all pictures of one face; against each other where there are ``kernels``."""
    patch = manifest.patch_size
    problems: list[Problem] = []

    def read(file: str, *channels: int) -> NDArray[np.uint8] | None:
        found = _read_picture(root, file, (patch, patch, *channels))
        if isinstance(found, Problem):
            problems.append(found)
            return None
        return found

    clean_file, labels_file = manifest.clean_file(number), manifest.labels_file(number)
    clean = read(clean_file, 3)
    labels = None if labels_file is None else read(labels_file)
    if labels_file is not None and labels is not None and not np.isin(labels, LABEL_VALUES).all():
        problems.append(Problem(labels_file, f"holds values that are no labels; delete it, and {_FINISH}"))
    made = None if kernels is None or clean is None else blur_face(manifest, kernels, number, clean)
    wrong = []
    for kernel, file in enumerate(manifest.blurry_files(number)):
        blurry = read(file, 3)
        if blurry is None or made is None or kernels is None:
            continue
        rim = int(kernels.sizes[kernel]) // 2 if manifest.border == "real" else 0
        inner = np.s_[rim : patch - rim, rim : patch - rim]
        if not np.array_equal(blurry[inner], made[kernel][inner]):
            wrong.append(file)
    if len(wrong) > 1 and len(wrong) == manifest.kernels.count:
        what = f"is not the picture that the {len(wrong)} blurry ones are made from; delete it, and {_FINISH}"
        return [*problems, Problem(clean_file, what)]
    what = f"is not the clean picture under its kernel; delete it, and {_FINISH}"
    return [*problems, *(Problem(file, what) for file in wrong)]


def _read_kernels(root: Path, manifest: TestsetManifest) -> KernelBank | Problem:
    try:
        bank = KernelBank.load(inside(root, KERNELS))
    except InputError as error:
        return _unreadable(root, KERNELS, error)
    if KernelsUsed.of(bank) != manifest.kernels:
        return Problem(KERNELS, f"is damaged or not the one of {TESTSET}; delete it, and {_FINISH}")
    return bank


def _read_picture(root: Path, file: str, shape: tuple[int, ...]) -> NDArray[np.uint8] | Problem:
    try:
        path = inside(root, file)
        if not path.is_file():
            return Problem(file, f"is missing; {_FINISH}")
        return read_checked(path, shape)
    except InputError as error:
        return _unreadable(root, file, error)


def _unreadable(root: Path, file: str, error: InputError) -> Problem:
    what = str(error).removeprefix(f"{root / file}: ").partition(";")[0].removesuffix(".")
    return Problem(file, f"{what}; delete it, and {_FINISH}")


def _extra_files(root: Path, manifest: TestsetManifest) -> Iterator[Problem]:
    wanted = {file for face in range(len(manifest.faces)) for file in manifest.files(face)}
    for folder in manifest.folders:
        for path in sorted((root / folder).glob("*")) if (root / folder).is_dir() else ():
            file = f"{folder}/{path.name}"
            if file not in wanted:
                yield Problem(file, f"does not belong there: {TESTSET} has no such face")
