"""What every measurement of an evaluation has in common: it sees each picture once, then makes its tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from umsn.scoring.pairs import Pair
from umsn.scoring.tables import Table

Picture = NDArray[np.uint8]
"""uint8 ``[H, W, 3]``, RGB."""


@dataclass(frozen=True)
class Findings:
    """What one measurement has to say."""

    tables: list[Table] = field(default_factory=list)
    definitions: tuple[str, ...] = ()
    """What its numbers mean, for the reader of the tables."""
    records: dict[str, str] = field(default_factory=dict)
    """Files with every single value, name to CSV text."""
    figures: dict[str, Image.Image] = field(default_factory=dict)
    """Pages of pictures by name."""


class Measure(Protocol):
    """A measurement over the pictures of a test set."""

    def add(self, pair: Pair, restored: Mapping[str, Picture]) -> None:
        """Measure one pair; ``restored`` is what each method made of its blurry picture, by name."""

    def findings(self) -> Findings:
        """Return the tables, once all pairs were added."""
