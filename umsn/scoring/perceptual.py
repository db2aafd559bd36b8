"""How alike pictures look to people: LPIPS and DISTS, as the library torchmetrics computes them.

Both compare features of networks that were trained to name objects. torchvision fetches those networks once
and keeps them where PyTorch keeps such files.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from blurgen.errors import InputError
from umsn.patches.batches import to_image
from umsn.scoring.measures import Findings, Picture
from umsn.scoring.pairs import Pair
from umsn.scoring.scores import mean
from umsn.scoring.tables import Table, csv_text, row

Compare = Callable[[Tensor, Tensor], Tensor]
"""Two pictures, float ``[1, 3, H, W]`` in 0..1, in; how different they look out, one number, 0 for equals."""

SMALLEST: Final = 64
"""Side of the smallest picture that the networks of both can see."""


@dataclass(frozen=True)
class Perceptual:
    """A score that a name of ``PERCEPTUAL`` stands for."""

    heading: str
    definition: str
    network: str
    """Name of its network's weights in ``torchvision.models``."""
    make: Callable[[], Any]


def _lpips() -> Any:
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity  # noqa: PLC0415  (an extra)

    return LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)


def _dists() -> Any:
    from torchmetrics.image.dists import DeepImageStructureAndTextureSimilarity  # noqa: PLC0415

    return DeepImageStructureAndTextureSimilarity()


PERCEPTUAL: Final = {
    "lpips": Perceptual(
        "LPIPS",
        "LPIPS: Zhang et al. 2018, version 0.1, network AlexNet, of RGB at the size the pictures have; then "
        "the mean over pictures; lower is better (torchmetrics).",
        "AlexNet_Weights",
        _lpips,
    ),
    "dists": Perceptual(
        "DISTS",
        "DISTS: Ding et al. 2020, network VGG16, of RGB at the size the pictures have; then the mean over "
        "pictures; lower is better (torchmetrics).",
        "VGG16_Weights",
        _dists,
    ),
}


def load_perceptual(name: str, device: torch.device) -> Compare:
    """Return what compares pictures by one of ``PERCEPTUAL``.

    Raises InputError when its packages are not installed or the weights of its network cannot be had.
    """
    kind = PERCEPTUAL[name]
    _have_weights(kind, _torchvision(kind.heading))
    made: Compare = kind.make().to(device)
    return made


def _torchvision(heading: str) -> Any:
    """Return torchvision, which torchmetrics needs; InputError unless both can be imported."""
    try:
        import torchmetrics  # noqa: F401, PLC0415  (an extra)
        import torchvision  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            f'{heading} needs torchmetrics and torchvision ({error}): pip install "blurgen[metrics]"'
        ) from error
    except RuntimeError as error:  # what torchvision raises beside another torch than it was built for
        raise InputError(
            f"{heading}: torchvision does not fit this torch ({error}); install both from one index, such as "
            "https://download.pytorch.org/whl/cpu."
        ) from error
    return torchvision


def _have_weights(kind: Perceptual, torchvision: Any) -> None:
    """Fetch the weights of a network unless they are there, and see that they are nothing but weights."""
    url = getattr(torchvision.models, kind.network).DEFAULT.url
    try:
        torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=True, weights_only=True, progress=False
        )
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"{kind.heading}: the weights of its network cannot be had ({reason}); put the file {url} "
            f"into {torch.hub.get_dir()}/checkpoints."
        ) from error


class PerceptualScores:
    """Scores every picture by some of ``PERCEPTUAL``; see ``load_perceptual`` for what it raises."""

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        self._compare = {name: load_perceptual(name, device) for name in names}
        self._device = device
        self._found: list[tuple[str, Pair, list[float]]] = []

    @torch.no_grad()
    def add(self, pair: Pair, restored: Mapping[str, Picture]) -> None:
        """Score one pair; InputError when it is too small."""
        if min(pair.clean.shape[:2]) < SMALLEST:
            raise InputError(f"{pair.name}: LPIPS and DISTS need at least {SMALLEST} x {SMALLEST} pixels.")
        clean = to_image(pair.clean, self._device)
        for method, picture in restored.items():
            image = to_image(picture, self._device)
            values = [float(compare(image, clean)) for compare in self._compare.values()]
            self._found.append((method, pair, values))

    def findings(self) -> Findings:
        """Return one table, a column for each score."""
        rows = []
        for method in dict.fromkeys(m for m, *_ in self._found):
            mine = [(pair.face, values) for m, pair, values in self._found if m == method]
            faces = [face for face, _ in mine]
            by_score = zip(*(values for _, values in mine), strict=True)
            rows.append(row((method,), (mean(values, faces) for values in by_score), 3))
        kinds = [PERCEPTUAL[name] for name in self._compare]
        headings = tuple(kind.heading for kind in kinds)
        table = Table("perceptual", " and ".join(headings), ("method",), headings, rows, intervals=True)
        lines = [(method, pair.name, pair.face, *values) for method, pair, values in self._found]
        records = csv_text(("method", "name", "face", *self._compare), lines)
        return Findings([table], tuple(kind.definition for kind in kinds), {"perceptual.csv": records})
