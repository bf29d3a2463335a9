"""torch.compile: kernels made for a network's shapes, for a GPU first of all."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from sfumato.element import element
from sfumato.lazy import torch
from sfumato.network.engine.base import Engine, Run
from sfumato.network.engine.eager import Eager
from sfumato.picture.errors import BadInput, note

if TYPE_CHECKING:
    from torch import nn

    from sfumato.network.spec import NetworkSpec

SHAPES = 32
"""For how many shapes of its inputs a network is compiled; PyTorch runs the others."""


@element("compiled")
class Compiled(Engine):
    """Runs a network as `torch.compile` makes it (inductor), which takes a minute for inputs of shapes that are new.

    Weights are inputs of what is compiled and never frozen into it: another weight in a layer's place, as adapters put
    it there, is seen at the next call. Where gradients are recorded, attention is directed or a layer is hooked or
    replaced, the network is called as it stands; so is one that can't be compiled, which a note says once.
    """

    whole: ClassVar[bool] = False

    def quick(self, device: str) -> int:
        return 2 if torch.device(device).type == "cuda" else 0

    def check(self, precision: str, device: str, offload: str) -> None:
        kind = torch.device(device).type
        if precision == "float8" or offload != "none":
            raise BadInput(
                "The compiled engine takes weights as they lie on the device: choose offload none and a precision "
                "other than float8, or the engine eager."
            )
        if kind == "cuda" and find_spec("triton") is None:
            raise BadInput("The compiled engine needs triton on a GPU: pip install triton, or choose the engine eager.")
        if kind == "cpu" and not compiler():
            raise BadInput(
                "The compiled engine needs a C++ compiler on the CPU (g++ or clang++): install one, or choose the "
                "engine eager."
            )

    def prepare(self, network: nn.Module, spec: NetworkSpec) -> Run:
        plain, forward = Eager().prepare(network, spec), getattr(spec.forward, "__wrapped__", spec.forward)
        kept: dict[str, Any] = {}

        def answer(inputs: dict[str, Any]) -> Any:
            return forward(network, **inputs)

        def run(**inputs: Any) -> Any:
            told = spec.filled(inputs)
            if kept.get("failed") or beyond(network, told):
                return plain(**inputs)
            if "run" not in kept:
                bounds: Any = {"recompile_limit": SHAPES, "isolate_recompiles": True}
                kept["run"] = torch.compile(answer, dynamic=False, options={"freezing": False}, **bounds)
            try:
                return kept["run"](told)
            except Exception as error:
                answered = plain(**inputs)  # raises what the network itself raises
                kept["failed"] = True
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                note(f"{type(network).__name__} is called as it stands, as torch.compile can't make it: {reason[:200]}")
                return answered

        return run


def beyond(network: nn.Module, told: dict[str, Any]) -> bool:
    """Whether a call asks for more than the network's own answer to numbers."""
    if told.get("directives") is not None or network.training:
        return True
    if torch.is_grad_enabled():
        given = (value for value in told.values() if isinstance(value, torch.Tensor))
        if any(value.requires_grad for value in (*given, *network.parameters())):
            return True
    return any("forward" in vars(each) or each._forward_hooks or each._forward_pre_hooks for each in network.modules())


def compiler() -> str:
    """The path of a C++ compiler, "" where there is none."""
    names = [os.environ.get("CXX", ""), "g++", "clang++", "c++"]
    return next((found for name in names if name and (found := shutil.which(name))), "")
