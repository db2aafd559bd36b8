"""Tables VII and VIII: confidence as training logged it, and as its network sees the pictures of a test."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from umsn.nets.confidence import ConfidenceNet, ConfidenceNetConfig
from umsn.scoring.confidence import Confidence, ConfidenceScores, trace
from umsn.scoring.pairs import Pair

CPU = torch.device("cpu")


def line(iteration, *values):
    names = ("background", "skin", "features", "hair")
    return {"stage": "umsn", "iteration": iteration} | {
        f"confidence_{name}": value for name, value in zip(names, values, strict=True)
    }


def test_the_trace_shows_moments_of_the_training_and_records_all_of_it():
    lines = [line(i, 0.5, 0.6, i / 100_000, 0.8) for i in range(100, 100_001, 100)]
    found = trace(lines, "UMSN")
    (table,) = found.tables
    assert [row.labels[0] for row in table.rows] == ["3000", "10000", "25000", "50000", "75000", "100000"]
    assert [row.cells[2].mean.value for row in table.rows] == [0.03, 0.1, 0.25, 0.5, 0.75, 1]
    assert table.markdown().splitlines()[4] == "| 3000 | 0.500 | 0.600 | 0.030 | 0.800 |"
    records = found.records["confidence-training.csv"].splitlines()
    assert len(records) == 1001 and records[0] == "iteration,background,skin,features,hair"


def test_a_short_training_shows_each_line_once():
    (table,) = trace([line(20, 0.1, 0.1, 0.1, 0.1), line(40, 0.2, None, 0.2, 0.2)], "UMSN").tables
    assert [row.labels[0] for row in table.rows] == ["20", "40"]
    assert table.rows[1].cells[1].text(False) == "-"


def test_a_training_without_confidence_has_no_trace():
    assert trace([{"stage": "bnet", "iteration": 20, "l1": 0.1}], "B-Net").tables == []
    assert trace([], "B-Net").tables == []


@pytest.fixture
def network():
    torch.manual_seed(0)
    return ConfidenceNet(ConfidenceNetConfig(width=4)).eval()


def make_pair(name, labels, size, error):
    clean = np.full((24, 24, 3), 100, np.uint8)
    return Pair(name, name, clean + np.uint8(error), clean, labels, size)


def test_confidence_is_by_class_and_kernel_size(network):
    labels = np.zeros((24, 24), np.uint8)
    labels[:12] = 10
    scores = ConfidenceScores(Confidence(network, None, CPU), "UMSN")
    pairs = [make_pair("a", labels, 27, 90), make_pair("b", labels, 13, 3), make_pair("c", labels, 13, 6)]
    for pair in pairs:
        scores.add(pair, {"UMSN": pair.blurry})
    found = scores.findings()
    (table,) = found.tables
    values = {row.labels[0]: [cell.mean.value for cell in row.cells] for row in table.rows}
    assert list(values) == ["13 x 13", "27 x 27", "all"]
    for name in ("13 x 13", "27 x 27", "all"):
        assert math.isnan(values[name][1]) and math.isnan(values[name][2])
    # Freshly made, the network is less sure of a larger error.
    assert values["27 x 27"][0] < values["13 x 13"][0] <= 1
    assert values["all"][3] == pytest.approx((values["27 x 27"][3] + 2 * values["13 x 13"][3]) / 3)
    assert len(found.records["confidence-kernels.csv"].splitlines()) == 4


def test_it_is_the_network_s_answer_for_the_masked_pictures(network):
    labels = np.zeros((24, 24), np.uint8)
    labels[5:20, 5:20] = 1
    pair = make_pair("a", labels, None, 40)
    scores = ConfidenceScores(Confidence(network, None, CPU), "UMSN")
    scores.add(pair, {"UMSN": pair.blurry})
    (row,) = scores.findings().tables[0].rows
    mask = torch.from_numpy(labels == 1)[None, None]
    images = [
        torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255 * mask for p in (pair.blurry, pair.clean)
    ]
    with torch.no_grad():
        assert row.cells[1].mean.value == pytest.approx(float(network(*images)), rel=1e-5)


def test_masks_may_come_from_a_segmenter(network):
    features = Confidence(network, lambda picture: np.full(picture.shape[:2], 6, np.uint8), CPU)
    scores = ConfidenceScores(features, "UMSN")
    pair = make_pair("a", None, 13, 9)
    scores.add(pair, {"UMSN": pair.blurry})
    cells = scores.findings().tables[0].rows[0].cells
    assert [math.isnan(cell.mean.value) for cell in cells] == [True, True, False, True]


def test_without_masks_there_is_no_table(network):
    scores = ConfidenceScores(Confidence(network, None, CPU), "UMSN")
    pair = make_pair("a", None, 13, 9)
    scores.add(pair, {"UMSN": pair.blurry})
    assert scores.findings().tables == []
