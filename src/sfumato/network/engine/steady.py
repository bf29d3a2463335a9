"""Whether a network goes the same way whatever numbers it is told, so that a graph can stand for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sfumato.lazy import Tensor, torch
from sfumato.network.engine.told import NotServed


def steady_answer(forward: Callable[..., Any], inputs: Sequence[Tensor], values: Sequence[Tensor]) -> Any:
    """The answer. Raises NotServed for a network whose way depends on the numbers that it is told: a graph has one way.

    Memory that holds what came of an input or a weight is followed from operation to operation, up to one that makes a
    number of Python or a shape of it.
    """
    from torch.multiprocessing.reductions import StorageWeakRef
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    depending = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
    told: dict[int, StorageWeakRef] = {}  # which keeps the address of memory from being given again, not the memory
    found = False

    def follow(*tensors: Any) -> None:
        for each in tensors:
            if isinstance(each, torch.Tensor):
                storage = each.untyped_storage()
                told[storage._cdata] = StorageWeakRef(storage)

    def settled(op: Any, args: Any, kwargs: Any) -> bool:
        """Whether an operation that may depend on numbers does not as it is asked here."""
        if op is torch.ops.aten.index.Tensor:  # by whole numbers, and not by what is true
            return all(each.dtype not in (torch.bool, torch.uint8) for each in args[1] if each is not None)
        return op is torch.ops.aten.repeat_interleave.Tensor and (kwargs or {}).get("output_size") is not None

    class Followed(TorchDispatchMode):
        def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal found
            given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
            given = [each for each in given if each.untyped_storage()._cdata in told]
            found = found or (bool(given) and not depending.isdisjoint(op.tags) and not settled(op, args, kwargs))
            answer = op(*args, **(kwargs or {}))
            if given:
                follow(*tree_leaves(answer))
            return answer

    follow(*inputs, *values)
    with torch.no_grad(), Followed():
        answer = forward(inputs, values)
    if found:
        raise NotServed("what it does depends on the numbers that it is told")
    return answer
