"""Options from fields: the type of a field says what values its option takes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import click
import msgspec

from blurgen_cli.options import PATH, FiniteRange, Whole


def options_of(record: type, help: dict[str, str], *, given: bool = False) -> list[click.Option]:
    """Return an option for each field of a dataclass that ``help`` has a sentence for.

    With ``given`` an option that is not given says nothing; else it says the default of the field.
    """
    kinds = get_type_hints(record, include_extras=True)
    defaults = {field.name: None if given else field.default for field in fields(record)}
    return [_option(name, kinds[name], defaults[name], text) for name, text in help.items()]


def _option(name: str, kind: Any, default: Any, text: str) -> click.Option:
    flag = f"--{name.replace('_', '-')}"
    if kind is bool:
        both = flag if default is False else f"{flag}/--no-{flag[2:]}"
        return click.Option([both], is_flag=True, default=default, help=text)
    numbers = get_args(kind) if get_origin(kind) is tuple else ()
    value = _value(numbers[0] if numbers else kind)
    return click.Option([flag], type=value, nargs=len(numbers) or 1, default=default, help=text)


def _value(kind: Any) -> click.ParamType:
    """Return what a field of a type takes: a path, a word, a number with limits, or one of the last two."""
    parts = [part for part in get_args(kind) if part is not NoneType]
    if kind is Path:
        return PATH
    if get_origin(kind) is Literal:
        return click.Choice(parts)
    if get_origin(kind) is Annotated:
        base, limits = parts
        return _number(Whole if base is int else FiniteRange, limits)
    return _value(parts[0]) if len(parts) == 1 else _OrNumber(get_args(parts[1])[0], _value(parts[0]))


def _number(kind: type[Whole] | type[FiniteRange], limits: msgspec.Meta) -> click.ParamType:
    low, high = (b if a is None else a for a, b in ((limits.ge, limits.gt), (limits.le, limits.lt)))
    return kind(low, high, min_open=limits.gt is not None, max_open=limits.lt is not None)


class _OrNumber(click.ParamType):
    """A word, or a number."""

    def __init__(self, word: str, number: click.ParamType) -> None:
        self.name, self._word, self._number = f"{word}|number", word, number

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == self._word else self._number.convert(value, param, ctx)
