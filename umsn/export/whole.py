"""From a blurry picture to a sharp one, in one module: what is exported."""

from __future__ import annotations

import copy
from typing import Any, Final

import torch
from torch import Tensor, nn

from umsn.nets import KernelGuided
from umsn.nets.folded import FOLD
from umsn.nets.fourier import MATRICES
from umsn.nets.kernel_estimator import KERNEL_SIDE, WINDOW, Spectra, as_kernel
from umsn.nets.kernel_guided import MOST_WINDOWS
from umsn.nets.wiener import wiener
from umsn.patches.batches import one_hot
from umsn.restore.deblur import Deblurrer

SMALLEST: Final = 32
"""Smaller pictures are not promised to work: an exported network cannot mirror them up."""

MULTIPLE: Final = 32
"""Height and width inside; a multiple of what any network here works with."""

Program = torch.export.ExportedProgram

_FREE: Final = {
    0: torch.export.Dim("N", min=1),
    2: torch.export.Dim("H", min=SMALLEST),
    3: torch.export.Dim("W", min=SMALLEST),
}

_EXAMPLE: Final = torch.zeros(2, 3, 181, 203)
"""Its sizes are no multiples of anything, so that no equality of theirs is taken for a rule."""


class WholeNetwork(nn.Module):
    """Blurry pictures float32 ``[N, 3, H, W]`` in [0, 1] -> sharp ones, the same, clamped.

    S-Net and its masks are inside. H and W may be anything from ``SMALLEST`` up: the last row and column are
    repeated up to a multiple of ``MULTIPLE``, here and not in the networks, whose own way has a branch that
    an exported program cannot keep.
    """

    def __init__(self, deblurrer: Deblurrer) -> None:
        super().__init__()
        self.network = deblurrer.network
        self.s_net = deblurrer.s_net if deblurrer.needs_masks else None

    def forward(self, blurry: Tensor) -> Tensor:
        """Return the sharp pictures."""
        height, width = blurry.shape[-2:]
        padded = _padded(blurry)
        if self.s_net is None:
            sharp = self.network(padded)
        else:
            sharp = self.network(padded, one_hot(self.s_net(padded).argmax(1)))
        return sharp[..., :height, :width].clamp(0, 1)


class WindowsKernel(nn.Module):
    """Windows float32 ``[K, 3, 128, 128]`` of one picture -> the kernel ``[1, 29, 29]`` of them all."""

    def __init__(self, network: KernelGuided) -> None:
        super().__init__()
        self.estimator = _by_matrices(network).estimator

    def forward(self, windows: Tensor) -> Tensor:
        """Return the kernel, of sum 1, centred."""
        return self.of_each(windows[None])

    def of_each(self, windows: Tensor) -> Tensor:
        """Return the kernels ``[N, 29, 29]`` of pictures whose windows are ``[N, K, 3, 128, 128]``."""
        spectra = self.estimator.spectra(windows.flatten(0, 1))
        sizes = windows.shape[:2]
        return as_kernel(self.estimator.logits(Spectra(*(x.unflatten(0, sizes).mean(1) for x in spectra))))


class GivenKernel(nn.Module):
    """Blurry pictures ``[N, 3, H, W]`` and their kernels ``[N, 29, 29]`` -> sharp pictures, clamped."""

    def __init__(self, network: KernelGuided) -> None:
        super().__init__()
        self.network = _by_matrices(network)

    def forward(self, blurry: Tensor, kernel: Tensor) -> Tensor:
        """Return the sharp pictures."""
        height, width = blurry.shape[-2:]
        filtered = wiener(blurry, kernel, self.network.config.weights, MATRICES)
        multiple = FOLD * self.network.trunk.multiple
        sharp = self.network.refine(_padded(blurry, multiple), _padded(filtered, multiple))
        return sharp[..., :height, :width].clamp(0, 1)


class WholeKernelGuided(nn.Module):
    """As ``WholeNetwork``, for a network that estimates the kernel of each picture first."""

    def __init__(self, network: KernelGuided) -> None:
        super().__init__()
        self.find, self.restore = WindowsKernel(network), GivenKernel(network)

    def forward(self, blurry: Tensor) -> Tensor:
        """Return the sharp pictures."""
        return self.restore(blurry, self.find.of_each(window_parts(blurry)))


def window_parts(picture: Tensor) -> Tensor:
    """Cut pictures ``[N, 3, H, W]`` into windows as ``KernelGuided.kernel`` does: ``[N, K, 3, 128, 128]``."""
    rows, columns = (_places(side, picture.device) for side in picture.shape[-2:])
    parts = picture.index_select(2, rows).index_select(3, columns)
    return parts.unflatten(3, (-1, WINDOW)).unflatten(2, (-1, WINDOW)).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)


def whole(deblurrer: Deblurrer) -> nn.Module:
    """Return all that lies between blurry pictures and sharp ones, on the CPU."""
    network = deblurrer.network
    made = WholeKernelGuided(network) if isinstance(network, KernelGuided) else WholeNetwork(deblurrer)
    return made.cpu().eval()


def exported(deblurrer: Deblurrer) -> Program:
    """Trace the whole network with ``torch.export``; N, H and W stay free."""
    return _traced(whole(deblurrer), (_EXAMPLE,), (_FREE,))


def exported_parts(
    network: KernelGuided,
) -> tuple[torch.export.ExportedProgram, torch.export.ExportedProgram]:
    """Trace ``WindowsKernel`` and ``GivenKernel``: for who takes a photograph to pieces, of one kernel."""
    windows = torch.rand(5, 3, WINDOW, WINDOW)
    kernels = torch.rand(len(_EXAMPLE), KERNEL_SIDE, KERNEL_SIDE)
    return (
        _traced(WindowsKernel(network), (windows,), ({0: torch.export.Dim("K", min=1)},)),
        _traced(GivenKernel(network), (_EXAMPLE, kernels), (_FREE, {0: _FREE[0]})),
    )


def _traced(network: nn.Module, example: tuple[Tensor, ...], free: Any) -> Program:
    with torch.no_grad():
        program = torch.export.export(
            network.cpu().eval(),
            example,
            dynamic_shapes=free,
            # Rules of sizes that are always true, but not to the solver, are left to the run.
            prefer_deferred_runtime_asserts_over_guards=True,
        )
    # And there they are too strict: that one window is another matter than two holds for strides alone.
    for node in list(program.graph.nodes):
        if node.target is torch.ops.aten._assert_scalar.default:
            program.graph.erase_node(node)
    program.graph.eliminate_dead_code()
    program.graph_module.recompile()
    return program


def _by_matrices(network: KernelGuided) -> KernelGuided:
    """Return the network with transforms that can be exported; the weights are shared."""
    found = copy.copy(network)
    found._modules = dict(network._modules)
    found.estimator = copy.copy(network.estimator)
    found.estimator.fourier = MATRICES
    return found


def _places(side: Any, device: torch.device) -> Tensor:
    """Return which lines are in the windows, one window after another; the last line is repeated."""
    beyond = torch.sym_max(side, WINDOW) - WINDOW
    count = torch.sym_min(1 + (beyond + WINDOW // 2 - 1) // (WINDOW // 2), MOST_WINDOWS)
    starts = beyond * torch.arange(count, device=device) // torch.sym_max(count - 1, 1)
    lines = starts[:, None] + torch.arange(WINDOW, device=device)
    return lines.flatten().clamp(max=side - 1)


def _padded(x: Tensor, multiple: int = MULTIPLE) -> Tensor:
    """Repeat the last row and column up to multiples of a number."""
    for dim in (2, 3):
        size = x.shape[dim]
        lines = torch.arange((size + multiple - 1) // multiple * multiple, device=x.device)
        x = x.index_select(dim, lines.clamp(max=size - 1))
    return x
