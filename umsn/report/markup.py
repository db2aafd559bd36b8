"""HTML and SVG put together so that no text from a file can become markup."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Final

_VOID: Final = frozenset({"img", "input", "link", "meta"})
_UNSHOWABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Markup(str):
    """Text that is markup already; ``element`` and ``join`` escape every other."""

    __slots__ = ()


Content = Markup | str | None


def element(tag: str, *content: Content, **attributes: str | int | float | bool | None) -> Markup:
    """Return an element.

    Attributes are named as in Python: ``class_`` is ``class``, ``aria_label`` is ``aria-label``. True gives
    an attribute without a value; False and None give none.
    """
    words = [tag]
    for name, value in attributes.items():
        if value is True:
            words.append(_spelled(name))
        elif value is not None and value is not False:
            words.append(f'{_spelled(name)}="{_escaped(str(value))}"')
    opening = f"<{' '.join(words)}>"
    return Markup(opening if tag in _VOID else f"{opening}{join(content)}</{tag}>")


def join(parts: Iterable[Content], between: str = "") -> Markup:
    """Return parts one after another, escaped unless they are markup."""
    texts = [part if isinstance(part, Markup) else _escaped(part) for part in parts if part is not None]
    return Markup(between.join(texts))


def _escaped(text: str) -> str:
    # Control characters and halves of surrogate pairs (undecodable file names) are no characters of a page.
    return html.escape(_UNSHOWABLE.sub("\ufffd", text))


def _spelled(name: str) -> str:
    return name.rstrip("_").replace("_", "-")
