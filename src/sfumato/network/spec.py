"""What a network may be told: every input by name, with its shape, its number type and the value that does nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from sfumato.network.offload import called
from sfumato.picture.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor, nn


PAINTERS = ("unet", "transformer", "decoder", "prior", "super_res_first")
"""What families call a network that denoises; of several in one stage the first here is the one that paints."""
COMPUTES, RUNS_ON = "_computes_in", "_runs_on"
"""Attributes of networks whose weights don't say it themselves."""


@dataclass(frozen=True)
class Input:
    """One input. shape: sizes, and names for those that vary, as ("rows", 4, "height", "width"). dtype: a name of
    torch's, or "own" for that of the network's weights. needed: whether it must be given; otherwise `neutral` stands
    in its place, with which the network answers as if it had no such input, to the bit."""

    shape: tuple[int | str, ...]
    dtype: str = "own"
    needed: bool = True
    neutral: Any = None


@dataclass(frozen=True)
class NetworkSpec:
    """The inputs of a network by name, and how PyTorch calls it with them: forward(network, **inputs).

    Whichever engine calls it, the weights are there while it does (`sfumato.network.offload`).
    """

    inputs: Mapping[str, Input]
    forward: Callable[..., Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "forward", _with_weights(self.forward))

    def filled(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All inputs by name, those that are not given at their neutral values.

        Raises BadInput, naming the inputs there are, for an unknown one and for a needed one that is missing.
        """
        if unknown := given.keys() - self.inputs.keys():
            raise BadInput(f"This network has no input {', '.join(sorted(unknown))}; it has {', '.join(self.inputs)}.")
        if missing := [name for name, each in self.inputs.items() if each.needed and given.get(name) is None]:
            raise BadInput(f"This network needs its input {', '.join(missing)}.")
        return {name: given.get(name, each.neutral) for name, each in self.inputs.items()}


def _with_weights(forward: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(forward)
    def with_weights(network: nn.Module, **inputs: Any) -> Tensor:
        with called(network, tuple(inputs.values())):
            return forward(network, **inputs)

    return with_weights


def own_dtype(network: nn.Module) -> Any:
    """The number type in which a network computes: that of its weights, unless they are stored in a smaller one."""
    return vars(network).get(COMPUTES) or _first(network).dtype


def device_of(network: nn.Module) -> Any:
    """Where a network computes: where its weights are, unless they come there only when it is called."""
    return vars(network).get(RUNS_ON) or _first(network).device


def as_network(value: Any, network: nn.Module) -> Any:
    """A tensor, or a module, where the network computes and in its number type."""
    return value.to(device_of(network), own_dtype(network))


def _first(network: nn.Module) -> Any:
    """The first parameter: `next(network.parameters())` takes ten times as long, and it is asked for at every step."""
    for parameter in network._parameters.values():
        if parameter is not None:
            return parameter
    children = (each for each in network._modules.values() if each is not None)
    return next((found for each in children if (found := _first(each)) is not None), None)
