"""Which eye is the left one: datasets do not agree, so the face itself is asked.

Some datasets call "left" what lies left in the picture, others what is the person's own left. In a
photograph that is not mirrored, whatever lies to the viewer's right of the face, as the face stands, is
the person's own left.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blurgen.labels import Label

_PAIRS = ((Label.LEFT_EYEBROW, Label.RIGHT_EYEBROW), (Label.LEFT_EYE, Label.RIGHT_EYE))
_UPPER = (Label.LEFT_EYEBROW, Label.RIGHT_EYEBROW, Label.LEFT_EYE, Label.RIGHT_EYE)
_LOWER = (Label.UPPER_LIP, Label.INNER_MOUTH, Label.LOWER_LIP)


def own_sides(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the label map, uint8 ``[H, W]``, with left and right as the person's own.

    An eye or eyebrow without its partner is compared with the nose. Where mouth or nose are missing as
    well the sides stay as they are named.
    """
    middles = {label: middle(labels, label) for label in (*_UPPER, Label.NOSE)}
    upper, lower = middle(labels, *_UPPER), middle(labels, *_LOWER)
    lower = middles[Label.NOSE] if lower is None else lower
    if upper is None or lower is None:
        return labels
    down = lower - upper
    lookup = np.arange(256, dtype=np.uint8)
    for left, right in _PAIRS:
        first = middles[left] if middles[left] is not None else middles[Label.NOSE]
        second = middles[right] if middles[right] is not None else middles[Label.NOSE]
        if first is None or second is None:
            continue
        across = first - second
        if across[0] * down[1] - across[1] * down[0] < 0:  # "left" lies to the viewer's left
            lookup[left], lookup[right] = right, left
    return lookup[labels]


def middle(labels: NDArray[np.uint8], *wanted: Label) -> NDArray[np.float64] | None:
    """Return the centroid (x, y) of some labels together, in pixels from the corner; None if absent."""
    rows, columns = np.nonzero(np.isin(labels, wanted))
    return np.array([columns.mean(), rows.mean()]) + 0.5 if rows.size else None
