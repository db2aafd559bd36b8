"""From a blurry picture to a sharp one, in one module: what is exported."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from blurgen.errors import InputError
from umsn.nets import KERNEL_GUIDED, KernelGuided
from umsn.patches.batches import one_hot
from umsn.restore.deblur import Deblurrer

SMALLEST: Final = 16
"""Smaller pictures are not promised to work: an exported network cannot mirror them up."""

MULTIPLE: Final = 32
"""Height and width inside; a multiple of what any network here works with."""


class WholeNetwork(nn.Module):
    """Blurry pictures float32 ``[N, 3, H, W]`` in [0, 1] -> sharp ones, the same, clamped.

    S-Net and its masks are inside. H and W may be anything from ``SMALLEST`` up: the last row and column are
    repeated up to a multiple of ``MULTIPLE``, here and not in the networks, whose own way has a branch that
    an exported program cannot keep.

    Raises InputError for a network of variant ``kernel-guided``: it transforms whole pictures, window by
    window, and how many windows there are depends on the picture.
    """

    def __init__(self, deblurrer: Deblurrer) -> None:
        super().__init__()
        if isinstance(deblurrer.network, KernelGuided):
            raise InputError(
                f"{deblurrer.path} is of variant {KERNEL_GUIDED}, whose work depends on the picture's size "
                "and cannot be exported; give the checkpoint of a UMSN, or none for the one in the package."
            )
        self.network = deblurrer.network
        self.s_net = deblurrer.s_net if deblurrer.needs_masks else None

    def forward(self, blurry: Tensor) -> Tensor:
        """Return the sharp pictures."""
        height, width = blurry.shape[-2:]
        padded = _repeated(_repeated(blurry, 2), 3)
        if self.s_net is None:
            sharp = self.network(padded)
        else:
            sharp = self.network(padded, one_hot(self.s_net(padded).argmax(1)))
        return sharp[..., :height, :width].clamp(0, 1)


def exported(deblurrer: Deblurrer) -> torch.export.ExportedProgram:
    """Trace the whole network with ``torch.export``; N, H and W stay free."""
    whole = WholeNetwork(deblurrer).cpu().eval()
    batch = torch.export.Dim("N", min=1)
    height, width = (torch.export.Dim(name, min=SMALLEST) for name in ("H", "W"))
    # Sizes that are no multiples of anything, so that no equality of theirs is taken for a rule.
    example = torch.rand(2, 3, 53, 75)
    with torch.no_grad():
        return torch.export.export(
            whole,
            (example,),
            dynamic_shapes={"blurry": {0: batch, 2: height, 3: width}},
            # Rules of sizes that are always true, but not to the solver, are left to the run.
            prefer_deferred_runtime_asserts_over_guards=True,
        )


def _repeated(x: Tensor, dim: int) -> Tensor:
    """Repeat the last line along ``dim`` up to a multiple of ``MULTIPLE``."""
    size = x.shape[dim]
    lines = torch.arange((size + MULTIPLE - 1) // MULTIPLE * MULTIPLE, device=x.device)
    return x.index_select(dim, lines.clamp(max=size - 1))
