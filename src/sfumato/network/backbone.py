"""Any network as a Backbone: (x, t, condition) -> F, whatever the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sfumato.condition import Condition, Part
from sfumato.network.engine import Eager, Engine
from sfumato.network.planes import refuse_others
from sfumato.network.spec import NetworkSpec, own_dtype


class NetworkBackbone:
    """A network that an engine runs with the inputs of its spec.

    told: (x, t, condition) -> the inputs by name; x and t among them, floating tensors in any number type. accepts: the
    parts of a Condition that `told` reads, and their widths; any other part is refused by name. shaped: (the answer, x)
    -> F in x's shape. The network's time `t` is its own: `Preconditioned` maps ours to it. F is float32.
    """

    differentiable = True

    def __init__(
        self,
        network: torch.nn.Module,
        spec: NetworkSpec,
        accepts: Mapping[type[Part], int],
        told: Callable[[Tensor, Tensor, Condition], Mapping[str, Any]],
        shaped: Callable[[Tensor, Tensor], Tensor] = lambda answer, x: answer,
        engine: Engine | None = None,
    ) -> None:
        self.network, self.spec, self.accepts, self.told, self.shaped = network, spec, accepts, told, shaped
        self.run = (engine or Eager()).prepare(network, spec)

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        refuse_others(condition, self.accepts)
        own = own_dtype(self.network)
        inputs = self.told(x, t, condition)
        cast = {name: self._cast(name, value, own) for name, value in inputs.items()}
        return self.shaped(self.run(**cast).float(), x)

    def _cast(self, name: str, value: Any, own: torch.dtype) -> Any:
        """A floating tensor in the number type that the spec says."""
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        said = self.spec.inputs[name].dtype
        return value.to(own if said == "own" else getattr(torch, said))
