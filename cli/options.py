"""Options that several commands share."""

from __future__ import annotations

import os

import click

# A job of a batch system may be allowed fewer cores than the machine has.
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

JOBS = click.option(
    "--jobs", type=click.IntRange(1), default=_CORES, show_default="all cores", help="How many work at once."
)
"""How many processes or threads work; the result is the same for any number."""
