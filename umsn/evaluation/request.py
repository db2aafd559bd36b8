"""What an evaluation is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from blurgen.errors import Argument, InputError
from umsn.scoring.definitions import OURS, Definition
from umsn.scoring.embedder import InputFormat


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
