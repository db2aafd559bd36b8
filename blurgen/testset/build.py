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
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from blurgen.building.folder_lock import is_lock, lock_whole
from blurgen.comparing.contents import compare
from blurgen.comparing.picture_hash import picture_hash, to_text
from blurgen.dataset.manifest import KERNELS
from blurgen.errors import InputError
from blurgen.faces import Face, FaceSource
from blurgen.faces.decode import check_patch_fits
from blurgen.files.atomic import PART, sync_files, write_file
from blurgen.files.inside import inside
from blurgen.files.names import folded, is_portable
from blurgen.files.png import encode_png, is_whole_png
from blurgen.jobs.parallel import Workers, run_jobs
from blurgen.jobs.progress import Reporter, Silent, size_text
from blurgen.kernels.bank import KernelBank
from blurgen.labels import Label
from blurgen.randomness.philox import Stream, words
from blurgen.synthesis.engine import Degrader
from blurgen.synthesis.recipe import INDEX_DTYPE, KernelsUsed
from blurgen.testset.contents import contents_of, read_contents
from blurgen.testset.manifest import (
    MOST_PICTURES,
    NAME,
    TESTSET,
    TakenFace,
    TestsetManifest,
    read_testset,
    write_testset,
)
from blurgen.testset.protocols import BORDERS, PROTOCOLS, Border

_NAMES: Final = {
    "helen": "Helen",
    "celeba": "CelebA",
    "celebamask-hq": "CelebAMask-HQ",
    "lapa": "LaPa",
    "facesynthetics": "FaceSynthetics",
    "procedural": "Procedural",
    "folder": "Folder",
}
_LONGEST_STEM = 48
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


@dataclass(frozen=True)
class _Cut:
    """A face, and the part of it that its pictures are made from: the crop and what the blur reads around."""

    face: TakenFace
    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    top: int
    left: int


def build_testset(
    source: FaceSource,
    bank: KernelBank,
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

    ``protocol`` is one of ``blurgen.testset.protocols.PROTOCOLS``: what it says holds for arguments that are
    None. ``face_count`` faces of the source, chosen by ``seed``, each blurred by the first ``per_size``
    kernels of each of ``sizes`` in ``bank``, with noise of ``noise_sigma`` (of full scale, 0 to 0.2) drawn
    from ``seed``. The crop of ``patch_size`` pixels is centred on the labelled face, or on the picture where
    there are no labels, but moved so that the blur reads real pixels where the picture is large enough; with
    ``border`` "mirrored" it reads the crop alone, mirrored at its border. ``name``
    stands in the names of the folders: 1 to 40 of A-Z, a-z, 0-9, dot, dash and underscore. ``against`` are
    folders of datasets which must share no face (by file or by looks), no person and no kernel with the test
    set. ``jobs`` processes (-1: one per core).

    Raises ValueError for an option out of range; InputError when the name is no such text, faces or kernels
    are too few or shared, the folder holds something else, another build is at work in it, or the disk is
    full.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"Argument 'protocol' must be one of {', '.join(PROTOCOLS)}, not {protocol!r}.")
    given: dict[str, Any] = {
        "face_count": face_count,
        "sizes": sizes,
        "per_size": per_size,
        "noise_sigma": noise_sigma,
        "border": border,
    }
    asked = replace(
        PROTOCOLS[protocol], **{name: value for name, value in given.items() if value is not None}
    )
    face_count, sizes, per_size, noise_sigma = (
        asked.face_count,
        asked.sizes,
        asked.per_size,
        asked.noise_sigma,
    )
    _check_options(face_count, sizes, per_size, seed, noise_sigma, patch_size, name)
    if asked.border not in BORDERS:
        raise ValueError(f"Argument 'border' must be one of {', '.join(BORDERS)}, not {asked.border!r}.")
    reporter, root = progress or Silent(), Path(out)
    kernels = _choose_kernels(bank, sizes, per_size)
    radius = (
        kernels.max_size // 2 if asked.border == "real" else 0
    )  # the picture alone: the engine mirrors it
    cuts = _cut_faces(source, face_count, seed, patch_size, radius, reporter)
    manifest = TestsetManifest(
        name=name or _NAMES.get(source.spec.partition(":")[0], "Faces"),
        seed=seed,
        patch_size=patch_size,
        noise_sigma=float(noise_sigma),
        sizes=list(sizes),
        per_size=per_size,
        source=json.loads(json.dumps(source.describe())),
        kernels=KernelsUsed(len(kernels), kernels.max_size, kernels.digest),
        faces=[cut.face for cut in cuts],
        border=asked.border,
    )
    for folder in against:
        _check_disjoint(manifest, kernels, Path(folder), reporter)
    _make_folder(root, manifest)
    with lock_whole(root):
        _remove_leftovers(root, manifest)
        complete = _begin(root, manifest, kernels)
        todo = [number for number in range(len(cuts)) if _missing(root, manifest, number)]
        if todo:
            _check_room(root, manifest, len(todo), reporter)
            with reporter.bar("Making the test set", len(todo) * len(kernels), "pictures") as bar:
                for made in _results(root, manifest, kernels, [(n, cuts[n]) for n in todo], Workers(jobs)):
                    bar.advance(len(kernels), made)
        if todo or not complete:
            sync_files(file for number in range(len(cuts)) for file in _files(root, manifest, number))
            write_testset(root, msgspec.structs.replace(manifest, complete=True))
    return BuiltTestset(root, msgspec.structs.replace(manifest, complete=True))


def _check_options(
    face_count: int,
    sizes: Sequence[int],
    per_size: int,
    seed: int,
    noise_sigma: float,
    patch_size: int,
    name: str | None,
) -> None:
    if face_count < 1:
        raise ValueError(f"Argument 'face_count' must be at least 1, not {face_count}.")
    if not sizes or list(sizes) != sorted(set(sizes)):
        raise ValueError(f"Argument 'sizes' must be different sizes in ascending order, not {list(sizes)}.")
    if per_size < 1:
        raise ValueError(f"Argument 'per_size' must be at least 1, not {per_size}.")
    if (pictures := face_count * len(sizes) * per_size) > MOST_PICTURES:
        raise ValueError(f"Argument 'face_count' asks for {pictures} pictures; the most are {MOST_PICTURES}.")
    if not 0 <= seed < 2**64:
        raise ValueError(f"Argument 'seed' must be between 0 and 2**64 - 1, not {seed}.")
    if not 0 <= noise_sigma <= 0.2:
        raise ValueError(f"Argument 'noise_sigma' must be between 0 and 0.2, not {noise_sigma}.")
    if not 8 <= patch_size <= 1024:
        raise ValueError(f"Argument 'patch_size' must be between 8 and 1024, not {patch_size}.")
    if name is not None and not NAME.fullmatch(name):
        raise InputError(f"--name must be 1 to 40 letters of a-z, digits, dots, dashes or '_', not {name!r}.")


def _choose_kernels(bank: KernelBank, sizes: Sequence[int], per_size: int) -> KernelBank:
    """Return the first kernels of each size, size by size, in squares of the largest of the sizes."""
    rows: list[int] = []
    for size in sizes:
        of_size = np.flatnonzero(bank.sizes == size)
        if len(of_size) < per_size:
            raise InputError(
                f"--kernels: the bank has {len(of_size)} kernels of {size} pixels, {per_size} are wanted; "
                "make more with 'blurgen make-kernels', or choose other --sizes."
            )
        rows += of_size[:per_size].tolist()
    margin = (bank.max_size - max(sizes)) // 2
    inside = slice(margin, bank.max_size - margin)
    return KernelBank(
        np.ascontiguousarray(bank.weights[rows, inside, inside]),
        np.ascontiguousarray(bank.sizes[rows]),
        {"chosen_from": {"digest": bank.digest, "rows": rows, "made_with": bank.made_with}},
    )


def _cut_faces(
    source: FaceSource, count: int, seed: int, patch: int, radius: int, reporter: Reporter
) -> list[_Cut]:
    """Return the first ``count`` usable faces in the order drawn by seed, in the order of the source."""
    order = np.argsort([words(seed, Stream.CHOICE, i, 1)[0] for i in range(len(source))], kind="stable")
    cuts: dict[int, _Cut] = {}
    known: set[str] = set()
    with reporter.bar("Decoding faces", min(count, len(source)), "faces") as bar:
        for i in order.tolist():
            if len(cuts) == count:
                break
            try:
                face = source.read(i)
                check_patch_fits(face.pixels, face.name, patch)
            except InputError as error:
                reporter.say(f"Skipped: {error}")
                continue
            if face.digest in known:
                reporter.say(f"Skipped: {face.name} is the same as a face before it")
                continue
            known.add(face.digest)
            cuts[i] = _cut(face, patch, radius)
            bar.advance()
    if len(cuts) < count:
        raise InputError(
            f"{source.spec} has {len(cuts)} usable faces, {count} are wanted; use --face-count {len(cuts)}"
            " or fewer, or another --split."
        )
    ordered = [cuts[i] for i in sorted(cuts)]
    stems = _stems([cut.face for cut in ordered])
    named = [msgspec.structs.replace(cut.face, file=stem) for cut, stem in zip(ordered, stems, strict=True)]
    return [replace(cut, face=face) for cut, face in zip(ordered, named, strict=True)]


def _cut(face: Face, patch: int, radius: int) -> _Cut:
    height, width = face.pixels.shape[:2]
    middle = _middle(face)
    top, left = _corner(middle[0], height, patch, radius), _corner(middle[1], width, patch, radius)
    rows = slice(max(0, top - radius), min(height, top + patch + radius))
    columns = slice(max(0, left - radius), min(width, left + patch + radius))
    # The part ends where the blur ends or where the picture ends, so mirroring at its edges is the same.
    if face.labels is None:
        labels = np.full((height, width), Label.UNKNOWN, np.uint8)[rows, columns]
    else:
        labels = face.labels[rows, columns]
    return _Cut(
        TakenFace(
            file="",
            id=face.id,
            name=face.name,
            digest=face.digest,
            identity=face.identity,
            top=top,
            left=left,
            labelled=face.labels is not None,
            picture_hash=to_text(picture_hash(face.pixels)),
        ),
        np.ascontiguousarray(face.pixels[rows, columns]),
        np.ascontiguousarray(labels),
        top - rows.start,
        left - columns.start,
    )


def _middle(face: Face) -> tuple[int, int]:
    """Return the pixel (row, column) in the middle of the face: of its labels, else of the picture."""
    if face.labels is not None:
        rows, columns = np.nonzero((face.labels >= Label.SKIN) & (face.labels <= Label.LOWER_LIP))
        if rows.size:
            return int(rows.sum()) // rows.size, int(columns.sum()) // columns.size
    return face.pixels.shape[0] // 2, face.pixels.shape[1] // 2


def _corner(middle: int, side: int, patch: int, radius: int) -> int:
    """Return where a patch around ``middle`` begins, within the limits of FORMAT.md, section 2."""
    least = radius if side >= patch + 2 * radius else 0
    return min(max(middle - patch // 2, least), side - patch - least)


def _stems(faces: Sequence[TakenFace]) -> list[str]:
    """Return for each face the stem of its files: its id where that makes a name, and is the only one."""
    plain = [re.sub(r"[^\w.-]", "_", face.id).lstrip(".") for face in faces]
    times = Counter(folded(stem) for stem in plain)
    return [
        stem
        if is_portable(f"{stem}.png") and stem and len(stem) <= _LONGEST_STEM and times[folded(stem)] == 1
        else f"{stem[:_LONGEST_STEM]}-{face.digest[:12]}"
        for stem, face in zip(plain, faces, strict=True)
    ]


def _check_disjoint(manifest: TestsetManifest, kernels: KernelBank, other: Path, reporter: Reporter) -> None:
    found = compare(contents_of(manifest, kernels), read_contents(other, progress=reporter))
    for first in found.findings():
        more = sum(1 for _ in found.findings()) - 1
        rest = f" (and {more:,} more)" if more else ""
        raise InputError(
            f"{other}: shares with this test set: {first}{rest}; "
            "take faces of another --split and kernels of another seed."
        )


def _make_folder(root: Path, manifest: TestsetManifest) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{root}: cannot be made ({error.strerror}); choose another folder.") from None
    if (root / TESTSET).exists():
        return
    ours = {KERNELS, *_folders(manifest)}
    for path in sorted(root.iterdir()):
        if path.name not in ours and not is_lock(path.name) and not PART.fullmatch(path.name):
            raise InputError(
                f"{root}: holds '{path.name}', which is no part of a test set; choose a new or empty folder."
            )


def _folders(manifest: TestsetManifest) -> list[str]:
    names = (manifest.clean_folder, manifest.blurry_folder, manifest.labels_folder)
    return [name for name in names if name is not None]


def _remove_leftovers(root: Path, manifest: TestsetManifest) -> None:
    for folder in (root, *(inside(root, name) for name in _folders(manifest))):
        for path in folder.glob(".*.part"):
            if PART.fullmatch(path.name):
                path.unlink(missing_ok=True)


def _begin(root: Path, manifest: TestsetManifest, kernels: KernelBank) -> bool:
    """Put all but the pictures in place; return whether the set that was there says it is complete."""
    there = read_testset(root) if (root / TESTSET).exists() else None
    if there is not None and (differences := manifest.differences(there)):
        raise InputError(
            f"{root}: is another test set ({'; '.join(differences)}); "
            "give the same options or choose another folder."
        )
    for name in _folders(manifest):
        inside(root, name).mkdir(exist_ok=True)
    if not _holds(inside(root, KERNELS), kernels):
        kernels.save(root / KERNELS)
    if there is None:
        write_testset(root, manifest)
    return there is not None and there.complete


def _holds(path: Path, kernels: KernelBank) -> bool:
    try:
        return KernelBank.load(path).digest == kernels.digest
    except InputError:
        return False


def _files(root: Path, manifest: TestsetManifest, number: int) -> list[Path]:
    """Return the files of a face: clean, labels where there are some, and blurry in the order of kernels."""
    file = f"{manifest.faces[number].file}.png"
    plain = [manifest.clean_folder, *([manifest.labels_folder] if manifest.labels_folder else [])]
    blurry = [manifest.blurry_name(number, kernel) for kernel in range(manifest.kernels.count)]
    return [root / folder / file for folder in plain] + [root / manifest.blurry_folder / n for n in blurry]


def _missing(root: Path, manifest: TestsetManifest, number: int) -> list[Path]:
    """Return the files of a face that are not there, or not whole."""
    return [path for path in _files(root, manifest, number) if path.is_symlink() or not is_whole_png(path)]


def _check_room(root: Path, manifest: TestsetManifest, faces: int, reporter: Reporter) -> None:
    size = faces * (manifest.kernels.count + 2) * (3 * manifest.patch_size**2 + _BLOCK)
    free = shutil.disk_usage(root).free
    reporter.say(
        f"{root}: {faces} faces x {manifest.kernels.count} kernels to make, at most {size_text(size)}; "
        f"{size_text(free)} free on the disk."
    )
    if size > free:
        raise InputError(
            f"{root}: {size_text(size)} may not fit on the disk, which has {size_text(free)} free; "
            "free some space or choose another folder."
        )


def _results(
    root: Path, manifest: TestsetManifest, kernels: KernelBank, cuts: list[tuple[int, _Cut]], workers: Workers
) -> Iterator[int]:
    arguments = [(root, manifest, kernels, number, cut) for number, cut in cuts]
    yield from run_jobs(_make_face, arguments, workers)


def _make_face(root: Path, manifest: TestsetManifest, kernels: KernelBank, number: int, cut: _Cut) -> int:
    """Write what is missing of one face, and return how many bytes that were."""
    missing = set(_missing(root, manifest, number))
    blurry = root / manifest.blurry_folder
    names = [blurry / manifest.blurry_name(number, kernel) for kernel in range(len(kernels))]
    pictures = dict(zip(names, _blur(manifest, kernels, number, cut), strict=True))
    patch = manifest.patch_size
    here = np.s_[cut.top : cut.top + patch, cut.left : cut.left + patch]
    pictures[root / manifest.clean_folder / f"{cut.face.file}.png"] = cut.pixels[here]
    if manifest.labels_folder is not None:
        pictures[root / manifest.labels_folder / f"{cut.face.file}.png"] = cut.labels[here]
    written = 0
    for path in missing:
        data = encode_png(np.ascontiguousarray(pictures[path]))
        write_file(path, data, wait=False)
        written += len(data)
    return written


def _blur(manifest: TestsetManifest, kernels: KernelBank, number: int, cut: _Cut) -> NDArray[np.uint8]:
    """Return the blurry pictures of a face, uint8 ``[kernels, P, P, 3]``."""
    height, width = cut.labels.shape
    degrader = Degrader(
        cut.pixels.reshape(-1),
        cut.labels.reshape(-1),
        np.array([0]),
        np.array([height]),
        np.array([width]),
        kernels.weights,
        kernels.sizes,
        patch_size=manifest.patch_size,
        noise_sigma=manifest.noise_sigma,
        seed=manifest.seed,
    )
    index = np.zeros(len(kernels), INDEX_DTYPE)
    index["sample"] = number * len(kernels) + np.arange(len(kernels), dtype=np.int64)
    index["kernel"] = np.arange(len(kernels))
    index["top"], index["left"] = cut.top, cut.left
    return degrader.degrade(index).blurry
