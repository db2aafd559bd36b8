"""The exceptions for what a user can put right, and naming arguments in them.

The library speaks of arguments, the command line of options. A message that names an argument has an
``Argument`` in it, which each of them writes in its own way:

>>> error = InputError("data: does not fit on the disk; use ", Argument("recipe_only", True), ".")
>>> str(error)
'data: does not fit on the disk; use recipe_only=True.'
>>> error.text(Argument.option)
'data: does not fit on the disk; use --recipe-only.'
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Argument:
    """An argument of a function, with a value for it unless that is None."""

    name: str
    value: object = None

    def __str__(self) -> str:
        return f"'{self.name}'" if self.value is None else f"{self.name}={self.value!r}"

    def option(self) -> str:
        """Return the option of the command line that is this argument."""
        no = "no-" if self.value is False else ""
        value = "" if self.value is None or isinstance(self.value, bool) else f" {self.value}"
        return f"--{no}{self.name.replace('_', '-')}{value}"


class _Message(Exception):
    """An exception whose message is made of parts: text, and arguments."""

    def __init__(self, *parts: str | Argument) -> None:
        super().__init__(*parts)

    def text(self, write: Callable[[Argument], str] = str) -> str:
        """Return the message, with each argument as ``write`` writes it."""
        return "".join(write(part) if isinstance(part, Argument) else str(part) for part in self.args)

    def __str__(self) -> str:
        return self.text()


class InputError(_Message):
    """Bad input or wrong usage; the message is one line that names the file and the remedy.

    The command lines print the message and exit with 2; no traceback is shown.

    >>> import blurgen
    >>> blurgen.open_dataset("nowhere")
    Traceback (most recent call last):
        ...
    blurgen.errors.InputError: nowhere: is no dataset ...
    """


class DiskLost(InputError):
    """A disk or file server failed, or took a file away, while something was written there."""


class ArgumentError(_Message, ValueError):
    """A value that an argument cannot have.

    >>> raise ArgumentError(Argument("count"), " must be at least 1, not 0.")
    Traceback (most recent call last):
        ...
    blurgen.errors.ArgumentError: Argument 'count' must be at least 1, not 0.
    """

    def __str__(self) -> str:
        return f"Argument {self.text()}"


def check_range(name: str, value: float, least: float, most: float | None = None) -> None:
    """Raise ArgumentError unless ``least <= value <= most``; without ``most``, unless ``least <= value``.

    >>> check_range("count", 0, 1)
    Traceback (most recent call last):
        ...
    blurgen.errors.ArgumentError: Argument 'count' must be at least 1, not 0.
    """
    if most is None:
        is_inside, wanted = value >= least, f"at least {least}"
    else:
        is_inside, wanted = least <= value <= most, f"from {least} to {most}"
    if not is_inside:
        raise ArgumentError(Argument(name), f" must be {wanted}, not {value}.")


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise ArgumentError unless ``value`` is one of ``choices``.

    >>> check_choice("border", "black", ["real", "mirrored"])
    Traceback (most recent call last):
        ...
    blurgen.errors.ArgumentError: Argument 'border' must be one of real, mirrored, not 'black'.
    """
    names = list(choices)
    if value not in names:
        raise ArgumentError(Argument(name), f" must be one of {', '.join(names)}, not {value!r}.")


def check_seed(seed: int) -> None:
    """Raise ArgumentError unless ``seed`` is from 0 to 2**64 - 1."""
    if not 0 <= seed < 2**64:
        raise ArgumentError(Argument("seed"), f" must be from 0 to 2**64 - 1, not {seed}.")
