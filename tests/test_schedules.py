"""The learning rate, written out."""

from __future__ import annotations

import pytest

from umsn.training.schedules import halving, may_go_on, share


def test_constant():
    assert {share("constant", i, iterations=100, epoch=7) for i in range(100)} == {1.0}


def test_cosine_goes_from_one_to_nothing():
    shares = [share("cosine", i, iterations=100, epoch=7) for i in range(100)]
    assert shares[0] == 1
    assert shares[50] == pytest.approx(0.5)
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 1e-3


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        (0, 399 / 400),
        (1, 398 / 400),
        (18, 381 / 400),
        (19, 399 / 800),  # halved, from the beginning: what the line took away is back
        (20, 398 / 800),
        (38, 399 / 1600),
    ],
)
def test_halving_at_some_epochs(epoch, expected):
    assert halving(epoch) == pytest.approx(expected, rel=1e-12)


def test_halving_is_the_released_code_walked_through():
    """Every epoch takes base / 400 off the rate; every 19th sets it to half the base before that."""
    base = rate = 2e-4
    for epoch in range(100):
        if epoch > 0 and epoch % 19 == 0:
            base = rate = base / 2
        rate -= base / 400
        assert 2e-4 * halving(epoch) == pytest.approx(rate, rel=1e-12)


def test_an_epoch_has_so_many_iterations():
    shares = [share("halving", i, iterations=10**6, epoch=3) for i in range(60)]
    assert shares[:6] == [halving(0)] * 3 + [halving(1)] * 3
    assert shares[57] == halving(19)


def test_only_what_does_not_look_at_the_end_may_go_on_beyond_it():
    assert [may_go_on(name) for name in ("constant", "cosine", "halving")] == [True, False, True]
