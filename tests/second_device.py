"""A second device for a machine that has none: tensors that say they are on "meta", keep their numbers, and refuse to
meet tensors of the CPU as those of a GPU do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

aten = torch.ops.aten
CROSSING = {aten._to_copy.default, aten.copy_.default, aten._local_scalar_dense.default}
"""What may be given tensors of both."""
INDEXING = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default}
"""What takes indices that lie on the CPU, as on a GPU."""


class Elsewhere(torch.Tensor):
    """A tensor there. held: its numbers."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor, requires_grad: bool = False, **_: Any) -> Elsewhere:
        if isinstance(held, Elsewhere):  # as a loader of weights makes it anew
            return held
        options: dict[str, Any] = {"strides": held.stride(), "dtype": held.dtype, "device": "meta"}
        made = torch.Tensor._make_wrapper_subclass(cls, held.shape, **options)  # pyright: ignore[reportAttributeAccessIssue]
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Dispatched(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _FromNumbers(TorchFunctionMode):
    """`torch.tensor([...], device="meta")` would hold no numbers: they are brought there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor, torch.asarray) and kwargs.get("device") is not None:
            device = kwargs.pop("device")
            return func(*args, **kwargs).to(device)
        return func(*args, **kwargs)


@contextmanager
def second_device() -> Iterator[None]:
    """Inside, `.to("meta")` and `torch.zeros(..., device="meta")` make tensors of that device."""
    with _FromNumbers(), _Dispatched():
        yield


def networks_there(monkeypatch: Any) -> None:
    """From now on networks of `load(..., device="meta")` are read on the CPU, for which their loaders use "meta"
    themselves, and put there as they are."""
    from sfumato.formats.parts import Parts

    put = Parts._put

    def moved(self: Parts, *options: Any) -> None:
        with second_device():
            put(self, *options)

    monkeypatch.setattr(Parts, "_put", moved)


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    given, spec = tree_flatten((args, kwargs))
    tensors = [each for each in given if isinstance(each, torch.Tensor)]
    there = {id(each.held): each for each in tensors if isinstance(each, Elsewhere)}
    here = [each for each in tensors if not isinstance(each, Elsewhere) and each.ndim]
    wanted = kwargs.get("device")
    goes = wanted is not None and torch.device(wanted).type == "meta"
    comes = wanted is not None and not goes
    if there and here and func not in CROSSING and not (func in INDEXING and isinstance(args[0], Elsewhere)):
        raise RuntimeError(f"{func}: tensors of two devices, {[tuple(each.shape) for each in here]} are on the CPU")
    args, kwargs = tree_unflatten([each.held if isinstance(each, Elsewhere) else each for each in given], spec)
    if goes:
        kwargs["device"] = "cpu"
    answer = func(*args, **kwargs)
    if func is aten.copy_.default:
        return given[0]
    if comes or not (there or goes):
        return answer

    def wrapped(each: Any) -> Any:
        return there.get(id(each), Elsewhere(each)) if isinstance(each, torch.Tensor) else each

    return tree_map(wrapped, answer)
