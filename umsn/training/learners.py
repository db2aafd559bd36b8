"""What each kind of stage minimises and how it is judged: a batch in, named terms of the loss out.

The loop of ``umsn.training.loop`` knows only ``Learner``; the kinds of stages are the classes below it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from blurgen.labels import CLASS_NAMES
from umsn.nets import ConfidenceNet
from umsn.nets.segmentation import segment
from umsn.patches.batches import Batch, as_pixels, one_hot
from umsn.scoring.metrics import f_score, psnr
from umsn.training.differences import LAMBDA
from umsn.training.losses import TERMS, class_confidence, confidence_guided, cross_entropy, l1

Terms = dict[str, Tensor]

_PALETTE = np.array([[40, 40, 60], [230, 180, 150], [200, 60, 60], [90, 60, 30], [0, 0, 0]], np.uint8)


class Judgement(NamedTuple):
    """How a network does on one validation batch."""

    scores: dict[str, list[float]]
    """One score a picture, by name; the best network is the one with the highest first."""
    pictures: NDArray[np.uint8]
    """uint8 ``[N, H, 3 W, 3]``: what went in, what came out and the truth, side by side."""


class Learner(nn.Module, ABC):
    """A network in training, with all its loss needs."""

    network: nn.Module
    """What the stage is about; a running average of weights is of this network alone."""

    @abstractmethod
    def forward(self, batch: Batch) -> tuple[Terms, Terms]:
        """Return the terms of the loss by name, unweighted, and what else is worth a line in the log."""

    @abstractmethod
    def judge(self, batch: Batch) -> Judgement:
        """Judge the network on a batch as it will be used."""

    def kept(self) -> dict[str, nn.Module]:
        """Return what belongs in the checkpoint, by name."""
        return {"network": self.network}

    @property
    def follows(self) -> bool:
        """Whether there is something to ``follow``."""
        return False

    def follow(self, batch: Batch) -> dict[str, list[list[float | None]]]:
        """Return what is worth following of single images: by name, for every image a number per class."""
        return {}


class SegmentationLearner(Learner):
    """S-Net on clean or on blurry images, cross entropy (section IV-A.1)."""

    def __init__(self, network: nn.Module, image: str) -> None:
        super().__init__()
        self.network, self._image = network, image

    def forward(self, batch: Batch) -> tuple[Terms, Terms]:
        return {"cross_entropy": cross_entropy(self.output(batch), batch.classes, batch.known)}, {}

    def output(self, batch: Batch) -> Tensor:
        """Return logits ``[N, 4, H, W]``."""
        return self.network(self._input(batch)).float()

    def judge(self, batch: Batch) -> Judgement:
        found = segment(self.network, self._input(batch)).byte().cpu().numpy()
        truth = batch.classes.byte().cpu().numpy()
        each = [
            [f_score(f, t, c) for f, t in zip(found, truth, strict=True)] for c in range(len(CLASS_NAMES))
        ]
        scores = {"f_score": [float(np.nanmean(values)) for values in zip(*each, strict=True)]}
        scores |= {f"f_score_{name}": values for name, values in zip(CLASS_NAMES, each, strict=True)}
        maps = (_PALETTE[np.minimum(classes, 4)] for classes in (found, truth))
        return Judgement(scores, np.concatenate([as_pixels(self._input(batch)), *maps], axis=2))

    def _input(self, batch: Batch) -> Tensor:
        return batch.clean if self._image == "clean" else batch.blurry


class FirstStageLearner(Learner):
    """A network that deblurs one class, L1 and perceptual loss (section IV-A.2a).

    Its mask comes from the shards: an isolated set exists only where there are labels.
    """

    def __init__(self, network: nn.Module, class_number: int, perceptual: nn.Module | None) -> None:
        super().__init__()
        self.network, self._class, self._perceptual = network, class_number, perceptual

    def forward(self, batch: Batch) -> tuple[Terms, Terms]:
        output = self.output(batch)
        return {"l1": l1(output, batch.clean), **_perceptual_term(self._perceptual, output, batch.clean)}, {}

    def judge(self, batch: Batch) -> Judgement:
        return judge_pictures(batch, self.output(batch))

    def output(self, batch: Batch) -> Tensor:
        """Return images ``[N, 3, H, W]``."""
        mask = batch.masks[:, self._class : self._class + 1]
        return self.network(batch.blurry, mask).float()


class DeblurLearner(Learner):
    """UMSN or another variant of Table VI, L_total (section IV-A.2b).

    With S-Nets, the masks that go in are S-Net's on the blurry image and those of the loss S-Net's on the
    clean one; without, both are those of the shards. ``extra_terms`` names terms of the loss that the
    paper does not have (``umsn.training.losses.TERMS``); ``confidence_lambda`` and ``class_weights`` belong
    to the confidence loss.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        confidence: ConfidenceNet | None,
        perceptual: nn.Module | None,
        s_net: nn.Module | None,
        s_net_clean: nn.Module | None,
        masks: str,
        confidence_lambda: float = LAMBDA,
        class_weights: Sequence[float] | None = None,
        extra_terms: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.network, self.confidence = network, confidence
        self._lambda, self._extra = confidence_lambda, tuple(extra_terms)
        self._class_weights: Tensor | None
        # A buffer, so that no step copies it to the device; no part of a checkpoint.
        equal = class_weights is None or set(class_weights) == {1.0}
        weights = None if equal else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("_class_weights", weights, persistent=False)
        self._perceptual, self._masks = perceptual, masks
        self._s_net, self._s_net_clean = s_net, s_net_clean
        for frozen in (s_net, s_net_clean, perceptual):
            if frozen is not None:
                frozen.requires_grad_(False)

    def forward(self, batch: Batch) -> tuple[Terms, Terms]:
        output = self.output(batch)
        terms: Terms = {}
        trace: Terms = {}
        if self.confidence is None:
            terms["l1"] = l1(output, batch.clean)
        else:
            terms["confidence"], trace = confidence_guided(
                self.confidence,
                output,
                batch.clean,
                self._loss_masks(batch),
                self._lambda,
                weights=self._class_weights,
            )
        terms |= {name: TERMS[name](output, batch.clean) for name in self._extra}
        return {**terms, **_perceptual_term(self._perceptual, output, batch.clean)}, trace

    def output(self, batch: Batch) -> Tensor:
        """Return images ``[N, 3, H, W]``."""
        return self.network(batch.blurry, self._input_masks(batch, self._masks)).float()

    @property
    def follows(self) -> bool:
        return self.confidence is not None

    @torch.no_grad()
    def follow(self, batch: Batch) -> dict[str, list[list[float | None]]]:
        """Return ``confidence`` and ``l1`` of every image and class; None for one it does not show."""
        if self.confidence is None:
            return super().follow(batch)
        output = self.output(batch)
        losses, log_confidence, shown = class_confidence(
            self.confidence, output, batch.clean, self._loss_masks(batch)
        )
        return {
            name: [
                [round(v, 6) if s else None for v, s in zip(*pair, strict=True)]
                for pair in zip(values.tolist(), shown.tolist(), strict=True)
            ]
            for name, values in (("confidence", log_confidence.exp()), ("l1", losses))
        }

    def judge(self, batch: Batch) -> Judgement:
        masks = self._input_masks(batch, "labels" if self._s_net is None else "snet")
        return judge_pictures(batch, self.network(batch.blurry, masks).float())

    def kept(self) -> dict[str, nn.Module]:
        # Deblurring does without the confidence network; who looks back at the training does not.
        others = {"s_net": self._s_net, "confidence": self.confidence}
        return super().kept() | {name: network for name, network in others.items() if network is not None}

    def _loss_masks(self, batch: Batch) -> Tensor:
        return one_hot(segment(self._s_net_clean, batch.clean)) if self._masks == "snet" else batch.masks

    def _input_masks(self, batch: Batch, masks: str) -> Tensor:
        return one_hot(segment(self._s_net, batch.blurry)) if masks == "snet" else batch.masks


@torch.no_grad()
def _perceptual_term(perceptual: nn.Module | None, output: Tensor, clean: Tensor) -> Terms:
    return {} if perceptual is None else {"perceptual": perceptual(output, clean)}


def judge_pictures(batch: Batch, output: Tensor) -> Judgement:
    """Score pictures ``[N, 3, H, W]`` against the sharp ones, by the decibel."""
    blurry, found, clean = as_pixels(batch.blurry), as_pixels(output), as_pixels(batch.clean)
    scores = {
        "psnr": [psnr(f, c) for f, c in zip(found, clean, strict=True)],
        "psnr_blurry": [psnr(b, c) for b, c in zip(blurry, clean, strict=True)],
    }
    return Judgement(scores, np.concatenate([blurry, found, clean], axis=2))
