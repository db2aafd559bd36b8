"""UMSN: face deblurring trained from blurgen's shards (Yasarla, Perazzi, Patel 2020)."""

from umsn._torch import require_torch

require_torch()
