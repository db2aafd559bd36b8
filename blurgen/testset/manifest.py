"""``testset.json``: what a test set is made of, enough to make every picture of it again.

A blurry picture is the sample ``face * kernels + kernel`` of FORMAT.md, section 3, where ``face`` is the
place of the face in the list here, ``kernels`` the number of kernels and ``kernel`` a row of ``kernels.h5``.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from blurgen.errors import InputError
from blurgen.files import strict_json
from blurgen.files.atomic import write_file
from blurgen.files.inside import inside
from blurgen.files.names import folded, is_portable
from blurgen.synthesis.recipe import KernelsUsed
from blurgen.testset.protocols import BORDERS, Border

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

MOST_PICTURES: Final = 10**7
"""How many blurry pictures a test set may have: far more than any has, and few enough to list."""

_STEM = re.compile(r"[\w-][\w.-]{0,199}")
_MOST_PER_SIZE = 10**6
_MOST_SIDE = 2**31 - 1
_MOST_IDENTITY = 2**63 - 1


@dataclass(frozen=True)
class TakenFace:
    """One face of a test set."""

    file: str
    """Stem of its files."""
    id: str
    """The source's own name of the face."""
    name: str
    """``SOURCE:FILE``."""
    digest: str
    """SHA-256 of the source file (see blurgen.faces.Face)."""
    identity: int
    """Number of the person, -1 unknown."""
    top: int
    """Where the picture is cut out of the face, pixels."""
    left: int
    labelled: bool
    picture_hash: str
    """Perceptual hash of the whole face (blurgen.comparing.picture_hash), 64 hexadecimal digits."""


@dataclass(frozen=True)
class TestsetManifest:
    """Everything that defines a test set, and whether all its pictures are there.

    Blurry pictures: every face with ``per_size`` kernels of each of ``sizes`` (pixels, odd).
    """

    name: str
    """What the set is called in the names of its folders."""
    seed: int
    patch_size: int
    noise_sigma: float
    sizes: list[int]
    per_size: int
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

    def blurry_name(self, face: int, kernel: int) -> str:
        """Return the file name of a blurry picture."""
        size, number = divmod(kernel, self.per_size)
        return f"{self.faces[face].file}_ker{number + 1:02d}_blur_k{self.sizes[size]}.png"

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as it stands in the file."""
        whole = asdict(self)
        faces, complete = whole.pop("faces"), whole.pop("complete")
        if self.border == "real":
            del whole["border"]  # as in test sets of before there were others
        for face in faces:
            face["looks"] = face.pop("picture_hash")
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
    top = strict_json.fields(
        strict_json.load_json(path),
        where,
        ("format", "version", "complete", "recipe", "arithmetic", "faces"),
    )
    if top["format"] != FORMAT:
        raise InputError(f"{path}: format must be '{FORMAT}', not {top['format']!r:.60}.")
    if top["version"] != VERSION or isinstance(top["version"], bool):
        raise InputError(f"{path}: is version {top['version']!r:.20}; this blurgen reads version {VERSION}.")
    elsewhere = {"faces", "complete", "border"}
    names = tuple(field.name for field in fields(TestsetManifest) if field.name not in elsewhere)
    recipe = strict_json.fields(top["recipe"], f"{where}: recipe", names, optional=("border",))
    if recipe.get("border", "real") not in BORDERS:
        raise InputError(f"{where}: border: must be one of {', '.join(BORDERS)}.")
    sizes = strict_json.items(recipe["sizes"], f"{where}: sizes")
    sigma = recipe["noise_sigma"]
    if isinstance(sigma, bool) or not isinstance(sigma, int | float) or not 0 <= sigma <= 0.2:
        raise InputError(f"{where}: noise_sigma: must be from 0 to 0.2, not {sigma!r:.60}.")
    if not isinstance(recipe["source"], dict):
        raise InputError(f"{where}: source: must be an object.")
    faces = strict_json.items(top["faces"], f"{where}: faces")
    manifest = TestsetManifest(
        name=_text(recipe["name"], f"{where}: name"),
        seed=strict_json.whole(recipe["seed"], f"{where}: seed", 0, 2**64 - 1),
        patch_size=strict_json.whole(recipe["patch_size"], f"{where}: patch_size", 8, 1024),
        noise_sigma=float(sigma),
        sizes=[strict_json.whole(size, f"{where}: sizes[{i}]", 3, 101) for i, size in enumerate(sizes)],
        per_size=strict_json.whole(recipe["per_size"], f"{where}: per_size", 1, _MOST_PER_SIZE),
        source=recipe["source"],
        kernels=_kernels(recipe["kernels"], f"{where}: kernels"),
        faces=[_face(face, f"{where}: faces[{i}]") for i, face in enumerate(faces)],
        complete=strict_json.flag(top["complete"], f"{where}: complete"),
        border=recipe.get("border", "real"),
    )
    _check_names(manifest, where)
    return manifest


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


def _kernels(value: object, where: str) -> KernelsUsed:
    try:
        return KernelsUsed(**strict_json.fields(value, where, ("count", "max_size", "digest")))
    except ValueError as error:
        raise InputError(f"{where}: {str(error).replace('Argument ', '')}") from None


def _face(value: object, where: str) -> TakenFace:
    names = [field.name for field in fields(TakenFace) if field.name != "picture_hash"]
    face = strict_json.fields(value, where, (*names, "looks"))
    return TakenFace(
        file=_text(face["file"], f"{where}.file"),
        id=_text(face["id"], f"{where}.id"),
        name=_text(face["name"], f"{where}.name"),
        digest=_digits(face["digest"], f"{where}.digest"),
        identity=strict_json.whole(face["identity"], f"{where}.identity", -1, _MOST_IDENTITY),
        top=strict_json.whole(face["top"], f"{where}.top", 0, _MOST_SIDE),
        left=strict_json.whole(face["left"], f"{where}.left", 0, _MOST_SIDE),
        labelled=strict_json.flag(face["labelled"], f"{where}.labelled"),
        picture_hash=_digits(face["looks"], f"{where}.looks"),
    )


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{where}: must be a text, not {value!r:.60}.")
    return value


def _digits(value: object, where: str) -> str:
    text = _text(value, where)
    if len(text) != 64 or set(text) - set("0123456789abcdef"):
        raise InputError(f"{where}: must be 64 hexadecimal digits, not {text!r:.80}.")
    return text
