"""Convolution of whole numbers on the training device, exact to the bit."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor


def blur(region: Tensor, weights: Tensor) -> Tensor:
    """Blur each picture with its own kernel, exactly: ``[n, C, S, S]`` -> int32 ``[n, C, P, P]`` in Q15.

    Both float32, whole numbers; ``weights`` ``[n, M, M]`` are turned round. All partial sums are below 2^24,
    which float32 holds exactly in any order: a convolution that only multiplies and adds is exact. cuDNN may
    choose one that does more (FFT, Winograd) or rounds its input (TF32), so PyTorch's own is taken; on the
    CPU, float64 keeps oneDNN out for the same reason.

    This runs in a background thread, beside the steps of a training. So no setting of the whole process is
    touched: cuDNN is left out by an argument of the call, and autocast, whose end empties a cache that all
    threads share, is entered only by a caller who has it on.
    """
    device = region.device.type
    kind = torch.float64 if device == "cpu" else torch.float32
    # Pictures as channels, colours as the batch: one depthwise convolution.
    pictures = region.transpose(0, 1).to(kind, memory_format=torch.contiguous_format)
    autocast_on = torch.is_autocast_enabled(device)
    with torch.autocast(device, enabled=False) if autocast_on else contextlib.nullcontext():
        blurred = _convolution_without_cudnn(pictures, weights[:, None].to(kind), groups=len(weights))
    return blurred.transpose(0, 1).int()


def _convolution_without_cudnn(x: Tensor, weight: Tensor, *, groups: int) -> Tensor:
    """Return what ``conv2d`` does with cuDNN off, which is an argument of the operator beneath it."""
    once, none = [1, 1], [0, 0]
    off: dict[str, bool] = dict.fromkeys(
        ("transposed", "benchmark", "deterministic", "cudnn_enabled", "allow_tf32"), False
    )
    return torch.ops.aten._convolution(
        x, weight, None, once, none, once, output_padding=none, groups=groups, **off
    )
