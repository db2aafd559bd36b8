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

from collections.abc import Callable
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
