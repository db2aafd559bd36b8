"""A gyroscope's log becomes the kernels of a picture taken while it ran."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from blurgen.errors import InputError
from blurgen.kernels.bank import KernelBank
from blurgen.kernels.gyroscope import import_gyroscope
from blurgen.kernels.statistics import center_offsets
from blurgen_cli.kernels import import_kernels


def write_log(path, rates, step=0.005, start=0.0, unit=1.0, separator=",", heading="time,wx,wy,wz"):
    lines = [heading] if heading else []
    for n, rate in enumerate(rates):
        lines.append(separator.join(map(repr, [(start + n * step) / unit, *map(float, rate)])))
    path.write_text("\n".join(lines) + "\n")
    return path


def spread(kernel):
    """Return the standard deviations (x, y) of a kernel, and its covariance, in pixels."""
    weights = kernel.astype(float) / 32768
    y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
    return np.sqrt((weights * x * x).sum()), np.sqrt((weights * y * y).sum()), (weights * x * y).sum()


def test_turning_evenly_about_the_upright_draws_a_level_line(tmp_path):
    log = write_log(tmp_path / "log.csv", [(0, 0.2, 5.0)] * 41)
    bank = import_gyroscope(log, focal_length=1000, exposure=0.05)
    assert len(bank) == 4
    for i in range(4):
        along, across, _ = spread(bank.kernel(i))
        assert along == pytest.approx(0.2 * 0.05 * 1000 / np.sqrt(12), rel=0.02)  # 10 pixels, even
        assert across < 1e-6
    assert np.abs(center_offsets(bank.weights)).max() < 0.01
    assert set(bank.sizes) == {11}


@pytest.mark.parametrize("axes", ["android", "camera"])
def test_a_bend_is_drawn_the_way_the_picture_moves(tmp_path, axes):
    # First the view turns right, and the picture runs left; then the view turns up, and the picture down.
    right, up = ((0, -0.2, 0), (0.2, 0, 0)) if axes == "android" else ((0, 0.2, 0), (0.2, 0, 0))
    log = write_log(tmp_path / "log.csv", [right] * 10 + [up] * 11)
    kernel = import_gyroscope(log, focal_length=1000, exposure=0.1, axes=axes).kernel(0)
    assert len(kernel) > 10
    total = kernel.astype(int)
    top, left = np.argwhere(total).min(axis=0)
    bottom, _ = np.argwhere(total).max(axis=0)
    horizontal = total[top : top + 2].sum()  # drawn first, above
    vertical = total[:, left : left + 2].sum()  # drawn then, to the left
    assert horizontal > 13000
    assert vertical > 13000
    assert bottom - top > 8


def test_the_same_log_in_other_clothes_gives_the_same_kernels(tmp_path):
    rates = np.random.default_rng(0).normal(0, 0.3, (101, 3))
    plain = import_gyroscope(write_log(tmp_path / "a.csv", rates), focal_length=800, exposure=0.1)
    others = [
        import_gyroscope(
            write_log(tmp_path / "b.csv", rates, unit=1e-9, start=1e5),
            focal_length=800,
            exposure=0.1,
            time_unit="ns",
        ),
        import_gyroscope(
            write_log(tmp_path / "c.txt", rates, separator=";", heading="# a log"),
            focal_length=800,
            exposure=0.1,
        ),
        import_gyroscope(
            write_log(tmp_path / "d.csv", np.column_stack((rates, rates)), heading=None, separator="\t"),
            focal_length=800,
            exposure=0.1,
        ),
    ]
    assert len(plain) == 5
    for other in others:
        assert np.abs(other.weights.astype(int) - plain.weights).max() <= 3


def test_a_camera_that_kept_still_gives_a_point(tmp_path):
    bank = import_gyroscope(write_log(tmp_path / "log.csv", [(0, 0, 0)] * 21), focal_length=800, exposure=0.1)
    assert bank.kernel(0)[1, 1] == 32768


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has 0 lines of numbers, expected 2"),
        ("time,wx,wy,wz\n0,1,1,1\n", "has 1 lines of numbers"),
        ("0,1,1\n1,1,1\n", "is no log of time, wx, wy, wz"),
        ("0,1,1,1\nx,1,1,1\n", "is no log of time, wx, wy, wz"),
        ("0,1,1,1\n1,1,nan,1\n", "holds a number that is not finite"),
        ("0,1,1,1\n1,1,1e999,1\n", "holds a number that is not finite"),
        ("0,1,1,1\n0,1,1,1\n", "time does not go on from one line to the next"),
        ("0,0,0,0\n0.01,0,0,0\n", "less than an exposure"),
        ("0,0,0,0\n1e9,0,0,0\n", "exposures; 16,384 are the most"),
        ("0,9,0,0\n1,9,0,0\n", "give a shorter exposure or a smaller focal length"),
        ("0,1e308,0,0\n1,1e308,0,0\n", "turns faster than 1000 radians a second"),
    ],
)
def test_what_is_no_log_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        import_gyroscope(path, focal_length=1000, exposure=0.1)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_are_no_log(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"\xff\xfe\x00\x01" * 9)
    with pytest.raises(InputError, match="is no text"):
        import_gyroscope(path, focal_length=1000, exposure=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"focal_length": 0}, "'focal_length' must be from 1 to 1000000"),
        ({"exposure": float("nan")}, "'exposure' must be from 1e-05 to 100"),
        ({"axes": "moon"}, "'axes' must be one of android, camera"),
        ({"time_unit": "h"}, "'time_unit' must be one of s, ms, us, ns"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        import_gyroscope(tmp_path / "log.csv", **({"focal_length": 1000, "exposure": 0.1} | change))


def test_the_command_writes_a_bank(tmp_path):
    rates = np.random.default_rng(0).normal(0, 0.3, (101, 3))
    log, out = write_log(tmp_path / "log.csv", rates), tmp_path / "k.h5"
    words = [str(log), "--out", str(out), "--focal-length", "800", "--exposure", "0.1"]
    done = CliRunner().invoke(import_kernels, words)
    assert done.exit_code == 0, done.output
    assert "5 kernels" in done.output
    assert KernelBank.load(out).made_with["exposure"] == 0.1
    done = CliRunner().invoke(import_kernels, words[:3])
    assert done.exit_code == 2
    assert "give --focal-length and --exposure" in done.output
    done = CliRunner().invoke(import_kernels, ["k.mat", *words[1:]])
    assert done.exit_code == 2
    assert "are for the .csv log" in done.output
