"""One command from a checkpoint and test pictures to the paper's tables and figures (section IV)."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import joblib
import numpy as np
import torch
from PIL import Image
from torch import nn

from blurgen.errors import Argument, InputError
from blurgen.files.atomic import write_file
from blurgen.files.png import save_picture
from blurgen.jobs.progress import Reporter, Silent
from blurgen.labels import CLASS_NAMES
from umsn.devices import usable_device
from umsn.evaluation import deconvolution as references
from umsn.evaluation import figures
from umsn.evaluation.failures import Failures
from umsn.evaluation.figures import Shown
from umsn.evaluation.kept_pictures import GalleryPictures
from umsn.evaluation.methods import TITLES, Method, Network, Pictures, blurry
from umsn.evaluation.moments import Moment, over_training
from umsn.evaluation.restoring import restore_all
from umsn.evaluation.two_kernels import TwoKernels
from umsn.folders import make_folder
from umsn.nets import VARIANTS, ConfidenceNet
from umsn.restore.deblur import Deblurrer, Segmenter
from umsn.runs import folder as run_folder
from umsn.scoring import confidence as confidence_scores
from umsn.scoring.confidence import Confidence, ConfidenceScores
from umsn.scoring.definitions import OURS, Definition
from umsn.scoring.embedder import Embedder, InputFormat
from umsn.scoring.feature_distance import FeatureDistance
from umsn.scoring.identities import open_gallery
from umsn.scoring.measures import Findings, Measure
from umsn.scoring.pairs import Pairs
from umsn.scoring.perceptual import PerceptualScores
from umsn.scoring.psnr_ssim import PsnrSsim
from umsn.scoring.recognition import Recognition
from umsn.scoring.scores import Score
from umsn.scoring.segmentation import SegmentationScores
from umsn.scoring.tables import Table, csv_page, json_page, latex_page, markdown_page
from umsn.scoring.upright import face_finder

BLURRY: Final = "blurry"
WIENER: Final = "Wiener, true kernel"
RICHARDSON_LUCY: Final = "Richardson-Lucy, true kernel"

SHOWN: Final = 12
"""Pictures in the figures, spread evenly over the test set."""

KEPT: Final = 200
"""Pictures kept for the gallery of ``umsn report``, likewise."""

MOMENT_PICTURES: Final = 2
"""How many of them Fig. 15 and its part of Table VII show, as in the paper."""


@dataclass(frozen=True)
class Request:
    """What to evaluate besides the blurry pictures; every part may be left out."""

    checkpoint: Path | None = None
    """Of a deblurring network; what else its training left beside it is found there."""
    segmentation: Path | None = None
    """Checkpoint of S-Net trained on clean pictures; None: the one beside ``checkpoint``, if any."""
    segmentation_blurry: Path | None = None
    """Checkpoint of S-Net fine-tuned on blurry pictures, likewise."""
    compare: Mapping[str, Path] = field(default_factory=dict)
    """Methods by name, each a folder of its pictures, named like the blurry ones."""
    references: bool = False
    """Whether to add deconvolution with the true kernels."""
    ablation: Mapping[str, Path] = field(default_factory=dict)
    """Rows of Table VI by name, each a checkpoint; a name of ``umsn.nets.VARIANTS`` must be what it is."""
    vgg_face: Path | None = None
    """Weights of VGG-Face."""
    perceptual: Sequence[str] = ()
    """Names of ``umsn.scoring.perceptual.PERCEPTUAL``."""
    embedder: Path | None = None
    gallery: Path | None = None
    """Pictures of the persons on the test pictures, for ``embedder``; see ``umsn.scoring.identities``."""
    identities: Path | None = None
    input_format: InputFormat = field(default_factory=InputFormat)
    embedder_align: bool = True
    """Whether a detector finds the faces, for ``embedder`` to see upright; False: pictures are cut for it."""
    definition: Definition = OURS
    """Whose PSNR and SSIM go into tables and CSV; captions of figures have ours."""
    save_pictures: bool = False
    """Whether to keep every restored picture, ``out/pictures/METHOD/NAME.png``."""

    def __post_init__(self) -> None:
        if (self.embedder is None) != (self.gallery is None):
            raise InputError(Argument("embedder"), " and ", Argument("gallery"), " are of use together only.")
        if self.identities is not None and self.gallery is None:
            raise InputError(Argument("identities"), " says who is in a gallery; give that, too.")


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
) -> Evaluation:
    """Restore every blurry picture in every way asked for, measure, and write it all into ``out``.

    Writes ``tables.md``, ``.tex``, ``.csv`` and ``.json`` (all tables), a CSV with every single value for
    each measurement (``scores.csv`` and others), ``figures/*.png``, and in ``shown`` some of the pictures,
    for ``umsn report``. Networks see the blurry picture alone. ``jobs`` threads score, as many as there are
    cores that may be used where None; the numbers do not depend on it.
    What can be checked is checked before the first picture: InputError for whatever cannot be used.
    """
    if not len(pairs):
        raise InputError("There are no pictures to evaluate on.")
    out = Path(out)
    lineup = Lineup(pairs, request, usable_device(device))
    psnr_ssim = PsnrSsim(lineup.compared, lineup.ablation, request.definition)
    measures = list(_measures(request, lineup))
    shown = _run(
        pairs,
        out,
        lineup,
        psnr_ssim,
        measures,
        keep=request.save_pictures,
        jobs=joblib.cpu_count() if jobs is None else jobs,
        reporter=reporter,
    )
    made_by = [psnr_ssim.findings(), *(measure.findings() for measure in measures)]
    findings = [*made_by, lineup.trace(), lineup.over_training(shown)]
    if request.references:
        findings.append(Findings(definitions=references.DEFINITIONS))
    found_tables = sorted((t for found in findings for t in found.tables), key=lambda t: _ORDER.index(t.name))
    made = Evaluation(
        psnr_ssim.scores,
        found_tables,
        list(dict.fromkeys(line for found in findings for line in found.definitions)),
        [reason for name, reason in _REMEDIES.items() if name not in {t.name for t in found_tables}],
        [],
    )
    checkpoint = None if request.checkpoint is None else str(request.checkpoint)
    about = {"pictures": len(pairs), "methods": list(lineup.methods), "checkpoint": checkpoint}
    pages = {
        "tables.md": made.markdown(),
        "tables.tex": latex_page(made.tables),
        "tables.csv": csv_page(made.tables),
        "tables.json": json_page(made.tables, made.definitions, made.left_out, about),
        **{name: text for found in findings for name, text in found.records.items()},
    }
    for name, text in pages.items():
        write_file(out / name, text)
        made.files.append(out / name)
    pictures = _figures(shown, lineup) | {n: page for found in findings for n, page in found.figures.items()}
    for name, picture in pictures.items():
        save_picture(out / "figures" / f"{name}.png", picture)
        made.files.append(out / "figures" / f"{name}.png")
    return made


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
    "are no checkpoints from the middle of the training (keep_every keeps them).",
    "confidence-kernels": "Confidence values by kernel size (Table VIII): needs a checkpoint trained with "
    "confidence, and its masks (S-Net or labels).",
}


class Lineup:
    """Everything a request brings into the field, loaded and checked: methods by name, in their order.

    Raises InputError for what cannot be used, and where two methods have one name.
    """

    def __init__(self, pairs: Pairs, request: Request, device: torch.device) -> None:
        self.device = device
        self.methods: dict[str, Method] = {}
        self.trained: run_folder.Trained | None = None
        self.main: str | None = None
        """The method that is ``request.checkpoint``."""
        self._files: dict[str, Path] = {}
        self._join(BLURRY, blurry)
        if request.references:
            self._join_references(pairs)
        for name, folder in request.compare.items():
            self._join(name, Pictures(folder, pairs.names()))
        if request.checkpoint is not None:
            self.trained = run_folder.describe(request.checkpoint)
            self.main = TITLES.get(self.trained.variant, "deblurred")
            self._join(self.main, Network(request.checkpoint, str(device)), request.checkpoint)
        self.compared = list(self.methods)
        """Rows of Table III."""
        self.ablation = [self._join_variant(name, path) for name, path in request.ablation.items()]
        """Rows of Table VI."""
        self.on_clean = self._segmenter("segmentation", "clean", request.segmentation)
        self.fine_tuned = self._segmenter("segmentation-blurry", "blurry", request.segmentation_blurry)
        self.confidence = None if self.trained is None else self._confidence(self.trained.path)
        """The confidence network that was trained with the checkpoint, where there was one."""
        self.moments = self._moments()
        """The network of the checkpoint at some moments of its training, itself the last."""
        self.saved = [name for name in self.methods if name != BLURRY and name not in request.compare]
        """Methods whose pictures are nowhere yet."""

    def trace(self) -> Findings:
        """Return Table VII from the log beside the checkpoint; nothing where there is none."""
        if self.trained is None or self.main is None:
            return Findings()
        lines = run_folder.log_lines(self.trained.path.parent, self.trained.stage)
        return confidence_scores.trace(lines, self.main)

    def over_training(self, shown: Sequence[Shown]) -> Findings:
        """Return Fig. 15 and its part of Table VII for two pictures; nothing without kept checkpoints."""
        if self.main is None:
            return Findings()
        pairs = [one.pair for one in figures.some(shown, MOMENT_PICTURES)]
        return over_training(pairs, self.moments, self.main)

    def deblurrer(self) -> Deblurrer | None:
        """Return the network of ``request.checkpoint``."""
        method = None if self.main is None else self.methods[self.main]
        return method.deblur if isinstance(method, Network) else None

    def first_stage(self) -> dict[int, nn.Module]:
        """Return the first-stage networks beside the checkpoint by number of their class."""
        if self.trained is None:
            return {}
        folder = self.trained.path.parent
        found = {
            number: run_folder.first_stage(folder, name, self.device)
            for number, name in enumerate(CLASS_NAMES)
        }
        return {number: network for number, network in found.items() if network is not None}

    def _join(self, name: str, method: Method, file: Path | None = None) -> None:
        if name in self.methods:
            raise InputError(f"Two methods are called '{name}'; give one of them another name.")
        self.methods[name] = method
        if file is not None:
            self._files[name] = file.resolve()

    def _join_references(self, pairs: Pairs) -> None:
        references.require_scikit_image()
        if not pairs.knows_kernels:
            raise InputError(Argument("references"), " needs true kernels; datasets and test sets have them.")
        self._join(WIENER, references.wiener)
        self._join(RICHARDSON_LUCY, references.richardson_lucy)

    def _join_variant(self, name: str, path: Path) -> str:
        """Add a row of Table VI and return its name; the checkpoint under test is not run a second time."""
        if name in VARIANTS:
            run_folder.require_variant(path, name)
        title = TITLES.get(name, name)
        if self._files.get(title) != path.resolve():
            self._join(title, Network(path, str(self.device)), path)
        return title

    def _confidence(self, path: Path) -> Confidence | None:
        """Return the confidence network of the checkpoint itself, or of one kept on the way to it."""
        network = run_folder.confidence_network(path, self.device)
        if not isinstance(network, ConfidenceNet) or self.trained is None:
            return None
        return Confidence(network, self.on_clean if self.trained.masks == "snet" else None, self.device)

    def _moments(self) -> list[Moment]:
        if self.trained is None or self.trained.iteration is None:
            return []
        kept = run_folder.kept_checkpoints(self.trained)
        if not kept:
            return []
        kept[self.trained.iteration] = self.trained.path
        chosen = confidence_scores.at_moments(list(kept))
        for iteration in chosen:
            run_folder.require_moment(kept[iteration], self.trained, iteration)
        return [Moment(i, Network(kept[i], str(self.device)), self._confidence(kept[i])) for i in chosen]

    def _segmenter(self, stage: str, image: str, given: Path | None) -> Segmenter | None:
        path = given
        if path is None and self.trained is not None:
            beside = self.trained.path.parent / f"{stage}.safetensors"
            path = beside if beside.is_file() else None
        if path is None:
            return None
        run_folder.require_segmentation(path, image)
        return Segmenter(path, str(self.device))


def _measures(request: Request, lineup: Lineup) -> Iterator[Measure]:
    if lineup.on_clean is not None or lineup.fine_tuned is not None:
        yield SegmentationScores(lineup.on_clean, lineup.fine_tuned)
    if request.vgg_face is not None:
        yield FeatureDistance(request.vgg_face, lineup.device)
    if request.perceptual:
        yield PerceptualScores(request.perceptual, lineup.device)
    if request.embedder is not None and request.gallery is not None:
        gallery = open_gallery(request.gallery, request.identities)
        embedder = Embedder(request.embedder, request.input_format)
        yield Recognition(embedder, gallery, face_finder() if request.embedder_align else None)
    if lineup.main is not None:
        if lineup.confidence is not None:
            yield ConfidenceScores(lineup.confidence, lineup.main)
        yield TwoKernels(lineup.main, lineup.confidence)
    if len(lineup.methods) > 1:
        yield Failures(lineup.main or list(lineup.methods)[-1])  # the first is the blurry picture


def _run(
    pairs: Pairs,
    out: Path,
    lineup: Lineup,
    psnr_ssim: PsnrSsim,
    measures: Sequence[Measure],
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
            for measure in measures:
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
