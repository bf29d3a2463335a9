"""Bottleneck adapters: Houlsby et al. 2019, "Parameter-Efficient Transfer Learning for NLP"."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
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

ENDINGS = (".adapter_down.weight", ".adapter_down.bias", ".adapter_up.weight", ".adapter_up.bias")


@element("bottleneck")
class Bottleneck(Adapter):
    """h + weight U relu(D h) in the place of what a layer answers, h (..., width): D to a few channels, U back.

    The layers are those that its file names: "PART.LAYER.adapter_down.weight", its bias, and the same of adapter_up.
    Beside a LoRA it adds something that is not linear in h; nothing of it can be baked into weights.
    """

    weights_alone: ClassVar[bool] = False

    file: FileOf = Field(description="a file of bottleneck adapters: a path, or a file from open_file()")
    weight: Real = Field(default=1.0, ge=-10, le=10, description="a number from -10 to 10")
    interval: Interval = ALWAYS

    @classmethod
    def holds(cls, keys: Collection[str], other: Any = None) -> bool:
        return bool(keys) and all(key.endswith(ENDINGS) for key in keys)

    def __mul__(self, weight: float) -> Bottleneck:
        return replace(self, weight=self.weight * weight)

    __rmul__ = __mul__

    def bind(self, networks: Mapping[str, nn.Module]) -> BoundAdapter:
        from sfumato.adapt.read import contents

        name, layers = printable(self.file.name, 60), {}
        for key, tensor in contents(self.file).tensors.items():
            ending = next((each for each in ENDINGS if key.endswith(each)), None)
            if ending is None:
                raise BadInput(f"{name} is no file of bottleneck adapters: it has the key {printable(key, 80)}.")
            layers.setdefault(key.removesuffix(ending), {})[ending[1:]] = tensor
        if not self.weight:
            return BoundAdapter(name, interval=self.interval)
        return BoundAdapter(name, places=behind(networks, layers, self.weight, name), interval=self.interval)


def behind(
    networks: Mapping[str, nn.Module], layers: Mapping[str, Mapping[str, Tensor]], weight: float, name: str
) -> dict[str, list[Place]]:
    """What stands in for the forward of layers, by "PART.LAYER". BadInput for one that these networks have not."""
    places: dict[str, list[Place]] = {part: [] for part in networks}
    for where, tensors in layers.items():
        part, _, layer = where.partition(".")
        module: Any = dict(networks[part].named_modules()).get(layer) if part in networks else None
        if module is None or len(tensors) < len(ENDINGS):
            raise BadInput(f"{name} is for another model, or cut off: it speaks of {printable(where, 80)}.")
        places[part].append((vars(module), "forward", _after(module, tensors, weight, name)))
    return places


def _after(module: nn.Module, tensors: Mapping[str, Tensor], weight: float, name: str) -> Callable[..., Tensor]:
    own = forward_of(module)

    def forward(*args: Any, **options: Any) -> Tensor:
        h = own(*args, **options)
        down, up = ([tensors[f"adapter_{way}.{which}"].to(h) for which in ("weight", "bias")] for way in ("down", "up"))
        linear, width = torch.nn.functional.linear, h.shape[-1]
        if down[0].shape[1:] != (width,) or up[0].shape != down[0].T.shape:
            raise BadInput(f"{name} is for another model: a layer that it changes is {width} wide here.")
        return h + weight * linear(linear(h, *down).relu(), *up)

    return forward
