"""A1111's hypernetworks: small networks before the keys and the values of attention."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from sfumato.adapt.adapter import ALWAYS, Adapter, BoundAdapter, Place, forward_of
from sfumato.adapt.file import FileOf
from sfumato.element import Interval, Real, element
from sfumato.lazy import torch
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from torch import Tensor, nn


@element("hypernetwork")
class Hypernetwork(Adapter):
    """Keys and values of attention are made of c + weight h(c) in place of c: h is a small network for the width of c,
    one for keys and one for values. A file of A1111's web page, which is a pickle: see `open_file`.
    """

    weights_alone: ClassVar[bool] = False

    file: FileOf = Field(description="a hypernetwork's file: a path, or a file from open_file()")
    weight: Real = Field(default=1.0, ge=-10, le=10, description="a number from -10 to 10")
    interval: Interval = ALWAYS

    @classmethod
    def holds(cls, keys: Collection[str], other: Any = None) -> bool:
        return isinstance(other, dict) and any(isinstance(width, int) for width in other)

    def __mul__(self, weight: float) -> Hypernetwork:
        return replace(self, weight=self.weight * weight)

    __rmul__ = __mul__

    def bind(self, networks: Mapping[str, nn.Module]) -> BoundAdapter:
        from sfumato.adapt.read import contents

        name = printable(self.file.name, 60)
        said = contents(self.file).other
        layers = (
            {width: pair for width, pair in said.items() if isinstance(width, int)} if isinstance(said, dict) else {}
        )
        if not layers:
            raise BadInput(f"{name} is no hypernetwork: give a file of A1111's web page.")
        places = before_attention(networks, layers, said, self.weight, name) if self.weight else {}
        if self.weight and not any(places.values()):
            widths = ", ".join(map(str, layers))
            raise BadInput(f"{name} is for attention to what is {widths} wide, of which this model has none.")
        return BoundAdapter(name, places=places, interval=self.interval)


def before_attention(
    networks: Mapping[str, nn.Module], layers: Mapping[int, Any], said: Mapping[Any, Any], weight: float, name: str
) -> dict[str, list[Place]]:
    """What stands in for the keys and values of all attention whose width has a pair of small networks."""
    places: dict[str, list[Place]] = {part: [] for part in networks}
    for part, network in networks.items():
        for module in network.modules() if not part.startswith("text_encoder") else ():
            keys, values = (getattr(module, to, None) for to in ("to_k", "to_v"))
            if keys is None or values is None or (pair := layers.get(keys.in_features)) is None:
                continue
            for layer, tensors in zip((keys, values), _pair(pair, said, keys.in_features, name), strict=True):
                places[part].append((vars(layer), "forward", _before(layer, tensors, weight)))
    return places


def _pair(found: Any, said: Mapping[Any, Any], width: int, name: str) -> list[Callable[[Tensor], Tensor]]:
    """The small networks before keys and before values. BadInput for what a file says wrong of them."""
    try:
        networks = [_network(tensors, said, name) for tensors in (found[0], found[1])]
        fits = all(each(torch.zeros(1, width)).shape == (1, width) for each in networks)
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError, IndexError):
        fits = False
    if not fits:
        raise BadInput(f"{name} has networks for what is {width} wide that are cut off or of other shapes.")
    return networks


def _before(layer: nn.Module, inner: Callable[[Tensor], Tensor], weight: float) -> Callable[[Tensor], Tensor]:
    own = forward_of(layer)

    def forward(x: Tensor) -> Tensor:
        return own(x + weight * inner(x))

    return forward


def _network(tensors: Mapping[str, Any], said: Mapping[Any, Any], name: str) -> Callable[[Tensor], Tensor]:
    """h: linear layers, an activation after each (after the last unless the file says otherwise), normalisations."""
    activation = str(said.get("activation_func") or "linear").lower()
    known = {each.lower(): getattr(torch.nn, each) for each in torch.nn.modules.activation.__all__}
    known |= {"linear": torch.nn.Identity, "swish": torch.nn.Hardswish}
    if activation not in known:
        raise BadInput(f"{name} has the activation {printable(repr(activation), 40)}, which is not known here.")
    if "linear1.weight" in tensors:  # the first files
        tensors = {key.replace("linear1", "linear.0").replace("linear2", "linear.1"): v for key, v in tensors.items()}
    numbers = sorted({int(key.split(".")[1]) for key in tensors})
    last = max(i for i in numbers if tensors[f"linear.{i}.weight"].ndim == 2)
    steps: list[Callable[[Tensor], Tensor]] = []
    for i in numbers:
        weight, bias = tensors[f"linear.{i}.weight"].float(), tensors[f"linear.{i}.bias"].float()
        steps.append(_linear(weight, bias) if weight.ndim == 2 else _norm(weight, bias))
        if weight.ndim == 2 and (i != last or said.get("activate_output", True)):
            steps.append(known[activation]())
    return _chain(steps)


def _linear(weight: Tensor, bias: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.nn.functional.linear(x, weight.to(x), bias.to(x))


def _norm(weight: Tensor, bias: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.nn.functional.layer_norm(x, weight.shape, weight.to(x), bias.to(x))


def _chain(steps: Sequence[Callable[[Tensor], Tensor]]) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        for step in steps:
            x = step(x)
        return x

    return run
