"""torch and skia, loaded when they are first used, so that methods are named and chosen without them.

    from sfumato.lazy import Tensor, torch

`Tensor` is for annotations, which nothing evaluates; where a tensor is to be told from other things, `torch.Tensor` is.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import skia as skia
    import torch as torch
    from torch import Tensor as Tensor
else:
    Tensor = Any

    class _Lazy(ModuleType):
        def __getattr__(self, name: str) -> Any:
            from importlib import import_module

            value = getattr(import_module(self.__name__), name)
            setattr(self, name, value)
            return value

    skia = _Lazy("skia")
    torch = _Lazy("torch")

__all__ = ["Tensor", "skia", "torch"]
