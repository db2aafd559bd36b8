"""``njit``: numba's, but what it keeps on disk is found again only by the code it was compiled from.

numba by itself keeps compiled code beside the source and looks at that one file alone, so a change in a
function called from another file goes unseen.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from filelock import FileLock
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator

from blurgen.compiling.folder import version_folder
from blurgen.compiling.sources import code_digest


def njit(*, cache: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles a function of this package on its first call, as ``numba.njit``.

    With ``cache`` the compiled code is kept for later processes, under the digest of all that it depends on
    (``code_digest``). Where no folder can be written, every process compiles for itself.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(function)
        if cache and hasattr(dispatcher, "enable_caching") and _Locator.folder_of(function) is not None:
            dispatcher._cache = _Cache(function)  # what enable_caching does, with a cache of ours
        return dispatcher

    return compiled


class _Locator(_CacheLocator):
    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        self._function, self._folder = function, folder

    @staticmethod
    def folder_of(function: Callable[..., Any]) -> Path | None:
        return version_folder(function.__module__, code_digest(function.__module__))

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _Locator | None:
        folder = cls.folder_of(py_func)
        return None if folder is None else cls(py_func, folder)

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return code_digest(self._function.__module__)

    def get_disambiguator(self) -> str:
        return str(self._function.__code__.co_firstlineno)


class _CacheImpl(CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012  (numba's)


class _Cache(FunctionCache):
    """A cache that is never the reason why something fails: what cannot be read or written is compiled."""

    _impl_class = _CacheImpl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # cut off by a crash, for instance: numba unpickles it
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        # Two processes that save at once would take the same file for two types of arguments.
        with suppress(OSError, NotImplementedError), FileLock(Path(self.cache_path) / ".lock", timeout=10):
            super().save_overload(sig, data)
