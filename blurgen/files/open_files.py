"""How many files a process may hold open, which also bounds how many it may hold mapped."""

from __future__ import annotations

from typing import Final

try:
    import resource
except ImportError:  # Windows: a file that is mapped and closed counts against no limit there
    resource = None  # type: ignore[assignment]

_WITHOUT_LIMIT: Final = 1 << 16
_MACOS_MOST: Final = 10_240  # more is refused there whatever the hard limit says


def allow_open_files(wanted: int) -> int:
    """Return how many files may be open, after the soft limit was raised to ``wanted`` if it was lower.

    It is never lowered, and raised no further than the hard limit allows.
    """
    if resource is None:
        return _WITHOUT_LIMIT
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (_number(limit) for limit in limits)
    for limit in (wanted, min(wanted, _MACOS_MOST)):
        raised = min(limit, hard)
        if raised <= soft:
            break
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, limits[1]))
        except (ValueError, OSError):
            continue
        return raised
    return soft


def _number(limit: int) -> int:
    return _WITHOUT_LIMIT if resource is None or limit == resource.RLIM_INFINITY else limit
