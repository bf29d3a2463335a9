"""What an engine is, and in which precisions weights are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from sfumato.element import Element
from sfumato.element.sentence import nearest
from sfumato.lazy import torch
from sfumato.picture.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sfumato.network.spec import NetworkSpec

PRECISIONS = ("float32", "bfloat16", "float16", "float8")
"""How weights are stored. float8 is computed in bfloat16, layer by layer."""

Run = Callable[..., "Tensor"]
"""A prepared network: run(x=..., t=..., ...), its inputs by name; those that are left out are neutral."""


class Engine(Element, kinds="engine", package="sfumato.network.engine"):
    """How a network is executed: in which arithmetic and order, by which library."""

    projects_text: ClassVar[bool] = True
    """Whether a network that it runs is to be told the keys and values of its text, computed once for all steps."""

    whole: ClassVar[bool] = True
    """Whether it runs every call by itself; otherwise PyTorch runs those in which gradients are recorded, attention is
    watched, or layers are others."""
    runtime: ClassVar[str] = ""
    """The distribution that executes networks, if that is another than torch: its version decides over bits."""

    def quick(self, device: str) -> int:
        """How quick it is on a device, among those that answer as PyTorch does; 0: `auto` never takes it."""
        return 0

    def check(self, precision: str, device: str, offload: str) -> None:
        """Raises BadInput where it can't run networks so, before any is read."""

    def prepare(self, network: nn.Module, spec: NetworkSpec) -> Run:
        """Something that runs the network. It sees later changes of the weights, and lets gradients through."""
        raise NotImplementedError


def engine_of(name: str | Engine) -> Engine:
    """The engine of a name, or the engine itself; `BadInput` names the known ones."""
    return Engine.registry.named(name) if isinstance(name, str) else name


def quickest(precision: str, device: str, offload: str, whole: bool = False) -> str:
    """The name of the quickest engine that can run networks so, `eager` where none is quicker: what the engine `auto`
    comes to. whole: of those alone that run every call by themselves."""
    engines = {name: Engine.registry.named(name) for name in Engine.registry}
    quick = {name: engine.quick(device) for name, engine in engines.items() if engine.whole or not whole}
    for name in sorted(quick, key=quick.__getitem__, reverse=True):
        if not quick[name]:
            break
        try:
            engines[name].check(precision, device, offload)
        except BadInput:
            continue
        return name
    return "eager"


def dtype_of(precision: str) -> Any:
    """torch's number type in which a precision computes; `BadInput` names the known ones."""
    if precision not in PRECISIONS:
        raise BadInput(
            f"There is no precision called {precision!r}{nearest(precision, PRECISIONS)}; "
            f"choose one of {', '.join(PRECISIONS)}."
        )
    return torch.bfloat16 if precision == "float8" else getattr(torch, precision)
