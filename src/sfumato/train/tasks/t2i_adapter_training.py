"""T2I-Adapter: Mou et al. 2023, "T2I-Adapter: Learning Adapters to Dig out More Controllable Ability".

A small network makes features of a map alone, which are added to what the base's downward blocks hand on: a step of a
run costs what it costs without. Times are drawn near t = 1 more often (t = 1 - u^3), where a picture is laid out.
The export is the folder of a diffusers `T2IAdapter`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from sfumato.control.t2i_adapter import handed_on
from sfumato.element.section import Few
from sfumato.formats.write import save_network
from sfumato.network.engine import Eager
from sfumato.network.residuals import Residuals
from sfumato.network.t2i_adapter import spec
from sfumato.picture import BadInput
from sfumato.train.objective.times import Cubic, Times
from sfumato.train.task import DTYPES, register
from sfumato.train.tasks.controlnet_training import MapsTask, OnMaps

Adapter = Literal["full", "light", "xl"]


class T2IAdapterRecipe(OnMaps):
    """`adapter`: full as for Stable Diffusion 1, light with fewer weights (for bases whose last two levels are equally
    wide), xl for bases whose first block has no attention (SDXL, mini). `blocks` are residual blocks at each size."""

    task: Literal["t2i-adapter"]
    map: str = "canny"
    adapter: Adapter = "full"
    blocks: Few = 2
    times: Times = Cubic(kind="cubic")


@register
class T2IAdapterTask(MapsTask):
    section = T2IAdapterRecipe

    def make(self, base: Any) -> Any:
        network = adapter(base, self.recipe.adapter, self.recipe.blocks, self.space.factor)
        self.run = Eager().prepare(network, spec(network))
        side = self.shape[1]
        maps = next(network.parameters()).new_zeros(1, 3, side * self.space.factor, side * self.space.factor)
        ours, theirs = [tuple(a.shape[1:]) for a in self.run(map=maps)], handed_on(base.config, side, side)[:-1]
        if ours != theirs:
            raise BadInput(
                f"adapter: the features of '{self.recipe.adapter}' are {ours}, and this base's blocks hand on "
                f"{theirs}: choose another of full, light, xl"
            )
        return network

    def thing(self, maps: Tensor, kind: int) -> Any:
        features = self.run(map=maps)

        def answer(x: Tensor, t: Tensor, told: Mapping[str, Tensor | None]) -> Residuals:
            return Residuals(within=tuple(a.repeat(len(x) // len(a), 1, 1, 1) for a in features))

        return answer

    def save(self, export: Path) -> None:
        save_network(self.network, export, DTYPES[self.recipe.export])


def adapter(base: Any, kind: Adapter, blocks: int, factor: int) -> Any:
    """diffusers' T2IAdapter for that base. Where the first block has no attention its features are added behind its
    downsampler, so that one for it (xl) is twice as coarse. The light one's last two levels are of one width."""
    from diffusers import T2IAdapter

    channels = list(base.config["block_out_channels"])
    if kind == "xl":
        factor *= 2
    if kind == "light":
        channels = channels[:-1]
    kinds = {"full": "full_adapter", "light": "light_adapter", "xl": "full_adapter_xl"}
    return T2IAdapter(3, channels, blocks, factor, kinds[kind])
