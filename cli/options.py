"""Options that several commands share."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from blurgen.limits import LARGEST_PATCH, MOST_NOISE, SMALLEST_PATCH

PATH = click.Path(path_type=Path)

Decorator = Callable[[Any], Any]


def choice(flag: str, names: Sequence[str], help: str, default: str | None = None) -> Decorator:
    """Return an option whose value is one of ``names``."""
    return click.option(flag, type=click.Choice(names), default=default, help=help)


class Worded(click.Option):
    """An option whose default is said in words of its own, which click would put in brackets once more."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option and what is said of it."""
        record = super().get_help_record(ctx)
        if record is None or not isinstance(self.show_default, str):
            return record
        flags, text = record
        return flags, text.replace(f"[default: ({self.show_default})", f"[default: {self.show_default}")


def _number(number: float) -> str:
    """Write a limit as people do."""
    if number == 2**64 - 1:
        return "2^64 - 1"
    return f"{number:,}" if isinstance(number, int) else f"{number:,.6f}".rstrip("0").rstrip(".")


def _between(low: Any, high: Any, low_open: bool, high_open: bool) -> str:
    """Say which numbers will do."""
    above = "" if low is None else f"{'above ' if low_open else ''}{_number(low)}"
    if high is None:
        return above if low_open else f"{above} or more"
    below = f"{'below ' if high_open else ''}{_number(high)}"
    return f"{above} to {below}" if above else f"up to {below}"


class Whole(click.IntRange):
    """A whole number of a range that people can read."""

    def _describe_range(self) -> str:
        return _between(self.min, self.max, self.min_open, self.max_open)


class FiniteRange(click.FloatRange):
    """A number of a range, which infinity and "not a number" are in none of."""

    def _describe_range(self) -> str:
        return _between(self.min, self.max, self.min_open, self.max_open)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not math.isfinite(click.FLOAT.convert(value, param, ctx)):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return super().convert(value, param, ctx)


class Pair(click.ParamType):
    """``A:B``: two whole numbers, such as ``example``; A below B where they are ``ascending``."""

    name = "A:B"

    def __init__(self, example: str, ascending: bool = False) -> None:
        self.example, self.ascending = example, ascending

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        first, _, last = value.partition(":")
        is_pair = first.isdecimal() and last.isdecimal()
        if not is_pair or (self.ascending and int(first) >= int(last)):
            order = " with A below B" if self.ascending else ""
            self.fail(f"{value!r} must be A:B{order}, such as {self.example}", param, ctx)
        return int(first), int(last)


# A job of a batch system may be allowed fewer cores than the machine has.
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

JOBS = click.option(
    "--jobs",
    type=Whole(1),
    default=_CORES,
    cls=Worded,
    show_default="all cores",
    help="How many processes or threads work at once.",
)
"""How many processes or threads work; the result is the same for any number."""

SEED = click.option(
    "--seed", type=Whole(0, 2**64 - 1), default=0, help="Another seed draws other random numbers."
)

DEVICE = click.option(
    "--device", default="auto", help="Where the networks run: auto, cpu, cuda, cuda:1 or mps."
)
"""Where networks run."""

KERNELS = click.option(
    "--kernels", type=PATH, required=True, help="A kernel bank, of 'blurgen make-kernels'."
)
LABELS = click.option("--labels", metavar="DIR", help="Folder of label maps, for faces that come without.")
ALIGN = click.option(
    "--align", is_flag=True, help="Turn faces upright, onto the template of the aligned faces."
)
PATCH_SIZE = click.option(
    "--patch-size",
    type=Whole(SMALLEST_PATCH, LARGEST_PATCH),
    default=128,
    help="Side of a patch, and so of a picture, in pixels.",
)
NOISE_SIGMA = click.option(
    "--noise-sigma",
    type=FiniteRange(0, MOST_NOISE),
    cls=Worded,
    show_default="0.03",
    help="Noise as a share of full scale; 0.03 is that of the paper's training data. "
    "Not with --formation camera.",
)


def split(default: str) -> Decorator:
    """Return the option that says which part of the faces is taken."""
    about = "Which part of the faces: of Helen and CelebA their owners', else a tenth by digest is for tests."
    return choice("--split", ("all", "train", "validation", "test"), about, default)
