"""How the learning rate goes over a training, as a share of the stage's own."""

from __future__ import annotations

import math

from umsn.training.stages import DECAY_EPOCHS, HALVED_EVERY, Schedule


def share(schedule: Schedule, iteration: int, *, iterations: int, epoch: int) -> float:
    """Return the share at one iteration, counted from 0, of ``iterations``; an epoch has ``epoch`` of them.

    ``constant`` is the paper's, ``halving`` the released code's.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return cosine(iteration, iterations)
    return halving(iteration // epoch)


def cosine(iteration: int, iterations: int) -> float:
    """Half a cosine from 1 down to 0 at the end."""
    return 0.5 * (1 + math.cos(math.pi * iteration / iterations))


def halving(epoch: int) -> float:
    """Halved every 19 epochs, and between them a straight line that would reach zero in 400 epochs.

    In the released code each halving starts anew from the halved rate, without what the line took away, and
    the line goes down at the beginning of an epoch: so its first epoch has 399/400 of the rate.
    """
    halvings, within = divmod(epoch, HALVED_EVERY)
    return 0.5**halvings * (1 - (within + 1) / DECAY_EPOCHS)


def may_go_on(schedule: Schedule) -> bool:
    """Tell whether a training may go on for longer than planned: what is done does not depend on the end."""
    return schedule != "cosine"
