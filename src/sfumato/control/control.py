"""What every control is: a picture, a network that obeys it, and where and how much."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field

from sfumato.control.maps import ControlMap
from sfumato.element import Element, Interval, Kept, KeptMask, ModelName, Real, element
from sfumato.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfumato.condition import Part
    from sfumato.condition.controls import Steering

_MAP = "a kind of map that is made of the picture, or nothing where the picture is a map"


class Control(Element, kinds="control", package="sfumato.control"):
    """One control. `bind` makes what acts in a run; the part of the condition that holds it is its `steers`.

    Its fields are those of `Shown`: picture, net, weight, interval, mask. `control * 0.8` multiplies its weight.
    """

    takes: ClassVar[str]
    """What a network takes from it, as `Capabilities.controls` says what a network does take."""

    steers: ClassVar[str]
    """The class of `sfumato.condition` that holds what `bind` makes."""

    part: ClassVar[str]
    """What its network is called among a model's parts, as "controlnet"."""

    if TYPE_CHECKING:
        picture: Any
        net: str
        weight: float
        interval: tuple[float, float]

    def bind(self, batch: Any) -> Any:
        """What acts in a run of `batch` (`sfumato.model.Batch`); with `guess` true, not in unconditional rows."""
        raise NotImplementedError

    @property
    def obeyed_by(self) -> str:
        """How sentences call its network."""
        return self.net or "that is built in"

    def __mul__(self, factor: float) -> Self:
        return replace(self, weight=self.weight * factor)  # type: ignore[type-var]

    __rmul__ = __mul__


@element
class Shown:
    """The fields of every control.

    picture: the map that is shown: a path, bytes, a PIL image, an array or a Ref. net: the network that obeys it: a
    folder or a Hub id; "" takes the model's built-in one, as mini-controlnet for mini. weight: 1 as suits the network,
    mostly as it was trained, 0 nothing. interval: the times t at which it acts. mask: where it acts, white = there;
    everywhere without one.
    """

    picture: Kept = Field(description="a picture: a path, bytes, a PIL image, an array or a Ref")
    net: ModelName = Field(default="", description="the folder, file or Hub id of a network, or nothing for a built-in")
    weight: Real = Field(default=1.0, ge=-10, le=10, description="a number from -10 to 10, where 0 means off")
    interval: Interval = (0.0, 1.0)
    mask: KeptMask | None = Field(default=None, description="a picture, white where the control acts, or nothing")


@element
class Mapped(Shown):
    """The fields of a control that is shown a map. map: the kind of map that is made of the picture, at the size of the
    run; where nothing is said the picture is the map already."""

    map: ControlMap | None = Field(default=None, description=_MAP)

    @property
    def kind_of_map(self) -> str:
        """The name of the kind of map that is made of the picture, "" where the picture is the map already."""
        return "" if self.map is None else ControlMap.registry.name(self.map)


def steering(controls: Sequence[Control], batch: Any) -> list[Part]:
    """The parts of a condition, of one row, that hold the controls of a batch, those of weight 0 left out."""
    from sfumato import condition

    parts: list[Part] = []
    acting = [control for control in controls if control.weight != 0]
    for name in dict.fromkeys(control.steers for control in acting):
        some = [control for control in acting if control.steers == name]
        kind: type[Steering] = getattr(condition, name)
        things = tuple(control.bind(batch) for control in some)
        pairs = zip(some, things, strict=True)
        weight = torch.tensor([[float(control.weight) * getattr(thing, "suits", 1.0) for control, thing in pairs]])
        guess = tuple(bool(getattr(thing, "guess", False)) for thing in things)
        parts.append(kind(weight, things, tuple(control.interval for control in some), guess))
    return parts
