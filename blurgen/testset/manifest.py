"""``testset.json``: what a test set is made of, enough to make every picture of it again.

A blurry picture is the sample ``face * kernels + kernel`` of FORMAT.md, section 3, where ``face`` is the
place of the face in the list here, ``kernels`` the number of kernels and ``kernel`` a row of ``kernels.h5``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from blurgen.errors import InputError
from blurgen.files.atomic import write_file
from blurgen.files.inside import inside
from blurgen.files.names import folded, is_portable
from blurgen.files.strict_json import Record, convert, load_json
from blurgen.limits import KernelSize, NoiseSigma, PatchSize
from blurgen.synthesis.recipe import KernelsUsed
from blurgen.testset.protocols import MOST_PICTURES, Border

TESTSET: Final = "testset.json"
FORMAT: Final = "blurgen-testset"
VERSION: Final = 1
ARITHMETIC: Final = (
    "blurry = FORMAT.md section 3 with sample = face * kernels.count + kernel; face counts the list of "
    "faces, kernel the rows of kernels.h5; <file>_ker<NN>_blur_k<SS>.png is kernel "
    "(place of SS in sizes) * per_size + NN - 1"
)

NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,40}")
"""What a test set may be called."""

_STEM = re.compile(r"[\w-][\w.-]{0,199}")
_Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Pixel = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class TakenFace(Record, frozen=True):
    """One face of a test set."""

    file: str
    """Stem of its files."""
    id: str
    """The source's own name of the face."""
    name: str
    """``SOURCE:FILE``."""
    digest: _Sha256
    """SHA-256 of the source file (see blurgen.faces.Face)."""
    identity: Annotated[int, Meta(ge=-1, le=2**63 - 1)]
    """Number of the person, -1 unknown."""
    top: _Pixel
    """Where the picture is cut out of the face, pixels."""
    left: _Pixel
    labelled: bool
    picture_hash: _Sha256 = msgspec.field(name="looks")
    """Perceptual hash of the whole face (blurgen.comparing.picture_hash), 64 hexadecimal digits."""


class TestsetManifest(Record, frozen=True):
    """Everything that defines a test set, and whether all its pictures are there.

    Blurry pictures: every face with ``per_size`` kernels of each of ``sizes`` (pixels, odd).
    """

    name: str
    """What the set is called in the names of its folders."""
    seed: Annotated[int, Meta(ge=0)]
    patch_size: PatchSize
    noise_sigma: NoiseSigma
    sizes: list[KernelSize]
    per_size: Annotated[int, Meta(ge=1, le=10**6)]
    source: dict[str, Any]
    """What the source says of itself."""
    kernels: KernelsUsed
    faces: list[TakenFace]
    complete: bool = False
    border: Border = "real"
    """What the blur reads around a picture (blurgen.testset.protocols)."""

    @property
    def clean_folder(self) -> str:
        """Name of the folder of clean pictures, as in the published sets."""
        return f"final_{self.name}_gt"

    @property
    def blurry_folder(self) -> str:
        """Name of the folder of blurry pictures, as in the published sets."""
        return f"final_{self.name}_blur"

    @property
    def labels_folder(self) -> str | None:
        """Name of the folder of label maps; None where no face has labels."""
        return f"final_{self.name}_labels" if any(face.labelled for face in self.faces) else None

    @property
    def folders(self) -> list[str]:
        """Names of all folders of pictures."""
        names = (self.clean_folder, self.blurry_folder, self.labels_folder)
        return [name for name in names if name is not None]

    def clean_file(self, face: int) -> str:
        """Return the clean picture of a face, relative to the set."""
        return f"{self.clean_folder}/{self.faces[face].file}.png"

    def labels_file(self, face: int) -> str | None:
        """Return the label map of a face, relative to the set; None where no face has labels."""
        return None if self.labels_folder is None else f"{self.labels_folder}/{self.faces[face].file}.png"

    def blurry_files(self, face: int) -> list[str]:
        """Return the blurry pictures of a face, relative to the set, in the order of kernels."""
        return [f"{self.blurry_folder}/{self.blurry_name(face, k)}" for k in range(self.kernels.count)]

    def files(self, face: int) -> list[str]:
        """Return all pictures of a face, relative to the set."""
        labels = self.labels_file(face)
        plain = [self.clean_file(face), *([] if labels is None else [labels])]
        return [*plain, *self.blurry_files(face)]

    def blurry_name(self, face: int, kernel: int) -> str:
        """Return the file name of a blurry picture."""
        size, number = divmod(kernel, self.per_size)
        return f"{self.faces[face].file}_ker{number + 1:02d}_blur_k{self.sizes[size]}.png"

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as it stands in the file."""
        whole = msgspec.to_builtins(self)
        faces, complete = whole.pop("faces"), whole.pop("complete")
        if self.border == "real":
            del whole["border"]  # as in test sets of before there were others
        return {
            "format": FORMAT,
            "version": VERSION,
            "complete": complete,
            "recipe": whole,
            "arithmetic": ARITHMETIC,
            "faces": faces,
        }

    def differences(self, other: TestsetManifest) -> list[str]:
        """Return what sets this test set apart from ``other``, but for being complete."""
        ours, theirs = self.to_json()["recipe"], other.to_json()["recipe"]
        different = [
            f"{name} {ours.get(name)!r:.60}, there {theirs.get(name)!r:.60}"
            for name in ours | theirs
            if ours.get(name) != theirs.get(name)
        ]
        return different or (["other faces"] if self.faces != other.faces else [])


def write_testset(root: Path, manifest: TestsetManifest) -> None:
    """Write ``testset.json``, at once and whole; one line for each face."""
    tree = manifest.to_json()
    lines = json.dumps({**tree, "faces": 0}, indent=2).splitlines()[:-2]
    rows = ",\n".join("    " + json.dumps(face) for face in tree["faces"])
    write_file(root / TESTSET, "\n".join([*lines, '  "faces": [', rows, "  ]", "}", ""]))


def read_testset(root: Path) -> TestsetManifest:
    """Read ``testset.json`` of the test set in ``root``; InputError on anything that does not belong."""
    path = inside(root, TESTSET)
    if not path.is_file():
        raise InputError(f"{root}: is no test set (it has no {TESTSET}); see 'blurgen build-testset'.")
    where = str(path)
    listed = convert(load_json(path, FORMAT, VERSION), _Listed, where)
    rest = {"faces": listed.faces, "complete": listed.complete}
    manifest = convert({**listed.recipe, **rest}, TestsetManifest, where)
    _check_names(manifest, where)
    return manifest


class _Listed(Record, frozen=True):
    """The file as it stands."""

    format: str
    version: int
    complete: bool
    recipe: dict[str, Any]
    arithmetic: str
    faces: list[TakenFace]


def _check_names(manifest: TestsetManifest, where: str) -> None:
    """Raise InputError unless every picture has a file name of its own, in the folders of the set."""
    if not NAME.fullmatch(manifest.name):
        raise InputError(f"{where}: name: must be 1 to 40 of A-Z, a-z, 0-9, '.', '-', '_'.")
    if manifest.sizes != sorted(set(manifest.sizes)):
        raise InputError(f"{where}: sizes: must be different sizes in ascending order.")
    if manifest.kernels.count != len(manifest.sizes) * manifest.per_size:
        wanted = f"{manifest.per_size} of each of {len(manifest.sizes)} sizes"
        raise InputError(f"{where}: kernels: must be {wanted}, not {manifest.kernels.count}.")
    if (pictures := len(manifest.faces) * manifest.kernels.count) > MOST_PICTURES:
        raise InputError(f"{where}: {pictures} blurry pictures; a test set has at most {MOST_PICTURES}.")
    files = [face.file for face in manifest.faces]
    for i, file in enumerate(files):
        if not _STEM.fullmatch(file) or not is_portable(f"{file}.png"):
            raise InputError(f"{where}: faces[{i}].file: must be the stem of a file name, not {file!r:.60}.")
    if len(set(map(folded, files))) < len(files):
        raise InputError(f"{where}: faces: two of them have the same file.")
