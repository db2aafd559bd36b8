"""What a bug report about training or deblurring needs to know: PyTorch and its devices."""

from __future__ import annotations

from typing import Any

import torch


def facts() -> dict[str, Any]:
    """Return what PyTorch finds here, JSON-able.

    Keys: ``threads``, ``bf16`` (whether the processor multiplies bfloat16 matrices itself), ``devices`` (the
    name and memory of each GPU).
    """
    devices = {"cpu": torch.backends.cpu.get_cpu_capability()}
    for i in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(i)
        devices[f"cuda:{i}"] = f"{about.name}, {about.total_memory / 2**30:.0f} GiB"
    if torch.backends.mps.is_available():
        devices["mps"] = "Apple GPU"
    return {
        "threads": torch.get_num_threads(),
        "bf16": torch.ops.mkldnn._is_mkldnn_bf16_supported(),
        "devices": devices,
    }
