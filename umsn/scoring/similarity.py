"""The sum behind structural similarity, compiled: a test set asks for it tens of thousands of times."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurgen.compiling.njit import njit


@njit(cache=True, nogil=True, error_model="numpy")
def mean_similarity(
    image: NDArray[Any],
    truth: NDArray[Any],
    weights: NDArray[np.float64],
    c1: float,
    c2: float,
    correction: float,
) -> float:
    """Return the mean of Wang et al. 2004, Eq. 13, over all windows inside, and over the channels.

    ``image`` and ``truth`` are ``[H, W, C]``; ``weights`` ``[n]`` sum to 1: a window's are their outer
    product. Variances and covariance are multiplied by ``correction``: 1 gives population statistics. Sums go
    along columns first and are always in the same order.
    """
    height, width, channels = image.shape
    size = len(weights)
    values = width * channels
    flat_image, flat_truth = image.reshape(height, values), truth.reshape(height, values)
    # Sums down the columns of x, y, x^2, y^2 and xy.
    down = np.empty((5, values))
    inside = (width - size + 1) * channels
    total = 0.0
    for top in range(height - size + 1):
        down[:] = 0.0
        for i in range(size):
            weight = weights[i]
            for k in range(values):
                x = np.float64(flat_image[top + i, k])
                y = np.float64(flat_truth[top + i, k])
                down[0, k] += weight * x
                down[1, k] += weight * y
                down[2, k] += weight * (x * x)
                down[3, k] += weight * (y * y)
                down[4, k] += weight * (x * y)
        across = np.zeros((5, inside))
        for j in range(size):
            weight = weights[j]
            for m in range(5):
                for k in range(inside):
                    across[m, k] += weight * down[m, k + j * channels]
        for k in range(inside):
            mean_x, mean_y = across[0, k], across[1, k]
            squares, product = mean_x * mean_x + mean_y * mean_y, mean_x * mean_y
            variances = correction * (across[2, k] + across[3, k] - squares)
            covariance = correction * (across[4, k] - product)
            total += ((2 * product + c1) * (2 * covariance + c2)) / ((squares + c1) * (variances + c2))
    return total / ((height - size + 1) * inside)
