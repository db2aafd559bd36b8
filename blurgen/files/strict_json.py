"""Reading JSON that others wrote: exactly the fields that belong there, within bounds, or InputError."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from blurgen.errors import InputError
from blurgen.files.bounded import read_bounded

_MOST_BYTES = 64 << 20
_MOST_VALUES = 1 << 22  # of all kinds: an empty list of two bytes takes thirty times as much memory


def load_json(path: Path) -> Any:
    """Return what the JSON file ``path`` holds; InputError when it is missing, huge or not JSON."""
    return parse_json(read_bounded(path, _MOST_BYTES), str(path))


def parse_json(text: bytes, where: str) -> Any:
    """Return the value of JSON that others wrote; InputError, which begins with ``where``, when it is none.

    How many values it may hold is counted before any is made.
    """
    if sum(map(text.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise InputError(f"{where}: holds more than {_MOST_VALUES:,} values; this is no file of ours.")
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not valid JSON ({error}); the file is damaged.") from None


def fields(
    value: object, where: str, names: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return ``value`` if it is an object with exactly the keys ``names``, and maybe some of ``optional``."""
    if not isinstance(value, dict):
        raise InputError(f"{where}: must be an object, not {_short(value)}.")
    for missing in sorted(set(names) - value.keys()):
        raise InputError(f"{where}: '{missing}' is missing.")
    for unknown in sorted(value.keys() - {*names, *optional}):
        raise InputError(f"{where}: {_short(unknown)} is unknown; was this made by a newer version?")
    return value


def whole(value: object, where: str, low: int, high: int) -> int:
    """Return ``value`` if it is a whole number from ``low`` to ``high``; true and 1.0 are none."""
    if type(value) is not int or not low <= value <= high:
        raise InputError(f"{where}: must be a whole number from {low} to {high}, not {_short(value)}.")
    return value


def flag(value: object, where: str) -> bool:
    """Return ``value`` if it is true or false."""
    if not isinstance(value, bool):
        raise InputError(f"{where}: must be true or false, not {_short(value)}.")
    return value


def span(value: object, where: str, high: int) -> tuple[int, int]:
    """Return ``value`` if it is ``[first, end]`` with ``0 <= first <= end <= high``."""
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"{where}: must be [first, end], not {_short(value)}.")
    first = whole(value[0], where, 0, high)
    return first, whole(value[1], where, first, high)


def items(value: object, where: str) -> list[Any]:
    """Return ``value`` if it is a list."""
    if not isinstance(value, list):
        raise InputError(f"{where}: must be a list, not {_short(value)}.")
    return value


def digest(value: object, where: str) -> str:
    """Return ``value`` if it is a digest: 32 lower-case hexadecimal digits."""
    if not isinstance(value, str) or len(value) != 32 or set(value) - set("0123456789abcdef"):
        raise InputError(f"{where}: must be 32 hexadecimal digits, not {_short(value)}.")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
