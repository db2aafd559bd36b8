"""What the stages of the kernel-guided network minimise, and how they are judged.

The dataset knows every kernel, so the estimator is told; and since a kernel is only as good as the picture
it gives, also by the picture that the Wiener filter gives with it.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from umsn.nets import KernelEstimator, KernelGuided
from umsn.nets.kernel_estimator import KERNEL_SIDE, as_kernel
from umsn.nets.wiener import wiener
from umsn.patches.batches import Batch
from umsn.training.learners import Judgement, Learner, Terms, judge_pictures
from umsn.training.losses import l1

WEIGHT: Final = 0.1
"""Of the Wiener filter, while the estimator is trained by itself."""


class KernelEstimatorLearner(Learner):
    """The kernel estimator: the kernel's divergence, and L1 of the picture that the Wiener filter gives."""

    network: KernelEstimator

    def __init__(self, network: KernelEstimator) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> tuple[Terms, Terms]:
        logits = self.network(batch.blurry)
        filtered = wiener(batch.blurry, as_kernel(logits), (WEIGHT,))
        return {"filtered": l1(filtered, batch.clean), "kernel": divergence(logits, batch.kernels)}, {}

    def judge(self, batch: Batch) -> Judgement:
        kernel = as_kernel(self.network(batch.blurry))
        return _judged(batch, wiener(batch.blurry, kernel, (WEIGHT,)), kernel)


class KernelGuidedLearner(Learner):
    """Estimator and refinement together: L1 of what comes out, and the estimator's own terms."""

    network: KernelGuided

    def __init__(self, network: KernelGuided) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> tuple[Terms, Terms]:
        logits = self.network.estimator(batch.blurry)
        filtered = self.network.filtered(batch.blurry, as_kernel(logits))
        output = self.network.refine(batch.blurry, filtered)
        terms = {
            "l1": l1(output, batch.clean),
            "filtered": l1(self.network.middle(filtered), batch.clean),
            "kernel": divergence(logits, batch.kernels),
        }
        return terms, {}

    def judge(self, batch: Batch) -> Judgement:
        kernel = as_kernel(self.network.estimator(batch.blurry))
        return _judged(batch, self.network(batch.blurry, kernel), kernel)


def divergence(logits: Tensor, kernels: Tensor) -> Tensor:
    """Kullback-Leibler divergence of kernels given by logits ``[N, 29, 29]`` from the true ones, in nats."""
    truth = centred(kernels).flatten(1)
    return F.kl_div(F.log_softmax(logits.float().flatten(1), 1), truth, reduction="batchmean")


def centred(kernels: Tensor) -> Tensor:
    """Put kernels ``[N, M, M]``, M odd, in the middle of ``[N, 29, 29]``; ValueError if M is larger."""
    rim = (KERNEL_SIDE - kernels.shape[-1]) // 2
    if rim < 0:
        raise ValueError(f"Argument 'kernels' must be at most {KERNEL_SIDE} wide, not {kernels.shape[-1]}.")
    return F.pad(kernels, (rim,) * 4)


def _judged(batch: Batch, found: Tensor, kernel: Tensor) -> Judgement:
    """Scores of pictures and of kernels: the cosine between the estimated and the true one."""
    scores, pictures = judge_pictures(batch, found)
    similarity = torch.cosine_similarity(kernel.flatten(1), centred(batch.kernels).flatten(1))
    return Judgement(scores | {"kernel_similarity": similarity.tolist()}, pictures)
