"""The losses of the paper (sections III-D and III-E; cross entropy from section IV-A.1), and ``TERMS``:
those that the authors' released code adds.

Images are float [N, 3, H, W] in [0, 1]. Every mean over an image is over all its values, 3 H W of them,
also where a mask leaves most of them zero: so the four class losses of an image add up to its L1 loss
(equation 3), and classes count by their area until the confidence reweights them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blurgen.labels import CLASS_NAMES, NO_CLASS
from umsn.nets.confidence import ConfidenceNet
from umsn.vggface import load_vgg_face


def l1(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference, a scalar (section III-D)."""
    return (output - target).abs().mean()


def class_losses(output: Tensor, target: Tensor, masks: Tensor) -> Tensor:
    """L(m_i x_hat, m_i x) of every image and class, [N, 4] (equation 2).

    Args:
        output: deblurred images.
        target: clean images.
        masks: float [N, 4, H, W], one-hot; a pixel of unknown class counts in none.
    """
    error = (output - target).abs().mean(dim=1, keepdim=True)
    return (masks * error).mean(dim=(2, 3))


def confidence_loss(
    losses: Tensor, log_confidence: Tensor, lam: float, weights: Tensor | None = None
) -> Tensor:
    """L_c = sum_i w_i C_i L_i - lambda log C_i, averaged over the images (equation 4). A scalar.

    Its minimum over C_i in (0, 1] lies at min(1, lambda / L_i). The confidence comes as its logarithm, so
    that neither it nor its gradient overflows where C_i is tiny.

    Args:
        losses: L_i, [N, 4].
        log_confidence: log C_i <= 0, [N, 4].
        lam: lambda.
        weights: w_i, [4]; the paper has none, that is ones.
    """
    weighted = losses if weights is None else losses * weights
    return (log_confidence.exp() * weighted - lam * log_confidence).sum(dim=1).mean()


def class_confidence(
    confidence: ConfidenceNet, output: Tensor, target: Tensor, masks: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """L_i and log C_i of every image and class, and whether the image shows the class at all, [N, 4] each."""
    losses = class_losses(output, target, masks)
    return losses, confidence.per_class(output, target, masks), masks.detach().amax(dim=(2, 3)) > 0


def confidence_guided(
    confidence: ConfidenceNet,
    output: Tensor,
    target: Tensor,
    masks: Tensor,
    lam: float,
    *,
    weights: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """L_c with the confidence that CN predicts (section III-E).

    The gradient reaches the deblurring network through L_i and, as the paper has it, through CN as well; CN
    learns from the same loss.

    Returns the loss and, detached, the mean confidence and L1 loss of each class, over the images that show
    it (over all, where none does): `confidence_skin`, `l1_skin`, ...
    """
    losses, log_confidence, shown = class_confidence(confidence, output, target, masks)
    shown = shown | ~shown.any(dim=0)
    trace: dict[str, Tensor] = {}
    for name, values in (("confidence", log_confidence.exp()), ("l1", losses)):
        mean = (values.detach() * shown).sum(dim=0) / shown.sum(dim=0)
        trace |= {f"{name}_{class_name}": mean[i] for i, class_name in enumerate(CLASS_NAMES)}
    return confidence_loss(losses, log_confidence, lam, weights), trace


def gradient_difference(output: Tensor, target: Tensor) -> Tensor:
    """L1 between how strong the edges are: |difference of neighbours|, across plus down. A scalar."""
    across, down = (l1(output.diff(dim=along).abs(), target.diff(dim=along).abs()) for along in (3, 2))
    return across + down


def half_scale(output: Tensor, target: Tensor) -> Tensor:
    """L1 at half the resolution: of the means of 2x2 pixels. A scalar.

    Differs from the released code, whose network has a second, smaller output for this; ours has one.
    """
    return l1(F.avg_pool2d(output, 2), F.avg_pool2d(target, 2))


def half_scale_gradient(output: Tensor, target: Tensor) -> Tensor:
    """`gradient_difference` at half the resolution. A scalar."""
    return gradient_difference(F.avg_pool2d(output, 2), F.avg_pool2d(target, 2))


TERMS: Final[Mapping[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "gradient": gradient_difference,
    "half_scale": half_scale,
    "half_scale_gradient": half_scale_gradient,
}
"""What the released code adds to the loss of UMSN, each a function of output and target."""


def cross_entropy(logits: Tensor, classes: Tensor, known: Tensor | None = None) -> Tensor:
    """Mean cross entropy over the pixels of known class, 0 where there are none. A scalar.

    Args:
        logits: float [N, 4, H, W].
        classes: int64 [N, H, W], 0 to 3; 255 where unknown.
        known: the number of pixels to divide by, a float scalar; None: those of known class. Processes that
            train together divide by the mean number among them: so the mean of their gradients is that of
            the joint batch, wherever the unknown pixels lie.
    """
    total = F.cross_entropy(logits, classes, ignore_index=NO_CLASS, reduction="sum")
    known = (classes != NO_CLASS).sum().to(total.dtype) if known is None else known
    return total / known.where(known > 0, 1)


class Perceptual(nn.Module):
    """L_p: squared L2 distance of VGG-Face's relu1_2 features (equation 5); `vggface` says from which files.

    The mean over features, positions and images. Equation 5 has the sum of one image, 64 H W times as
    much; beside an L1 loss that is a mean, the paper's weight of 0.0002 fits the mean: an error of ten
    grey levels then weighs about as much in the one as in the other, and not a million times more.

    Computed in float32 under autocast too: bfloat16 would round inputs of up to 255 to whole grey levels.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self.features = load_vgg_face(path, "relu1_2")

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        with torch.autocast(output.device.type, enabled=False):
            return F.mse_loss(self.features(output.float()), self.features(target.float()))
