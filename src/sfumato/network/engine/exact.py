"""Plain PyTorch, to the bit alone or in any batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfumato.element import element
from sfumato.network.engine.base import Engine, Run

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sfumato.network.spec import NetworkSpec


@element("exact")
class Exact(Engine):
    """Calls the network with what depends on the size of the batch done row by row: see `batch_invariant`."""

    def prepare(self, network: nn.Module, spec: NetworkSpec) -> Run:
        from sfumato.network.batch_invariant import RowByRow

        def run(**inputs: Any) -> Tensor:
            with RowByRow():
                return spec.forward(network, **spec.filled(inputs))

        return run
