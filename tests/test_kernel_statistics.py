"""Statistics of kernel banks, on kernels whose numbers are known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from blurgen.kernels.bank import KernelBank, make_bank
from blurgen.kernels.statistics import as_text, center_offsets, statistics


def bank_of(*kernels):
    weights = np.stack(kernels).astype(np.uint16)
    return KernelBank(weights, np.full(len(weights), weights.shape[1], np.uint8), {"imported_from": "test"})


def line(cells):
    kernel = np.zeros((9, 9))
    for row, column in cells:
        kernel[row, column] = 32768 // len(cells)
    return kernel


HORIZONTAL = line([(4, c) for c in range(0, 8)])
VERTICAL = line([(r, 4) for r in range(0, 8)])
RISING = line([(8 - i, i) for i in range(8)])
FALLING = line([(i, i) for i in range(8)])


def test_what_is_known_of_simple_kernels():
    found = statistics(bank_of(HORIZONTAL, HORIZONTAL, HORIZONTAL))
    assert found["count"] == 3
    assert found["sizes"] == {"9": 3}
    assert found["taps"]["median"] == 8
    assert found["extent"]["max"] == 8
    assert found["peak"]["mean"] == 0.125
    assert found["center_offset"]["mean"] == 0.5
    assert found["roundness"]["max"] == 0
    assert "straightness" not in found


@pytest.mark.parametrize(
    ("kernel", "direction"), [(HORIZONTAL, 0), (RISING, 45), (VERTICAL, 90), (FALLING, 135)]
)
def test_directions_are_counted_as_on_paper(kernel, direction):
    counts = statistics(bank_of(kernel))["directions"]
    assert sum(counts) == 1
    assert counts[direction // 15] == 1


def test_centres_are_measured_right_and_down():
    kernel = np.zeros((5, 5), np.uint16)
    kernel[4, 3] = 32768
    assert center_offsets(kernel[None]).tolist() == [[1, 2]]


def test_a_made_bank_has_isotropic_directions_and_paths():
    found = statistics(make_bank(2400, samples=100, threads=2), paths=120)
    counts = np.array(found["directions"])
    assert ((counts - 200) ** 2 / 200).sum() < 33  # chi-square, 11 degrees: p < 0.001
    assert found["paths_measured"] == 120
    assert 0 < found["straightness"]["min"] < found["straightness"]["max"] < 1
    assert found["path_length"]["min"] > 10
    assert sum(found["path_length"]["histogram"]["counts"]) == 120
    assert found["center_offset"]["max"] < 0.02
    assert found["extent"]["max"] <= 29


def test_statistics_are_json_and_text():
    found = statistics(make_bank(18, samples=60))
    assert json.loads(json.dumps(found)) == found
    text = as_text(found)
    assert "18 kernels up to 29 x 29" in text
    assert "13: 2" in text
    assert "straightness" in text
    assert "straightness" not in as_text(statistics(bank_of(VERTICAL)))
