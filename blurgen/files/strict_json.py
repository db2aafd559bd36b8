"""Reading JSON that others wrote: exactly the fields that belong there, within bounds, or InputError."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta

from blurgen.errors import Argument, ArgumentError, InputError
from blurgen.files.bounded import read_bounded
from blurgen.files.names import printable

Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
"""XXH3-128, 32 lower-case hexadecimal digits."""

_MOST_BYTES = 64 << 20
_MOST_VALUES = 1 << 22  # of all kinds: an empty list of two bytes takes thirty times as much memory
_T = TypeVar("_T")


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An object in JSON that has exactly these fields; ``convert`` makes it, and checks them."""


class Checked(Record, frozen=True):
    """A record that checks its fields however it is made. Raises ArgumentError (a ValueError)."""

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(self):
            value = checked(field.name, field.type, getattr(self, field.name))
            msgspec.structs.force_setattr(self, field.name, value)


def checked(name: str, kind: Any, value: Any) -> Any:
    """Return the value of argument ``name`` as a ``kind``. Raises ArgumentError (a ValueError)."""
    value = float(value) if isinstance(value, float) else value  # NumPy's are of another type
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        text = _text(error)
        of_words = get_origin(kind) is Literal or text.startswith("Invalid enum")
        wanted = f"must be one of {', '.join(_words(kind))}" if of_words else text
        raise ArgumentError(Argument(name), f" {wanted}, not {value!r:.60}.") from None


def _words(kind: Any) -> tuple[str, ...]:
    """Return the words among what a value may be."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(word for part in get_args(kind) for word in _words(part))


def load_json(path: Path, format_name: str, version: int) -> dict[str, Any]:
    """Return the JSON object in ``path``, which says that it is of this format and version.

    InputError when the file is missing, huge, not JSON, or of another format or version.
    """
    tree = parse_json(read_bounded(path, _MOST_BYTES), str(path))
    if tree.get("format") != format_name:
        raise InputError(f"{path}: format must be '{format_name}', not {tree.get('format')!r:.60}.")
    if (found := tree.get("version")) != version or isinstance(found, bool):
        raise InputError(f"{path}: is version {found!r:.20}; this blurgen reads version {version}.")
    return tree


def parse_json(text: bytes, where: str) -> dict[str, Any]:
    """Return the object of JSON that others wrote; InputError, which begins with ``where``, when it is none.

    How many values it may hold is counted before any is made.
    """
    if sum(map(text.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise InputError(f"{where}: holds more than {_MOST_VALUES:,} values; this is no file of ours.")
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.ValidationError:
        raise InputError(f"{where}: not a JSON object; the file is damaged.") from None
    except (msgspec.DecodeError, RecursionError, ValueError) as error:  # in msgspec 0.19 no ValueError
        raise InputError(f"{where}: not valid JSON ({error}); the file is damaged.") from None


def convert(value: object, kind: type[_T], where: str) -> _T:
    """Return JSON ``value`` as a ``kind``; InputError, which begins with ``where``, for what does not fit."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        what, _, place = _text(error).replace("`key` in ", "").partition(" - at `$")
        if isinstance(error.__cause__, ArgumentError):
            what = error.__cause__.text()
        here = f"{where}: {place[:-1].lstrip('.')}" if place else where
        raise InputError(f"{here}: {printable(what):.200}; is it damaged, or of a newer version?") from None


def _text(error: msgspec.ValidationError) -> str:
    return str(error).replace("Expected", "must be", 1)
