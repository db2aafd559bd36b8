"""Options that several commands share."""

from __future__ import annotations

import math
import os
from typing import Any

import click

# A job of a batch system may be allowed fewer cores than the machine has.
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

JOBS = click.option(
    "--jobs", type=click.IntRange(1), default=_CORES, show_default="all cores", help="How many work at once."
)
"""How many processes or threads work; the result is the same for any number."""


class FiniteRange(click.FloatRange):
    """A number of a range, which infinity and "not a number" are in none of."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number
