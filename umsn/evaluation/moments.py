"""A few pictures at several moments of a training, and how sure it was of each class (Fig. 15, Table VII)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image

from umsn.evaluation.methods import Method
from umsn.evaluation.strips import Tile, sheet
from umsn.scoring.confidence import Confidence, confidence_line
from umsn.scoring.measures import Findings, Picture
from umsn.scoring.metrics import psnr
from umsn.scoring.pairs import Pair
from umsn.scoring.scores import single
from umsn.scoring.tables import CONFIDENCES, Table, TableRow, row

DEFINITIONS: Final = (
    "Confidence of single pictures over training: C_i of the confidence network as it was then, for "
    "what the network makes of the picture at the same moment.",
)


@dataclass(frozen=True)
class Moment:
    """A network, and the confidence network beside it, as they were after ``iteration`` steps of training."""

    iteration: int
    restore: Method
    confidence: Confidence | None


def over_training(pairs: Sequence[Pair], moments: Sequence[Moment], name: str) -> Findings:
    """Return a row of pictures for each pair, one for each moment; with confidence also the table of it.

    ``name`` is what the table calls the network. Nothing where there are no pairs or fewer than two moments.
    """
    if not pairs or len(moments) < 2:
        return Findings()
    rows: list[list[Tile | None]] = []
    table_rows = []
    for pair in pairs:
        row: list[Tile | None] = [Tile(pair.blurry, f"{psnr(pair.blurry, pair.clean):.2f} dB")]
        for moment in moments:
            restored = moment.restore(pair)
            values = None if moment.confidence is None else moment.confidence(pair, restored)
            row.append(_tile(pair, restored, values))
            if values is not None:
                table_rows.append(_row(pair, moment, values))
        rows.append([*row, Tile(pair.clean)])
    page = sheet(rows, ["blurry", *(f"iteration {m.iteration:,}" for m in moments), "clean"])
    return _findings(table_rows, page, name)


def _findings(rows: Sequence[TableRow], page: Image.Image, name: str) -> Findings:
    figures = {"moments": page}
    if not rows:
        return Findings(figures=figures)
    title = f"Confidence values of single pictures over the training of {name} (Table VII)"
    table = Table("confidence-pictures", title, ("picture", "iteration"), CONFIDENCES, rows)
    return Findings([table], DEFINITIONS, figures=figures)


def _tile(pair: Pair, restored: Picture, values: tuple[float, ...] | None) -> Tile:
    caption = f"{psnr(restored, pair.clean):.2f} dB"
    return Tile(restored, caption if values is None else f"{caption}\n{confidence_line(values)}")


def _row(pair: Pair, moment: Moment, values: tuple[float, ...]) -> TableRow:
    return row((pair.name, str(moment.iteration)), map(single, values), 3)
