"""A test set as the paper's tables are measured on: clean faces x kernel sizes x kernels, as PNG files.

It is written as the published ones of Shen et al. ("Deep Semantic Face Deblurring", CVPR 2018) are, on which
the paper reports Tables I, III and IV: 100 faces, kernels of 13, 15 ... 27 pixels, ten of each size, the same
ones for every face::

    DIR/final_Helen_gt/232194_1.png                      clean, 128 x 128
    DIR/final_Helen_blur/232194_1_ker01_blur_k13.png     blurry: ker01 .. ker10, k13 .. k27
    DIR/final_Helen_labels/232194_1.png                  labels, where the faces have them (ours)
    DIR/kernels.h5                                       the kernels (ours)
    DIR/testset.json                                     what all of it is made of (ours)

Every picture is a pure function of what ``testset.json`` says, with the arithmetic of FORMAT.md, section 3.

Noise has the sigma of the paper's training data, 0.03, unless told otherwise; the paper does not say how much
the published pictures have.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from blurgen.building.folder_lock import is_lock, lock_whole
from blurgen.comparing.contents import compare
from blurgen.dataset.manifest import KERNELS
from blurgen.errors import Argument, ArgumentError, InputError, check_range, check_seed
from blurgen.faces import FaceSource, read_faces
from blurgen.files.atomic import PART, sync_files, write_file
from blurgen.files.folders import make_folder, refuse_others, remove_parts
from blurgen.files.inside import inside
from blurgen.files.png import encode_png, is_whole_png
from blurgen.jobs.parallel import Workers, run_jobs
from blurgen.jobs.progress import Reporter, Silent, counted, size_text
from blurgen.kernels.bank import KernelBank
from blurgen.limits import LARGEST_PATCH, SMALLEST_PATCH
from blurgen.synthesis.recipe import KernelsUsed
from blurgen.testset.blurring import blur_face
from blurgen.testset.contents import contents_of, read_contents
from blurgen.testset.cuts import Cut, cut_faces
from blurgen.testset.manifest import NAME, TESTSET, TestsetManifest, read_testset, write_testset
from blurgen.testset.protocols import Border, Protocol, protocol_with

_NAMES: Final = {
    "helen": "Helen",
    "celeba": "CelebA",
    "celebamask-hq": "CelebAMask-HQ",
    "lapa": "LaPa",
    "facesynthetics": "FaceSynthetics",
    "procedural": "Procedural",
    "folder": "Folder",
}
_BLOCK = 4096  # bytes a file takes more than its pixels, at most


@dataclass(frozen=True)
class BuiltTestset:
    """A test set in a folder."""

    root: Path
    manifest: TestsetManifest

    def __len__(self) -> int:
        return len(self.manifest.faces) * self.manifest.kernels.count

    @property
    def clean(self) -> Path:
        """Folder of the clean pictures."""
        return self.root / self.manifest.clean_folder

    @property
    def blurry(self) -> Path:
        """Folder of the blurry pictures."""
        return self.root / self.manifest.blurry_folder

    @property
    def labels(self) -> Path | None:
        """Folder of the label maps, None where no face has labels."""
        folder = self.manifest.labels_folder
        return None if folder is None else self.root / folder


def build_testset(
    source: str | FaceSource,
    bank: KernelBank | str | Path,
    out: str | Path,
    *,
    protocol: str = "shen",
    face_count: int | None = None,
    sizes: Sequence[int] | None = None,
    per_size: int | None = None,
    seed: int = 0,
    noise_sigma: float | None = None,
    border: Border | None = None,
    patch_size: int = 128,
    name: str | None = None,
    against: Sequence[str | Path] = (),
    jobs: int = 1,
    progress: Reporter | None = None,
) -> BuiltTestset:
    """Make a test set in the folder ``out``, or finish one that was begun there, and return it.

    ``source`` are faces: a string such as ``"helen:PATH"``, or what ``blurgen.read_faces`` opened, which has
    more options. ``bank`` is a kernel bank or its file.

    ``protocol`` is one of ``blurgen.testset.protocols.PROTOCOLS``: what it says holds for arguments that are
    None. ``face_count`` faces of the source, chosen by ``seed``, each blurred by the first ``per_size``
    kernels of each of ``sizes`` in ``bank``, with noise of ``noise_sigma`` (of full scale, 0 to 0.2) drawn
    from ``seed``. The crop of ``patch_size`` pixels is centred on the labelled face, or on the picture where
    there are no labels, but moved so that the blur reads real pixels where the picture is large enough; with
    ``border`` "mirrored" it reads the crop alone, mirrored at its border. ``name``
    stands in the names of the folders: 1 to 40 of A-Z, a-z, 0-9, dot, dash and underscore. ``against`` are
    folders of datasets which must share no face (by file or by looks), no person and no kernel with the test
    set. ``jobs`` processes (-1: one per core).

    Raises ArgumentError (a ValueError) for an argument out of range; InputError when faces or kernels are too
    few or shared, the folder holds something else, another build is at work in it, or the disk is full.
    """
    changes = {"face_count": face_count, "sizes": sizes, "per_size": per_size, "noise_sigma": noise_sigma}
    asked = protocol_with(protocol, **changes, border=border)
    check_seed(seed)
    check_range("patch_size", patch_size, SMALLEST_PATCH, LARGEST_PATCH)
    if name is not None and not NAME.fullmatch(name):
        raise ArgumentError(
            Argument("name"), f" must be 1 to 40 letters of a-z, digits, dots, dashes or '_', not {name!r}."
        )
    reporter, root = progress or Silent(), Path(out)
    kernels = _choose_kernels(bank if isinstance(bank, KernelBank) else KernelBank.load(bank), asked)
    if isinstance(source, str):
        (source,) = read_faces(source, kernel_size=asked.reach, patch_size=patch_size, seed=seed)
    cuts = cut_faces(source, asked.face_count, seed, patch_size, asked.reach, reporter)
    manifest = TestsetManifest(
        name=name or _NAMES.get(source.spec.partition(":")[0], "Faces"),
        seed=seed,
        patch_size=patch_size,
        noise_sigma=asked.noise_sigma,
        sizes=list(asked.sizes),
        per_size=asked.per_size,
        source=json.loads(json.dumps(source.describe())),
        kernels=KernelsUsed.of(kernels),
        faces=[cut.face for cut in cuts],
        border=asked.border,
    )
    for folder in against:
        _check_disjoint(manifest, kernels, Path(folder), reporter)
    make_folder(root)
    if not (root / TESTSET).exists():
        ours = {KERNELS, *manifest.folders}
        refuse_others(
            root, lambda name: name in ours or is_lock(name) or bool(PART.fullmatch(name)), "a test set"
        )
    with lock_whole(root):
        for leftovers in (root, *(inside(root, folder) for folder in manifest.folders)):
            remove_parts(leftovers)
        complete = _begin(root, manifest, kernels)
        todo = [number for number in range(len(cuts)) if _missing(root, manifest, number)]
        if todo:
            _check_room(root, manifest, len(todo), reporter)
            calls = [(root, manifest, kernels, number, cuts[number]) for number in todo]
            with reporter.bar("Making the test set", len(todo) * len(kernels), "pictures") as bar:
                for made in run_jobs(_make_face, calls, Workers(jobs)):
                    bar.advance(len(kernels), made)
        if todo or not complete:
            sync_files(root / file for number in range(len(cuts)) for file in manifest.files(number))
            write_testset(root, msgspec.structs.replace(manifest, complete=True))
    return BuiltTestset(root, msgspec.structs.replace(manifest, complete=True))


def _choose_kernels(bank: KernelBank, asked: Protocol) -> KernelBank:
    """Return the first kernels of each size, size by size, in squares of the largest of the sizes."""
    rows: list[int] = []
    for size in asked.sizes:
        of_size = np.flatnonzero(bank.sizes == size)
        if len(of_size) < asked.per_size:
            raise InputError(
                f"The bank has {len(of_size)} kernels of {size} pixels, {asked.per_size} are wanted; "
                "make more with 'blurgen make-kernels', or choose other ",
                Argument("sizes"),
                ".",
            )
        rows += of_size[: asked.per_size].tolist()
    margin = (bank.max_size - max(asked.sizes)) // 2
    inner = slice(margin, bank.max_size - margin)
    return KernelBank(
        np.ascontiguousarray(bank.weights[rows, inner, inner]),
        np.ascontiguousarray(bank.sizes[rows]),
        {"chosen_from": {"digest": bank.digest, "rows": rows, "made_with": bank.made_with}},
    )


def _check_disjoint(manifest: TestsetManifest, kernels: KernelBank, other: Path, reporter: Reporter) -> None:
    found = list(compare(contents_of(manifest, kernels), read_contents(other, progress=reporter)).findings())
    if found:
        rest = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
        raise InputError(
            f"{other}: shares with this test set: {found[0]}{rest}; take faces of another ",
            Argument("split"),
            " and kernels of another ",
            Argument("seed"),
            ".",
        )


def _begin(root: Path, manifest: TestsetManifest, kernels: KernelBank) -> bool:
    """Put all but the pictures in place; return whether the set that was there says it is complete."""
    there = read_testset(root) if (root / TESTSET).exists() else None
    if there is not None and (differences := manifest.differences(there)):
        raise InputError(
            f"{root}: is another test set ({'; '.join(differences)}); "
            "give the same options or choose another folder."
        )
    for name in manifest.folders:
        inside(root, name).mkdir(exist_ok=True)
    if not kernels.is_in(inside(root, KERNELS)):
        kernels.save(root / KERNELS)
    if there is None:
        write_testset(root, manifest)
    return there is not None and there.complete


def _missing(root: Path, manifest: TestsetManifest, number: int) -> list[str]:
    """Return the files of a face that are not there, or not whole."""
    return [
        file for file in manifest.files(number) if (root / file).is_symlink() or not is_whole_png(root / file)
    ]


def _check_room(root: Path, manifest: TestsetManifest, faces: int, reporter: Reporter) -> None:
    size = faces * (manifest.kernels.count + 2) * (3 * manifest.patch_size**2 + _BLOCK)
    free = shutil.disk_usage(root).free
    reporter.say(
        f"{root}: {counted(faces, 'face')} x {counted(manifest.kernels.count, 'kernel')} to make, "
        f"at most {size_text(size)}; {size_text(free)} free on the disk."
    )
    if size > free:
        raise InputError(
            f"{root}: {size_text(size)} may not fit on the disk, which has {size_text(free)} free; "
            "free some space or choose another folder."
        )


def _make_face(root: Path, manifest: TestsetManifest, kernels: KernelBank, number: int, cut: Cut) -> int:
    """Write what is missing of one face, and return how many bytes that were."""
    patch = manifest.patch_size
    crop = np.s_[cut.top : cut.top + patch, cut.left : cut.left + patch]
    blurry = blur_face(manifest, kernels, number, cut.pixels, cut.top, cut.left)
    pictures: dict[str, NDArray[np.uint8]] = dict(zip(manifest.blurry_files(number), blurry, strict=True))
    pictures[manifest.clean_file(number)] = cut.pixels[crop]
    if (labels_file := manifest.labels_file(number)) is not None:
        pictures[labels_file] = cut.labels[crop]
    written = 0
    for file in _missing(root, manifest, number):
        data = encode_png(np.ascontiguousarray(pictures[file]))
        write_file(root / file, data, wait=False)
        written += len(data)
    return written
