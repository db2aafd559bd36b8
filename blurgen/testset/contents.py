"""What a dataset or a test set is made of, read for comparing."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurgen.comparing.contents import Contents
from blurgen.comparing.picture_hash import WORDS, from_text, picture_hash
from blurgen.dataset.manifest import FACES, KERNELS, MANIFEST
from blurgen.errors import InputError
from blurgen.faces.store import FaceStore
from blurgen.files.inside import inside
from blurgen.jobs.progress import Reporter, Silent
from blurgen.kernels.bank import KernelBank
from blurgen.testset.manifest import TESTSET, TestsetManifest, read_testset


def read_contents(root: Path, *, near: bool = True, progress: Reporter | None = None) -> Contents:
    """Return what the dataset or test set in ``root`` is made of; InputError when it is neither.

    With ``near``, every face of a dataset is hashed, which takes half a millisecond each.
    """
    if (root / TESTSET).exists():
        return contents_of(read_testset(root), KernelBank.load(inside(root, KERNELS)))
    if not (root / MANIFEST).exists():
        raise InputError(
            f"{root}: is neither a dataset (it has no {MANIFEST}) nor a test set (it has no {TESTSET})."
        )
    with closing(FaceStore(inside(root, FACES))) as faces:
        names = [faces.name(i) for i in range(len(faces))]
        digests = [row.decode("ascii", "replace") for row in faces.table["digest"].tolist()]
        identities = faces.table["identity"].tolist()
        hashes = _hash_all(faces, root, progress or Silent()) if near else np.empty((0, WORDS), np.uint64)
    return Contents(names, digests, identities, hashes, KernelBank.load(inside(root, KERNELS)))


def contents_of(manifest: TestsetManifest, kernels: KernelBank) -> Contents:
    """Return what a test set is made of."""
    hashes = [from_text(face.picture_hash) for face in manifest.faces]
    return Contents(
        [face.name for face in manifest.faces],
        [face.digest for face in manifest.faces],
        [face.identity for face in manifest.faces],
        np.array(hashes, np.uint64).reshape(-1, WORDS),
        kernels,
    )


def _hash_all(faces: FaceStore, root: Path, reporter: Reporter) -> NDArray[np.uint64]:
    hashes = np.empty((len(faces), WORDS), np.uint64)
    with reporter.bar(f"Hashing the faces of {root}", len(faces), "faces") as bar:
        for i in range(len(faces)):
            hashes[i] = picture_hash(faces.face(i).pixels)
            bar.advance()
    return hashes
