"""One command from a checkpoint and test pictures to the paper's tables and figures (section IV)."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
from PIL import Image

from blurgen.errors import Argument, InputError
from blurgen.files.atomic import write_file
from blurgen.files.png import save_picture
from blurgen.jobs.progress import Reporter, Silent
from umsn.devices import usable_device
from umsn.evaluation import deconvolution as references
from umsn.evaluation import figures
from umsn.evaluation.figures import Shown
from umsn.evaluation.kept_pictures import GalleryPictures
from umsn.evaluation.lineup import BLURRY, Lineup, measures
from umsn.evaluation.request import Request
from umsn.evaluation.restoring import restore_all
from umsn.folders import make_folder
from umsn.scoring.measures import Findings, Measure
from umsn.scoring.pairs import Pairs
from umsn.scoring.psnr_ssim import PsnrSsim
from umsn.scoring.scores import Score
from umsn.scoring.tables import Table, csv_page, json_page, latex_page, markdown_page
from umsn.weights import name_of

SHOWN: Final = 12
"""Pictures in the figures, spread evenly over the test set."""

KEPT: Final = 200
"""Pictures kept for the gallery of ``umsn report``, likewise."""


@dataclass(frozen=True)
class Evaluation:
    """Every score, and what was made of them."""

    scores: list[Score]
    tables: list[Table]
    definitions: list[str]
    left_out: list[str]
    """Tables that could not be made, and why."""
    files: list[Path]
    """What was written, the tables first."""

    def markdown(self) -> str:
        """Return the page of tables."""
        return markdown_page(self.tables, self.definitions, self.left_out)


def evaluate(
    pairs: Pairs,
    out: str | os.PathLike[str],
    request: Request,
    *,
    device: str = "cpu",
    jobs: int | None = None,
    reporter: Reporter = Silent(),
    write: Callable[[Argument], str] = str,
) -> Evaluation:
    """Restore every blurry picture in every way asked for, measure, and write it all into ``out``.

    Writes ``tables.md``, ``.tex``, ``.csv`` and ``.json`` (all tables), a CSV with every single value for
    each measurement (``scores.csv`` and others), ``figures/*.png``, and in ``shown`` some of the pictures,
    for ``umsn report``. Networks see the blurry picture alone. ``jobs`` threads score, as many as there are
    cores that may be used where None; the numbers do not depend on it. ``write`` names arguments.
    What can be checked is checked before the first picture: InputError for whatever cannot be used.
    """
    if not len(pairs):
        raise InputError("There are no pictures to evaluate on.")
    out = Path(out)
    lineup = Lineup(pairs, request, usable_device(device))
    psnr_ssim = PsnrSsim(lineup.compared, lineup.ablation, request.definition)
    measured = list(measures(request, lineup))
    shown = _run(
        pairs,
        out,
        lineup,
        psnr_ssim,
        measured,
        keep=request.save_pictures,
        jobs=joblib.cpu_count() if jobs is None else jobs,
        reporter=reporter,
    )
    made_by = [psnr_ssim.findings(), *(measure.findings() for measure in measured)]
    findings = [*made_by, lineup.trace(), lineup.over_training(shown)]
    if request.references:
        findings.append(Findings(definitions=references.DEFINITIONS))
    made = _evaluation(psnr_ssim.scores, findings, write)
    checkpoint = None if request.checkpoint is None else name_of(request.checkpoint)
    about = {"pictures": len(pairs), "methods": list(lineup.methods), "checkpoint": checkpoint}
    made.files.extend(_write_pages(out, made, findings, about))
    made.files.extend(_write_figures(out, [Findings(figures=_figures(shown, lineup)), *findings]))
    return made


def _evaluation(
    scores: list[Score], findings: Sequence[Findings], write: Callable[[Argument], str]
) -> Evaluation:
    keep_every = write(Argument("keep_every"))
    tables = sorted((t for found in findings for t in found.tables), key=lambda t: _ORDER.index(t.name))
    return Evaluation(
        scores,
        tables,
        list(dict.fromkeys(line for found in findings for line in found.definitions)),
        [
            reason.format(keep_every=keep_every)
            for name, reason in _REMEDIES.items()
            if name not in {t.name for t in tables}
        ],
        [],
    )


def _write_pages(
    out: Path, made: Evaluation, findings: Sequence[Findings], about: Mapping[str, Any]
) -> Iterator[Path]:
    pages = {
        "tables.md": made.markdown(),
        "tables.tex": latex_page(made.tables),
        "tables.csv": csv_page(made.tables),
        "tables.json": json_page(made.tables, made.definitions, made.left_out, about),
        **{name: text for found in findings for name, text in found.records.items()},
    }
    for name, text in pages.items():
        write_file(out / name, text)
        yield out / name


def _write_figures(out: Path, findings: Sequence[Findings]) -> Iterator[Path]:
    for found in findings:
        for name, page in found.figures.items():
            save_picture(out / "figures" / f"{name}.png", page)
            yield out / "figures" / f"{name}.png"


_ORDER: Final = (
    *("methods", "classes", "kernel-sizes", "segmentation", "vgg-face", "perceptual", "recognition"),
    *("ablation", "confidence-training", "confidence-pictures", "confidence-kernels"),
)
"""Names of all tables, as they stand on the page."""

_REMEDIES: Final = {
    "classes": "PSNR and SSIM by semantic class (Table I): the test pictures have no labels.",
    "segmentation": "F-scores of semantic masks (Table II): needs labels, and S-Nets, beside the checkpoint "
    "or given.",
    "vgg-face": "VGG-Face distance (Table IV): needs the weights of VGG-Face.",
    "recognition": "Face recognition (Table V): needs a face embedder and a gallery.",
    "ablation": "Ablation study (Table VI): needs checkpoints of other variants.",
    "confidence-training": "Confidence values over training (Table VII): there is no log of a training with "
    "confidence beside the checkpoint (metrics.jsonl).",
    "confidence-pictures": "Confidence values of single pictures over training (Table VII, Fig. 15): there "
    "are no checkpoints from the middle of the training ({keep_every} keeps them).",
    "confidence-kernels": "Confidence values by kernel size (Table VIII): needs a checkpoint trained with "
    "confidence, and its masks (S-Net or labels).",
}


def _run(
    pairs: Pairs,
    out: Path,
    lineup: Lineup,
    psnr_ssim: PsnrSsim,
    measured: Sequence[Measure],
    *,
    keep: bool,
    jobs: int,
    reporter: Reporter,
) -> list[Shown]:
    """Restore and measure every pair; return those for the figures."""
    make_folder(out / "figures")
    wanted, kept = _spread(len(pairs), SHOWN), _spread(len(pairs), KEPT)
    shown = []
    gallery = GalleryPictures(out, count=len(pairs), main=lineup.main)
    with (
        reporter.bar("evaluate", len(pairs), "pictures") as bar,
        contextlib.closing(restore_all(pairs, lineup.methods, jobs, psnr_ssim.definition)) as results,
    ):
        for number, (pair, restored, scores) in enumerate(results):
            psnr_ssim.add(scores)
            for measure in measured:
                measure.add(pair, restored)
            if number in wanted:
                shown.append(Shown(pair, restored))
            if number in kept:
                gallery.add(pair, restored)
            for name in lineup.saved if keep else ():
                folder = out / "pictures" / re.sub(r"[^\w.-]+", "-", name)
                make_folder(folder)
                save_picture(folder / f"{pair.name}.png", restored[name])
            bar.advance()
    gallery.finish()
    return shown


def _spread(length: int, most: int) -> set[int]:
    """Return at most ``most`` numbers below ``length``, evenly spread."""
    return set(np.linspace(0, length - 1, min(most, length)).astype(int).tolist())


def _figures(shown: Sequence[Shown], lineup: Lineup) -> dict[str, Image.Image]:
    """Return the pages that what is there can fill, by name."""
    pages: dict[str, Image.Image | None] = {"results": figures.results(shown, lineup.compared)}
    if lineup.ablation:
        names = [BLURRY, *(name for name in lineup.ablation if name != BLURRY)]
        pages["ablation"] = figures.results(shown, names)
    if lineup.on_clean is not None or lineup.fine_tuned is not None:
        pages["masks"] = figures.masks(shown, lineup.on_clean, lineup.fine_tuned, lineup.main)
    networks = lineup.first_stage()
    if networks:
        pages["classes"] = figures.classes(shown, networks, lineup.device)
    deblur = lineup.deblurrer()
    if deblur is not None:
        pages["residuals"] = figures.residuals(shown, deblur)
    return {name: page for name, page in pages.items() if page is not None}
