"""What a network's weights are at a call, and whether they are the same as at the last: asked at every call of a graph,
which holds weights of its own.

Noticed are another Parameter or buffer in a place; another tensor as its `.data`, as adapters put it there; whatever
PyTorch's version counters count, which is every change in place of the Parameter itself (`weight.add_()`, `copy_`, an
optimiser's step, `load_state_dict`); layers that are added, replaced, hooked or given another `forward`.

Not noticed, as nothing counts it, are numbers that change in place behind the Parameter's back: by `weight.data.add_()`
or through a numpy array of the same memory. Say `weight.add_()` under `torch.no_grad()`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from itertools import chain, repeat
from operator import attrgetter, contains, itemgetter
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sfumato.lazy import torch
from sfumato.network.engine.told import NotServed

if TYPE_CHECKING:
    from torch import Tensor, nn


class Known:
    """A long key whose hash is computed once."""

    __slots__ = ("hash", "key")

    def __init__(self, key: Hashable) -> None:
        self.key, self.hash = key, hash(key)

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Known) and self.hash == other.hash and self.key == other.key)


class Seen:
    """A network as it was when all of it was looked at. Its layers and weights are kept in flat lists, which are
    compared with those of now without a step of Python for each: a walk takes several times as long.

    low: whether its weights are bfloat16. Raises NotServed where a graph would not do as the network does.
    """

    def __init__(self, network: nn.Module) -> None:
        self.layers: list[nn.Module] = []  # without the network, of which this must not keep hold
        left = [network]
        while left:
            inner = [child for child in left.pop()._modules.values() if child is not None]
            self.layers.extend(inner)
            left.extend(inner)
        self.kept = list(map(vars, self.layers))
        kept = [vars(network), *self.kept]
        _check_layers(kept)
        self.children = _ids(kept, "_modules")
        self.places = _ids(kept, "_parameters"), _ids(kept, "_buffers")
        weights, buffers = ([each for each in _all(kept, what) if each is not None] for what in _TENSORS)
        for weight in weights:
            if weight.dtype not in (torch.float32, torch.bfloat16) or weight.device.type != "cpu":
                raise NotServed(f"its weights are {str(weight.dtype).removeprefix('torch.')} on {weight.device}")
        self.low = any(weight.dtype == torch.bfloat16 for weight in weights)
        self.weights, self.tensors = weights, [*weights, *buffers]
        self.storages = [each.detach() for each in self.tensors]  # what is held keeps its address
        self.marks = _marks(self.tensors)
        self.state = Known((*self.places, *self.marks))

    def holds(self, network: nn.Module) -> bool:
        """Whether the network is the same still."""
        kept = [vars(network), *self.kept]
        if _ids(kept, "_modules") != self.children:
            return False
        _check_layers(kept)
        places = _ids(kept, "_parameters"), _ids(kept, "_buffers")
        return places == self.places and _marks(self.tensors) == self.marks


_TENSORS = ("_parameters", "_buffers")
_SEEN: WeakKeyDictionary[nn.Module, Seen] = WeakKeyDictionary()


def looked_at(network: nn.Module) -> tuple[Hashable, bool]:
    """What a network's weights are now, as a key that is another when one is another or has changed; and whether they
    are bfloat16. Raises NotServed where a graph would not do as the network does."""
    if network.training:
        raise NotServed("it is being trained")
    seen = _SEEN.get(network)
    if seen is None or not seen.holds(network):
        seen = _SEEN[network] = Seen(network)
    if torch.is_grad_enabled() and any(map(attrgetter("requires_grad"), seen.weights)):
        raise NotServed("gradients are recorded")
    return seen.state, seen.low


def _all(kept: Iterable[dict[str, Any]], what: str) -> Iterable[Any]:
    """What the layers have of one kind, None for places that are empty."""
    return chain.from_iterable(map(dict.values, map(itemgetter(what), kept)))


def _ids(kept: Iterable[dict[str, Any]], what: str) -> tuple[int, ...]:
    return tuple(map(id, _all(kept, what)))


def _marks(tensors: list[Tensor]) -> tuple[tuple[int, ...], ...]:
    return tuple(map(attrgetter("_version"), tensors)), tuple(map(torch.Tensor.data_ptr, tensors))


def _check_layers(kept: list[dict[str, Any]]) -> None:
    if any(map(contains, kept, repeat("forward"))):
        raise NotServed("one of its layers is replaced, as learned words and hypernetworks do")
    for what in ("_forward_hooks", "_forward_pre_hooks"):
        if any(map(itemgetter(what), kept)) and any(_acts(hook) for each in kept for hook in each[what].values()):
            raise NotServed("one of its layers has a hook")


def _acts(hook: Any) -> bool:
    """Whether a hook acts in this call: those of directives act in the call that set them, and none has set any."""
    return getattr(hook, "__module__", "") != "sfumato.network.attention_directives"
