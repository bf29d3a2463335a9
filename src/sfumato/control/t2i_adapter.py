"""T2I-Adapter: Mou et al. 2023, "T2I-Adapter: Learning Adapters to Dig out More Controllable Ability"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sfumato.control.control import Control, Mapped
from sfumato.element import element
from sfumato.picture import BadInput

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.network.residuals import Residuals


@element("t2i-adapter")
class T2IAdapter(Mapped, Control):
    """A small network makes features of the map alone, once a run, which are added to what the downward blocks hand on
    (Stable Diffusion XL's to the middle too).

    Several add up (section 3.4 of the paper): composable by weighted sum. It needs no part of the U-Net: a step costs
    what it costs without.
    """

    takes, steers = "features", "Controls"
    part = "t2i_adapter"

    def bind(self, batch: Any) -> Callable[..., Residuals]:
        import torch

        from sfumato.network.residuals import Residuals, masked
        from sfumato.network.t2i_adapter import spec

        network = batch.network(self.net, self.part, self.kind_of_map)
        own = next(network.parameters())
        hint = (batch.control_map(self.picture, self.map) + 1) / 2
        if int(network.config["in_channels"]) == 1:
            hint = hint[:, :1]
        with torch.no_grad():
            features = batch.engine.prepare(network, spec(network))(map=hint.to(own))
        unet = batch.stage.networks["unet"].config
        ours, theirs = [tuple(a.shape[1:]) for a in features], handed_on(unet, *batch.like.shape[-2:])
        if ours not in (theirs, theirs[:-1]):
            raise BadInput(
                f"The T2I-Adapter {self.obeyed_by} was made for another network: its features are {_sizes(ours)}, and "
                f"this network's downward blocks hand on {_sizes(theirs[:-1])}, its middle {_sizes(theirs[-1:])}."
            )
        mask = None if self.mask is None else batch.control_mask(self.mask)
        return BoundT2IAdapter(masked(Residuals(within=tuple(features)), mask))


@dataclass(frozen=True, eq=False)
class BoundT2IAdapter:
    """The features of one map, for as many rows as it is called with."""

    features: Residuals

    def __call__(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor | None]) -> Residuals:
        return self.features.map(lambda a: a.expand(len(x), -1, -1, -1))


def handed_on(config: Mapping[str, Any], height: int, width: int) -> list[tuple[int, int, int]]:
    """(C, h, w) of what each downward block of a U-Net hands on to an adapter, and of the middle.

    diffusers adds its features before the downsampler of blocks with cross-attention, behind that of blocks without,
    and where there is one more, as of Stable Diffusion XL's adapters, to the middle's answer.
    """
    found = []
    kinds = config["down_block_types"]
    for index, (kind, channels) in enumerate(zip(kinds, config["block_out_channels"], strict=True)):
        smaller = (height, width) if index == len(kinds) - 1 else (-(-height // 2), -(-width // 2))
        found.append((channels, height, width) if "CrossAttn" in kind else (channels, *smaller))
        height, width = smaller
    return [*found, (config["block_out_channels"][-1], height, width)]


def _sizes(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(" x ".join(map(str, shape)) for shape in shapes)
