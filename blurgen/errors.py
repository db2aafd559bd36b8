"""The one exception for what a user can put right."""

from __future__ import annotations


class InputError(Exception):
    """Bad input or wrong usage; the message is one line that names the file and the remedy.

    The command lines print the message and exit with 2; no traceback is shown.
    """


class DiskLost(InputError):
    """A disk or file server failed, or took a file away, while something was written there."""
