"""Eleven face labels, four semantic classes, and other datasets' labels translated to ours.

The label map is Helen's (Smith et al., "Exemplar-based face parsing", CVPR 2013); the grouping into
four classes is that of the paper, section III.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray


class Label(IntEnum):
    """What a pixel shows. Left and right are the person's own."""

    BACKGROUND = 0
    SKIN = 1
    LEFT_EYEBROW = 2
    RIGHT_EYEBROW = 3
    LEFT_EYE = 4
    RIGHT_EYE = 5
    NOSE = 6
    UPPER_LIP = 7
    INNER_MOUTH = 8
    LOWER_LIP = 9
    HAIR = 10
    UNKNOWN = 255


CLASS_NAMES: Final = ("background", "skin", "features", "hair")
"""Classes m1 to m4 of the paper, in order; code counts them from 0."""

NO_CLASS: Final = 255

CLASS_OF_LABEL: Final[NDArray[np.uint8]] = np.full(256, NO_CLASS, np.uint8)
"""uint8 [256]: class number (0 to 3) of each label, 255 where it has none."""
CLASS_OF_LABEL[Label.BACKGROUND] = 0
CLASS_OF_LABEL[Label.SKIN] = 1
CLASS_OF_LABEL[Label.LEFT_EYEBROW : Label.LOWER_LIP + 1] = 2
CLASS_OF_LABEL[Label.HAIR] = 3
CLASS_OF_LABEL.setflags(write=False)
