"""Side-tuning: Zhang et al. 2020, "Side-Tuning: A Baseline for Network Adaptation via Additive Side Networks"."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from sfumato.adapt.adapter import ALWAYS, Adapter, BoundAdapter, Place
from sfumato.adapt.file import FileOf
from sfumato.element import Interval, Real, element
from sfumato.lazy import torch
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from torch import Tensor, nn

NAMES = ("enter.weight", "enter.bias", "time.weight", "middle.weight", "middle.bias", "leave.weight")
"""The tensors of a side network, in a file behind the part's name: "unet.side.enter.weight"."""
WAVES = 32  # sines and cosines of t


@element("side-tuning")
class SideTuning(Adapter):
    """F(x, t) + weight S(x, t): a small network beside a U-Net, whose answers are added. The U-Net is not touched.

    S = leave * silu(middle * silu(enter * x + time [sin, cos](t))), convolutions of 3 x 3: it hears no words. How much
    it has to say at a time is learned with the rest; `interval` cuts it off.
    """

    weights_alone: ClassVar[bool] = False

    file: FileOf = Field(description="a file of a side network: a path, or a file from open_file()")
    weight: Real = Field(default=1.0, ge=-10, le=10, description="a number from -10 to 10")
    interval: Interval = ALWAYS

    @classmethod
    def holds(cls, keys: Collection[str], other: Any = None) -> bool:
        return bool(keys) and all(key.partition(".side.")[2] in NAMES for key in keys)

    def __mul__(self, weight: float) -> SideTuning:
        return replace(self, weight=self.weight * weight)

    __rmul__ = __mul__

    def bind(self, networks: Mapping[str, nn.Module]) -> BoundAdapter:
        from sfumato.adapt.read import contents

        name, found = printable(self.file.name, 60), contents(self.file).tensors
        part = next(iter(found), "").partition(".")[0]
        tensors = {key.removeprefix(f"{part}.side."): each for key, each in found.items()}
        if set(tensors) != set(NAMES):
            raise BadInput(f"{name} is no file of a side network: it lacks some of its tensors, or has others.")
        places = beside(networks, part, tensors, self.weight, name) if self.weight else {}
        return BoundAdapter(name, places=places, interval=self.interval)


def beside(
    networks: Mapping[str, Any], part: str, tensors: Mapping[str, Tensor], weight: float, name: str
) -> dict[str, list[Place]]:
    """What stands in for a U-Net's forward. BadInput for a model that has no such U-Net of as many channels."""
    network = networks.get(part)
    channels = tensors["enter.weight"].shape[1]
    if network is None or int(getattr(network, "config", {}).get("in_channels", 0)) != channels:
        raise BadInput(
            f"{name} stands beside a {printable(part, 40)} of {channels} channels, which this model has not."
        )

    def forward(x: Tensor, t: Any, *args: Any, **options: Any) -> Any:
        answer = type(network).forward(network, x, t, *args, **options)
        added = weight * side(tensors, x, t).to(x)
        if isinstance(answer, tuple):
            return (answer[0] + added, *answer[1:])
        return type(answer)(answer.sample + added)

    return {part: [(vars(network), "forward", forward)]}


def side(tensors: Mapping[str, Tensor], x: Tensor, t: Any) -> Tensor:
    """S(x, t), in float32; t (B,) or a number, the U-Net's own time."""
    x, conv = x.float(), torch.nn.functional.conv2d
    times = torch.as_tensor(t, device=x.device).float().reshape(-1, 1)
    rates = torch.exp(torch.arange(WAVES, device=x.device) * (-math.log(10_000) / WAVES))
    waves = torch.cat([(times * rates).sin(), (times * rates).cos()], 1)
    heard = torch.nn.functional.linear(waves, tensors["time.weight"].float())[:, :, None, None]
    h = conv(x, tensors["enter.weight"].float(), tensors["enter.bias"].float(), padding=1) + heard
    h = conv(torch.nn.functional.silu(h), tensors["middle.weight"].float(), tensors["middle.bias"].float(), padding=1)
    return conv(torch.nn.functional.silu(h), tensors["leave.weight"].float(), padding=1)
