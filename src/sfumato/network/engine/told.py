"""What a network is told in one call, taken apart into tensors: the inputs of a graph, group by group of rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sfumato.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.network.attention_gates import Gates
    from sfumato.network.spec import NetworkSpec

CONSTANTS = (bool, int, float, str)
"""Inputs of these types are part of a graph; others of them ask for another graph."""


class NotServed(Exception):
    """What a graph can't be told, or a network of which there can't be one. The message goes after "as"."""


@dataclass(frozen=True)
class InputTensors:
    """One input: its tensors, all of them with a row for each row or none, and what makes the input of them again.

    alike: what is the same in all inputs that are put together in this way.
    """

    tensors: Sequence[Tensor]
    by_row: bool
    build: Callable[[Sequence[Tensor]], Any]
    alike: Hashable = ()


@dataclass(frozen=True)
class CallInputs:
    """The inputs of a call by name, of a number of rows, in groups that don't know of each other."""

    pieces: Mapping[str, InputTensors]
    rows: int
    groups: Sequence[Gates]

    @property
    def kind(self) -> Hashable:
        """The same for all whose rows one graph answers."""
        return _kind(self.pieces)

    def group(self, gates: Gates) -> GraphInputs:
        """What one group of rows is told."""
        rows = list(gates.rows)
        here = slice(rows[0], rows[-1] + 1) if rows == [*range(rows[0], rows[-1] + 1)] else rows
        pieces = {
            name: replace(piece, tensors=[each[here] for each in piece.tensors]) if piece.by_row else piece
            for name, piece in self.pieces.items()
        }
        if gates.tensors:
            pieces["directives"] = _gated(gates)
        return GraphInputs(pieces, len(gates.rows))


@dataclass(frozen=True)
class GraphInputs:
    """What a graph is told in one call."""

    pieces: Mapping[str, InputTensors]
    rows: int

    @cached_property
    def tensors(self) -> list[Tensor]:
        """The inputs of the graph in their order, floating ones in float32."""
        found = (tensor.detach() for piece in self.pieces.values() for tensor in piece.tensors)
        return [(each.float() if each.is_floating_point() else each).contiguous() for each in found]

    @property
    def kind(self) -> Hashable:
        """The same for all that one graph answers."""
        return _kind(self.pieces)

    def inputs(self, tensors: Sequence[Tensor]) -> dict[str, Any]:
        """The inputs by name, made of other tensors in their order."""
        left = iter(tensors)
        return {name: piece.build([next(left) for _ in piece.tensors]) for name, piece in self.pieces.items()}


def _kind(pieces: Mapping[str, InputTensors]) -> Hashable:
    return tuple(
        (name, piece.alike, *((tuple(each.shape), str(each.dtype)) for each in piece.tensors))
        for name, piece in pieces.items()
    )


def told(spec: NetworkSpec, given: Mapping[str, Any]) -> CallInputs:
    """The inputs that are given, taken apart. Raises NotServed where they are more than numbers on the CPU."""
    from sfumato.network.attention_gates import gates_of

    pieces = {name: _piece(spec, name, value) for name, value in given.items() if name != "directives"}
    rows = {len(each) for piece in pieces.values() if piece.by_row for each in piece.tensors}
    if len(rows) != 1 or rows == {0}:
        raise NotServed("its inputs differ in rows")
    (count,) = rows
    groups = gates_of(given.get("directives"), count)
    if isinstance(groups, str):
        raise NotServed(groups)
    return CallInputs(pieces, count, groups)


def _piece(spec: NetworkSpec, name: str, value: Any) -> InputTensors:
    from sfumato.network.residuals import Residuals

    if isinstance(value, torch.Tensor):
        _check(value)
        return InputTensors([value], spec.inputs[name].shape[:1] == ("rows",), _first)
    if isinstance(value, Residuals):
        tensors: list[Tensor] = []
        value.map(lambda each: tensors.append(each) or each)
        for each in tensors:
            _check(each)
        number = {id(each): n for n, each in enumerate(tensors)} | {id(None): -1}
        places = (value.skips, (value.middle,), value.within, value.singles)
        alike = (*(tuple(number[id(each)] for each in some) for some in places), value.pictured)
        return InputTensors(tensors, True, lambda others: value.map(_in_turn(iter(others))), alike)
    if isinstance(value, CONSTANTS) or value == ():
        return InputTensors([], False, lambda _: value, value)
    raise NotServed(f"its input {name} is a {type(value).__name__}")


def _gated(gates: Gates) -> InputTensors:
    names = list(gates.tensors)
    alike = (*names, gates.layers, gates.within)
    return InputTensors(
        list(gates.tensors.values()),
        False,
        lambda others: replace(gates, tensors=dict(zip(names, others, strict=True))),
        alike,
    )


def _in_turn(tensors: Iterator[Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda _: next(tensors)


def _first(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0]


def _check(value: Tensor) -> None:
    numbers = (torch.float32, torch.bfloat16, torch.int64, torch.bool)
    if type(value) is not torch.Tensor or value.device.type != "cpu" or value.dtype not in numbers:
        raise NotServed("it is told more than plain numbers on the CPU")
    if torch.is_grad_enabled() and value.requires_grad:
        raise NotServed("gradients are recorded")
    if torch._C._functorch.is_functorch_wrapped_tensor(value):  # pyright: ignore[reportAttributeAccessIssue]
        raise NotServed("it is transformed by torch.func")
