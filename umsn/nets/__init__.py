"""The paper's networks (section III, Appendix A) and ours, one file each; ``registry`` builds them by name.

In: images float [N, 3, H, W] in [0, 1], H and W from 2 up; masks float [N, 4, H, W], one-hot, all zero where
the class is unknown. Out: images that are not clamped, or logits of classes.
"""

from __future__ import annotations

from umsn.nets.base import BNet
from umsn.nets.confidence import ConfidenceNet
from umsn.nets.kernel_estimator import KernelEstimator
from umsn.nets.kernel_guided import KernelGuided
from umsn.nets.registry import build_network, config_of, count_parameters, network_name
from umsn.nets.umsn import UMSN
from umsn.nets.variants import KERNEL_GUIDED, SIZES, VARIANTS, network_config, variant_config

__all__ = [
    "KERNEL_GUIDED",
    "SIZES",
    "UMSN",
    "VARIANTS",
    "BNet",
    "ConfidenceNet",
    "KernelEstimator",
    "KernelGuided",
    "build_network",
    "config_of",
    "count_parameters",
    "network_config",
    "network_name",
    "variant_config",
]
