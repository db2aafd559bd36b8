"""Eleven face labels, four semantic classes, and other datasets' labels translated to ours.

The label map is Helen's (Smith et al., "Exemplar-based face parsing", CVPR 2013); the grouping into
four classes is that of the paper, section III.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError


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

LABEL_VALUES: Final = tuple(int(label) for label in Label)
"""Every value a label map may hold."""

LAPA: Final[Mapping[int, Label]] = {int(label): label for label in Label if label != Label.UNKNOWN}
"""LaPa (Liu et al., AAAI 2020) numbers the same eleven labels as we do."""

FACESYNTHETICS: Final[Mapping[int, Label]] = {
    0: Label.BACKGROUND,
    1: Label.SKIN,
    2: Label.NOSE,
    3: Label.LEFT_EYE,
    4: Label.RIGHT_EYE,
    5: Label.LEFT_EYEBROW,
    6: Label.RIGHT_EYEBROW,
    7: Label.BACKGROUND,  # ears
    8: Label.BACKGROUND,
    9: Label.INNER_MOUTH,
    10: Label.UPPER_LIP,
    11: Label.LOWER_LIP,
    12: Label.BACKGROUND,  # neck
    13: Label.HAIR,
    14: Label.SKIN,  # beard
    15: Label.BACKGROUND,  # clothing
    16: Label.BACKGROUND,  # glasses
    17: Label.BACKGROUND,  # headwear
    18: Label.BACKGROUND,  # facewear
    255: Label.UNKNOWN,
}
"""FaceSynthetics (Wood et al., ICCV 2021).

Its README calls 3 "right eye" and 5 "right brow", but means the right of the picture: in the renders
they lie on the viewer's right, which is the person's left.
"""

CELEBAMASK_HQ: Final[Mapping[str, Label]] = {
    "skin": Label.SKIN,
    "nose": Label.NOSE,
    "eye_g": Label.BACKGROUND,  # glasses; eyes that show through them come later
    "l_eye": Label.LEFT_EYE,
    "r_eye": Label.RIGHT_EYE,
    "l_brow": Label.LEFT_EYEBROW,
    "r_brow": Label.RIGHT_EYEBROW,
    "l_ear": Label.BACKGROUND,
    "r_ear": Label.BACKGROUND,
    "mouth": Label.INNER_MOUTH,
    "u_lip": Label.UPPER_LIP,
    "l_lip": Label.LOWER_LIP,
    "hair": Label.HAIR,
    "hat": Label.BACKGROUND,
    "ear_r": Label.BACKGROUND,  # earring
    "neck_l": Label.BACKGROUND,  # necklace
    "neck": Label.BACKGROUND,
    "cloth": Label.BACKGROUND,
}
"""Parts of CelebAMask-HQ (Lee et al., CVPR 2020) in the order its authors paint them, later over earlier."""


def translate(labels: NDArray[np.uint8], table: Mapping[int, Label], name: str) -> NDArray[np.uint8]:
    """Return ``labels`` (uint8, any shape) in our numbering; InputError naming a value ``table`` lacks."""
    wrong = np.setdiff1d(labels, list(table))
    if wrong.size:
        raise InputError(f"{name} holds the value {wrong[0]}, which this dataset does not have.")
    lookup = np.zeros(256, np.uint8)
    for value, label in table.items():
        lookup[value] = label
    return lookup[labels]
