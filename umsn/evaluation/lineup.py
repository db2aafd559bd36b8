"""All that restores or judges pictures in one evaluation, loaded and checked before the first picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import nn

from blurgen.errors import Argument, InputError
from blurgen.labels import CLASS_NAMES
from umsn.evaluation import deconvolution as references
from umsn.evaluation.failures import Failures
from umsn.evaluation.figures import Shown, some
from umsn.evaluation.methods import TITLES, Method, Network, Pictures, blurry
from umsn.evaluation.moments import Moment, over_training
from umsn.evaluation.request import Request
from umsn.evaluation.two_kernels import TwoKernels
from umsn.nets import VARIANTS, ConfidenceNet
from umsn.restore.deblur import Deblurrer, Segmenter
from umsn.runs import folder as run_folder
from umsn.scoring import confidence as confidence_scores
from umsn.scoring.confidence import Confidence, ConfidenceScores
from umsn.scoring.embedder import Embedder
from umsn.scoring.feature_distance import FeatureDistance
from umsn.scoring.identities import open_gallery
from umsn.scoring.measures import Findings, Measure
from umsn.scoring.pairs import Pairs
from umsn.scoring.perceptual import PerceptualScores
from umsn.scoring.recognition import Recognition
from umsn.scoring.segmentation import SegmentationScores
from umsn.scoring.upright import face_finder

BLURRY: Final = "blurry"
WIENER: Final = "Wiener, true kernel"
RICHARDSON_LUCY: Final = "Richardson-Lucy, true kernel"

MOMENT_PICTURES: Final = 2
"""How many pictures Fig. 15 and its part of Table VII show, as in the paper."""


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
        pairs = [one.pair for one in some(shown, MOMENT_PICTURES)]
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


def measures(request: Request, lineup: Lineup) -> Iterator[Measure]:
    """Yield what measures each picture, besides PSNR and SSIM; raises InputError for what cannot be used."""
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
