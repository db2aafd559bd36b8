"""Blurry pictures through all methods, and what they made scored: batches for networks, threads for the rest.

Networks use all cores by themselves. All else (deconvolution, reading pictures, scores) runs in threads, in
code that does not hold Python's lock. What comes out, to the last bit, depends neither on their number nor on
who is first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

from umsn.evaluation.methods import Method, Network
from umsn.scoring.definitions import OURS, Definition
from umsn.scoring.measures import Picture
from umsn.scoring.pairs import Pair
from umsn.scoring.psnr_ssim import score_all
from umsn.scoring.scores import Score

BATCH: Final = 16
"""Pictures that go through a network together, at most."""

_BATCH_PIXELS: Final = 1 << 21  # a larger picture goes by itself
_WAITING_PIXELS: Final = 1 << 24  # of pictures that are read and not yet scored


class Restored(NamedTuple):
    """One pair, what each method made of it, and the scores of that, in the order of the methods."""

    pair: Pair
    pictures: dict[str, Picture]
    scores: list[Score]


def restore_all(
    pairs: Iterable[Pair], methods: Mapping[str, Method], jobs: int, definition: Definition = OURS
) -> Generator[Restored, None, None]:
    """Yield every pair with its results, in order; ``jobs`` threads do what is not done by networks.

    ``definition`` says what PSNR and SSIM are.

    Raises what a method raises, at its pair.
    """
    threads = ThreadPoolExecutor(jobs)
    waiting: deque[Future[Restored]] = deque()
    try:
        for group in groups(pairs):
            made = {name: m.batch(group) for name, m in methods.items() if isinstance(m, Network)}
            for number, pair in enumerate(group):
                ready = {name: pictures[number] for name, pictures in made.items()}
                waiting.append(threads.submit(_finish, pair, methods, ready, definition))
            while len(waiting) > max(jobs, _WAITING_PIXELS // group[0].blurry[..., 0].size):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)


def groups(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    """Cut a sequence of pairs into runs of pictures of one size, of at most ``BATCH`` and 2^21 pixels."""
    group: list[Pair] = []
    for pair in pairs:
        shape = pair.blurry.shape
        most = max(1, min(BATCH, _BATCH_PIXELS // (shape[0] * shape[1])))
        if group and (group[0].blurry.shape != shape or len(group) >= most):
            yield group
            group = []
        group.append(pair)
    if group:
        yield group


def _finish(
    pair: Pair, methods: Mapping[str, Method], ready: Mapping[str, Picture], definition: Definition
) -> Restored:
    pictures = {name: ready[name] if name in ready else method(pair) for name, method in methods.items()}
    return Restored(pair, pictures, score_all(pair, pictures, definition))
