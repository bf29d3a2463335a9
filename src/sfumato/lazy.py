"""torch and skia, loaded when they are first used, so that methods are named and chosen without them.

from sfumato.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import skia as skia
    import torch as torch
else:

    class _Lazy(ModuleType):
        def __getattr__(self, name: str) -> Any:
            from importlib import import_module

            value = getattr(import_module(self.__name__), name)
            setattr(self, name, value)
            return value

    skia = _Lazy("skia")
    torch = _Lazy("torch")

__all__ = ["skia", "torch"]
