"""Stand-ins for weights, put in and taken out: W' = W + sum_i w_i (adapter_i(W) - W).

What is taken out again is what stood there before, the very Parameter objects: the base never changes by a bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from sfumato.adapt.families import adapted
from sfumato.adapt.layers import Change
from sfumato.adapt.origin import check_origin
from sfumato.lazy import torch
from sfumato.network.offload import at_hand
from sfumato.network.quantized import plain
from sfumato.network.spec import own_dtype
from sfumato.network.turns import changing
from sfumato.picture.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor, nn

Weight = Callable[[str, str], float]
"""(part, layer) -> how much of an adapter is in it."""
NUMBERS = ("alpha", "on_input")
_NOTHING = object()


class Swap:
    """Stand-ins, each in its place (a module's dictionary and a key of it) while a `with` lasts. No other thread calls
    one of the `networks` meanwhile: a model that is held has many users, and the adapters are those of one."""

    def __init__(
        self, places: Iterable[tuple[dict[str, Any], str, Any]] = (), networks: Iterable[nn.Module] = ()
    ) -> None:
        self.places, self.networks = list(places), list(networks)
        self._before: list[list[Any]] = []
        self._turns: list[ExitStack] = []

    def __enter__(self) -> Swap:
        turn = ExitStack()
        turn.enter_context(changing(self.networks))
        self._turns.append(turn)
        self._before.append([where.get(key, _NOTHING) for where, key, _ in self.places])
        for where, key, stand_in in self.places:
            where[key] = stand_in
        return self

    def __exit__(self, *_: object) -> None:
        with self._turns.pop():
            for (where, key, _), before in zip(reversed(self.places), reversed(self._before.pop()), strict=True):
                if before is _NOTHING:
                    del where[key]
                else:
                    where[key] = before


def stand_ins(
    networks: Mapping[str, nn.Module], adapters: Sequence[tuple[Sequence[Change], Weight]]
) -> list[tuple[dict[str, Any], str, Any]]:
    """The places of all weights and biases that adapters change, and the stand-ins. Each adapter has its changes
    and its weight in every layer; where it weighs 0 it changes nothing. Gradients go through to their tensors."""
    layers: dict[tuple[str, str], list[tuple[Change, int, float]]] = {}
    for changes, weight in adapters:
        for change in changes:
            for i, piece in enumerate(change.pieces):
                if (share := weight(change.part, piece.layer)) != 0:
                    layers.setdefault((change.part, piece.layer), []).append((change, i, share))

    @lru_cache(maxsize=16)  # the pieces of a fused layer come one after the other
    def parts(change: Change) -> list[tuple[Tensor | None, Tensor | None]]:
        return _parts(change, networks[change.part])

    places: list[tuple[dict[str, Any], str, Any]] = []
    for part, network in networks.items():
        with at_hand(network):  # weights that are offloaded are here for as long as they are read
            for (where, layer), found in layers.items():
                places += _stand_in(network.get_submodule(layer), found, parts, network) if where == part else []
    return places


def check_fit(networks: Mapping[str, nn.Module], changes: Iterable[Change], name: str) -> None:
    """Raises BadInput where the shapes of a file are not those of the layers, without a number being computed."""
    for change in changes:
        try:
            _parts(change, networks[change.part], "meta")
        except (ValueError, RuntimeError, IndexError, TypeError, ZeroDivisionError) as error:
            check_origin(change.found.tensors, networks, name)
            layer = f"{change.part}.{change.pieces[0].layer}"
            raise BadInput(f"{name} does not fit {layer}: {str(error).splitlines()[0].rstrip('.')}.") from None


def _stand_in(
    module: Any, found: Sequence[tuple[Change, int, float]], parts: Any, network: nn.Module
) -> list[tuple[dict, str, Any]]:
    """W + sum_i w_i (adapter_i(W) - W) of one layer of a network, and the same of its bias.

    A layer that is stored in float8 stands in the network's own type while it is changed: on the steps of float8, a
    sixteenth to an eighth of a number apart, most of what an adapter changes would be lost.
    """
    sums: dict[str, Tensor] = {}
    for change, i, share in found:
        for key, delta in zip(("weight", "bias"), parts(change)[i], strict=True):
            if delta is None:
                continue
            if key not in sums:
                own = getattr(module, key, None)
                sums[key] = (
                    torch.zeros(len(module.weight), device=module.weight.device)
                    if own is None
                    else plain(own).to(torch.float32, copy=True)
                )
            sums[key][change.pieces[i].rows(len(module.weight))] += share * delta
    dtype = getattr(module, "compute_dtype", None) or module.weight.dtype
    if dtype != torch.float8_e4m3fn:
        return [(module._parameters, key, _weight(value.to(dtype))) for key, value in sums.items()]
    for key in ("weight", "bias"):
        if key not in sums and (own := getattr(module, key, None)) is not None:
            sums[key] = own
    stands = [(module._parameters, key, _weight(value.to(own_dtype(network)))) for key, value in sums.items()]
    return [*stands, (vars(module), "forward", partial(type(module).forward, module))]  # which nothing casts back


def _weight(value: Tensor) -> Tensor:
    """What a module takes for a weight; one that gradients are to go through is taken as it is."""
    return value if value.requires_grad else torch.nn.Parameter(value, requires_grad=False)


def _parts(change: Change, network: nn.Module, device: str | None = None) -> list[tuple[Tensor | None, Tensor | None]]:
    """The change of weight and bias for each of its pieces, computed where the weights are, or on `device`."""
    modules: list[Any] = [network.get_submodule(piece.layer) for piece in change.pieces]
    rows = [piece.rows(len(module.weight)) for piece, module in zip(change.pieces, modules, strict=True)]
    weights = [plain(module.weight.to(device))[each].float() for module, each in zip(modules, rows, strict=True)]
    whole = weights[0] if len(weights) == 1 else torch.cat(weights)
    tensors = {key: each if key in NUMBERS else each.to(whole.device) for key, each in change.tensors.items()}
    delta, bias = adapted(change.family, tensors, whole), change.family.bias(tensors, None)
    if bias is not None and bias.numel() != len(whole):
        raise ValueError(f"it changes a bias of {bias.numel()}, and the layer has {len(whole)} outputs")
    sizes = [len(weight) for weight in weights]
    deltas = [None] * len(sizes) if delta is None else list(delta.split(sizes))
    biases = [None] * len(sizes) if bias is None else list(bias.flatten().split(sizes))
    return list(zip(deltas, biases, strict=True))
