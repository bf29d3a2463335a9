"""Plain PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfumato.element import element
from sfumato.network.engine.base import Engine, Run

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sfumato.network.spec import NetworkSpec


@element("eager")
class Eager(Engine):
    """Calls the network as it stands."""

    def quick(self, device: str) -> int:
        return 1

    def prepare(self, network: nn.Module, spec: NetworkSpec) -> Run:
        def run(**inputs: Any) -> Tensor:
            return spec.forward(network, **spec.filled(inputs))

        return run
