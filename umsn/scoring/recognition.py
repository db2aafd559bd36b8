"""Whether a face is still recognised: top-1, 3 and 5 against a gallery of clean pictures (Table V)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.jobs.progress import counted
from umsn.scoring.embedder import Embedder
from umsn.scoring.identities import Gallery
from umsn.scoring.measures import Findings, Picture
from umsn.scoring.pairs import Pair, read_picture
from umsn.scoring.scores import mean
from umsn.scoring.tables import Table, csv_text, row
from umsn.scoring.upright import FindFace, Points

TOP: Final = (1, 3, 5)
CLEAR: Final = "clear pictures"

DEFINITIONS: Final = (
    "Recognition, top-K: share of probes with a picture of their person among the K pictures of the gallery "
    "with the highest cosine similarity of embeddings; equally similar pictures count in the order of their "
    "names. A probe is what a method made of a test picture; clear pictures are the probes without blur.",
)
UPRIGHT: Final = (
    "Faces for recognition are turned upright, onto ArcFace's five points, as a detector finds them in the "
    "pictures of the gallery and in the clean picture of each probe, whose points all its versions have. In "
    "{missed} of {looked} pictures it found no face; of those the middle square is taken."
)
AS_THEY_ARE: Final = "Of each picture the middle square is taken for recognition; no face was turned upright."


@dataclass(frozen=True)
class Match:
    """How one probe was recognised."""

    method: str
    pair_name: str
    face: str
    identity: str
    rank: int
    """Position of the first picture of the right person, from 1."""
    nearest: str
    similarity: float
    """Of the nearest picture."""


class Recognition:
    """Looks every restored picture up in a gallery; InputError for pictures that cannot be used.

    ``find`` finds the face in a clean picture; None: pictures are cut as the embedder wants them.
    """

    def __init__(self, embedder: Embedder, gallery: Gallery, find: FindFace | None = None) -> None:
        self._embedder, self._gallery, self._find = embedder, gallery, find
        self._looked = self._missed = 0
        self._pictures: dict[int, str] = {}
        vectors = []
        for path in gallery.files:
            picture = read_picture(path)
            self._pictures[hash(picture.tobytes())] = str(path)
            vectors.append(embedder(picture, str(path), self._points(picture)))
        self._vectors = np.stack(vectors)
        self.matches: list[Match] = []
        # Test sets have many blurry pictures of one clean picture, one after another.
        self._last: tuple[bytes, Points | None, NDArray[np.float64]] | None = None

    def add(self, pair: Pair, restored: Mapping[str, Picture]) -> None:
        """Look one pair up; InputError when its person, or its clean picture itself, is (not) there."""
        identity = self._gallery.identity_of(pair)
        points, clear = self._clean(pair)
        self._look_up(CLEAR, pair, identity, clear)
        for method, picture in restored.items():
            # A blurry picture hides where its face is, and all versions have it in one place.
            vector = self._embedder(picture, f"{pair.name} ({method})", points)
            self._look_up(method, pair, identity, vector)

    def _clean(self, pair: Pair) -> tuple[Points | None, NDArray[np.float64]]:
        """Return points and vector of the clean picture; InputError when the gallery holds it."""
        key = pair.clean.tobytes()
        if self._last is None or self._last[0] != key:
            same = self._pictures.get(hash(key))
            if same is not None:
                raise InputError(
                    f"{same} is the clean picture of probe {pair.name}; "
                    "a gallery holds other pictures of the same persons."
                )
            points = self._points(pair.clean)
            vector = self._embedder(pair.clean, f"the clean picture of {pair.name}", points)
            self._last = key, points, vector
        return self._last[1:]

    def _points(self, picture: Picture) -> Points | None:
        if self._find is None:
            return None
        points = self._find(picture)
        self._looked += 1
        self._missed += points is None
        return points

    def _look_up(self, method: str, pair: Pair, identity: str, vector: NDArray[np.float64]) -> None:
        if vector.shape != self._vectors.shape[1:]:
            raise InputError(
                f"{self._embedder.path} gives vectors of different lengths; give a face embedder."
            )
        rank, nearest, similarity = first_match(vector, self._vectors, self._gallery.identities, identity)
        self.matches.append(Match(method, pair.name, pair.face, identity, rank, nearest, similarity))

    def findings(self) -> Findings:
        """Return Table V."""
        rows = []
        for method in dict.fromkeys(m.method for m in self.matches):
            mine = [m for m in self.matches if m.method == method]
            faces = [m.face for m in mine]
            means = (mean([100.0 * (m.rank <= top) for m in mine], faces) for top in TOP)
            rows.append(row((method,), means, 1))
        people = counted(len(set(self._gallery.identities)), "person")
        pictures = counted(len(self._gallery.files), "picture")
        title = f"Face recognition (Table V), gallery of {pictures} of {people}"
        columns = tuple(f"top-{top} (%)" for top in TOP)
        table = Table("recognition", title, ("method",), columns, rows, intervals=True)
        header = ("method", "name", "face", "identity", "rank", "nearest", "similarity")
        records = csv_text(header, map(astuple, self.matches))
        upright = UPRIGHT.format(missed=self._missed, looked=self._looked)
        how = AS_THEY_ARE if self._find is None else upright
        return Findings([table], (*DEFINITIONS, how), {"recognition.csv": records})


def first_match(
    vector: NDArray[np.float64], gallery: NDArray[np.float64], identities: Sequence[str], identity: str
) -> tuple[int, str, float]:
    """Return the rank (from 1) of the first picture of ``identity``, who is nearest, and how similar.

    ``vector`` ``[D]`` and the rows of ``gallery`` ``[n, D]`` are unit vectors; ``identities`` has n entries,
    of which ``identity`` is one.
    """
    similarity = gallery @ vector
    order = np.argsort(-similarity, kind="stable")
    rank = next(r for r, i in enumerate(order, start=1) if identities[i] == identity)
    return rank, identities[order[0]], float(similarity[order[0]])
