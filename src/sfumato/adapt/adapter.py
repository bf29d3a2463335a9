"""What an adapter is: a file of weights or words that is added to a model for a run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from sfumato.adapt.file import AdapterFile
from sfumato.element import Element, Interval

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sfumato.adapt.layers import Change

ALWAYS = (0.0, 1.0)
Place = tuple[dict[str, Any], str, Any]


def everywhere(part: str, layer: str) -> float:
    """The weight of an adapter that is whole in every layer."""
    return 1.0


def forward_of(module: Any) -> Callable[..., Any]:
    """How a layer answers: what brings its weights, or casts them, has a forward of its own in the class's place."""
    return vars(module).get("forward") or partial(type(module).forward, module)


@dataclass(frozen=True)
class BoundAdapter:
    """An adapter on the networks of one model.

    changes: what it does to layers. weight: how much of that in a layer. places: further stand-ins (module's
    dictionary, key, what stands there), by the part of the model. words: the vectors (n, width) of words that it knows,
    one for each width. interval: the times at which what denoises has it; encoders of words always do.
    """

    name: str
    changes: Sequence[Change] = ()
    weight: Callable[[str, str], float] = everywhere
    places: Mapping[str, Sequence[Place]] = field(default_factory=dict)
    words: Mapping[str, Sequence[Tensor]] = field(default_factory=dict)
    interval: Interval = ALWAYS


class Binds(Protocol):
    """What an adaptation is made of: adapters from files, and those that are being trained."""

    def bind(self, networks: Mapping[str, nn.Module]) -> BoundAdapter: ...


class Adapter(Element, kinds="adapter", package="sfumato.adapt"):
    """A file that is added to the model of a run: `pipe(..., adapters=[LoRA("me.safetensors") * 0.8])`."""

    weights_alone: ClassVar[bool] = True
    """Whether weights and words are all that it changes, as compiled graphs can be told."""

    file: AdapterFile

    @classmethod
    def holds(cls, keys: Collection[str], other: Any = None) -> bool:
        """Whether a file is one of these, by the keys of its tensors; other: what else there is in a pickle."""
        return False

    def bind(self, networks: Mapping[str, nn.Module]) -> BoundAdapter:
        """What it does to these networks, by their names ("unet", "text_encoder", ...). BadInput if it can't."""
        raise NotImplementedError
