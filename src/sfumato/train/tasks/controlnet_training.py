"""ControlNet: Zhang et al. 2023, "Adding Conditional Control to Text-to-Image Diffusion Models".

A copy of the base's downward half sees x, t, the text and a map, and adds to the base's skips and middle through
convolutions that begin as zeros: at step 0 the base is what it was, to the bit. Half of the captions are dropped, so
that the map alone must say what there is (section 3.4). Of several maps one network learns all, told which it is shown
by its number (a union, as xinsir's; diffusers' `ControlNetUnionModel`); each step shows one kind.
The export is the folder of a diffusers `ControlNetModel` or `ControlNetUnionModel`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator
from torch import Tensor, nn

from sfumato.condition import Controls, Part
from sfumato.control import ControlMap
from sfumato.data.folder import Beside
from sfumato.element.section import Few, Fraction, Width
from sfumato.formats.control_network import read_controlnet
from sfumato.formats.write import save_network, write_json
from sfumato.network.controlnet import spec
from sfumato.network.engine import Eager
from sfumato.network.residuals import Residuals
from sfumato.picture import BadInput
from sfumato.train.encodings import part
from sfumato.train.maps import maps_of
from sfumato.train.task import DTYPES, register
from sfumato.train.tasks.frozen_base import FrozenBaseTask, OnFrozenBase

HINT = (16, 32, 96, 256)
"""Channels of the encoder of maps at each size, the first of them pixels."""


class OnMaps(OnFrozenBase):
    """`map` is the name of the map that is shown. `given` says where maps stand that are not drawn or read here, by
    their names: beside the pictures of a folder."""

    map: Any = "canny"
    given: dict[str, Beside] = Field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all maps."""
        return (self.map,) if isinstance(self.map, str) else tuple(self.map)

    @model_validator(mode="after")
    def _known(self) -> OnMaps:
        self.refuse_others("given", self.given)
        for name in self.names:
            if name not in self.given:
                try:
                    ControlMap.registry[name]
                except BadInput as error:
                    raise ValueError(str(error)) from None
        return self

    def refuse_others(self, field: str, said: Iterable[str]) -> None:
        """Raises ValueError where a field names a map that the recipe doesn't have."""
        if unknown := [name for name in said if name not in self.names]:
            raise ValueError(f"{field}: '{unknown[0]}' is no map of this recipe, which has {', '.join(self.names)}")


class ControlNetRecipe(OnMaps):
    """`map` may name several: then one network learns all of them, in equally many steps each; `repeat` says of which
    it learns so many times as often. `begin` goes on from a trained ControlNet, in a folder or built in. `hint` are the
    channels of the encoder of maps, from pixels to latents; without it those of `begin`, or of the public ControlNets.
    """

    task: Literal["controlnet"]
    map: str | Annotated[tuple[str, ...], Field(min_length=1, max_length=99)] = "canny"
    repeat: dict[str, Few] = Field(default_factory=dict)
    begin: Path | None = None
    hint: tuple[Width, ...] | None = None
    dropout: Fraction = 0.5

    @model_validator(mode="after")
    def _repeats(self) -> ControlNetRecipe:
        self.refuse_others("repeat", self.repeat)
        return self


class MapsTask(FrozenBaseTask):
    """Trained on maps, which are pictures (B, 3, H, W) in [0, 1] to it."""

    def shown(self) -> Sequence[tuple[np.ndarray, np.ndarray]]:
        recipe, sets = self.recipe, (self.train_set, self.test_set)
        options = recipe.data, sets, self.place, recipe.workers
        return [maps_of(name, recipe.given.get(name), *options) for name in recipe.names]

    def title(self, kind: int) -> str:
        return self.recipe.names[kind]

    def control(self, shown: Tensor, kind: int) -> Part:

        maps = shown.permute(0, 3, 1, 2).float() / 255
        return Controls(maps.new_ones(len(maps), 1).cpu(), (self.thing(maps, kind),), ((0.0, 1.0),))

    def thing(self, maps: Tensor, kind: int) -> Any:
        """What acts in a condition: (x, t, told) -> Residuals."""
        raise NotImplementedError


@register
class ControlNetTask(MapsTask):
    section = ControlNetRecipe

    def turns(self) -> Sequence[int]:
        return [kind for kind, name in enumerate(self.recipe.names) for _ in range(self.recipe.repeat.get(name, 1))]

    def make(self, base: Any) -> Any:
        recipe, begin = self.recipe, self._trained_before()
        told = begin and begin.config.get("conditioning_embedding_out_channels")
        channels = recipe.hint or told or hint_channels(self.space.factor)
        if 2 ** (len(channels) - 1) != self.space.factor:
            raise BadInput(
                f"hint: {len(channels)} sizes make a map {2 ** (len(channels) - 1)} times smaller, and latents are "
                f"{self.space.factor} times: name {self.space.factor.bit_length()} numbers of channels"
            )
        network = controlnet(base, channels) if len(recipe.names) == 1 else union(base, channels, len(recipe.names))
        awaken(network.controlnet_cond_embedding)
        if begin is not None:
            self._go_on(network, begin)
        self.run = Eager().prepare(network, spec(network))
        return network

    def _trained_before(self) -> Any:
        """The trained ControlNet that is gone on from, if there is one. Raises BadInput where it knows other maps."""
        recipe = self.recipe
        if recipe.begin is None:
            return None
        begin: Any = read_controlnet(part(recipe.begin, "controlnet", "mini-controlnet"))
        known, wanted = getattr(begin, "maps", {}), {name: kind for kind, name in enumerate(recipe.names)}
        if known != (wanted if len(wanted) > 1 else {}):
            said = ", ".join(known) or "one map alone"
            raise BadInput(f"begin: the ControlNet in {recipe.begin} knows {said}, and map says {', '.join(wanted)}")
        return begin

    def _go_on(self, network: Any, begin: Any) -> None:
        try:
            network.load_state_dict(begin.state_dict())
        except RuntimeError as error:
            raise BadInput(
                f"begin: the ControlNet in {self.recipe.begin} has another shape than {self.recipe.base} and hint want"
            ) from error

    def thing(self, maps: Tensor, kind: int) -> Any:
        mode = kind if len(self.recipe.names) > 1 else None

        def answer(x: Tensor, t: Tensor, told: Mapping[str, Tensor | None]) -> Residuals:
            rows = maps.repeat(len(x) // len(maps), 1, 1, 1)  # each branch of a guidance has all pictures
            skips, middle = self.run(x=x, t=t, text=told["text"], map=rows, mode=mode)
            return Residuals(tuple(skips), middle)

        return answer

    def save(self, export: Path) -> None:
        """Of a union maps.json too: the names of its maps by their numbers."""
        save_network(self.network, export, DTYPES[self.recipe.export])
        if len(self.recipe.names) > 1:
            write_json(export / "maps.json", {str(mode): name for mode, name in enumerate(self.recipe.names)})


def hint_channels(factor: int) -> tuple[int, ...]:
    """Channels of the encoder of maps for latents `factor` times smaller than pictures, a power of two up to 8."""
    return HINT[: factor.bit_length()]


def awaken(hint: Any) -> None:
    """Gaussian weights of variance 2/fan-in, no biases (section 3.1: "initialized with Gaussian weights"; He et al.
    2015), for its last convolution too, where the paper has zeros. The base is what it was at step 0 all the same, for
    the copy's answers go through zeros. But zeros before the copy *and* behind it are a saddle: neither has a gradient
    of the map while the other is silent, and noise moves both for hundreds of steps before a map is heard. So the
    copy hears it from the beginning, and what lies behind it learns at once what it is good for."""
    for layer in (hint.conv_in, *hint.blocks, hint.conv_out):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)


def controlnet(base: Any, hint: tuple[int, ...]) -> Any:
    """diffusers' ControlNetModel: the base's downward half and middle, and zero convolutions."""
    from diffusers import ControlNetModel

    return ControlNetModel.from_unet(base, conditioning_embedding_out_channels=hint)


def union(base: Any, hint: tuple[int, ...], kinds: int) -> Any:
    """diffusers' ControlNetUnionModel of so many kinds of maps, whose copied weights are the base's too."""
    from diffusers import ControlNetUnionModel

    known = inspect.signature(ControlNetUnionModel.__init__).parameters
    shape = {name: value for name, value in base.config.items() if name in known and not name.startswith("_")}
    width = int(base.config["block_out_channels"][0])
    told = {"num_control_type": kinds, "num_trans_channel": width, "num_proj_channel": width, "num_trans_head": 8}
    told["addition_time_embed_dim"] = base.config.get("addition_time_embed_dim") or 32
    network = ControlNetUnionModel(**{**shape, **told}, conditioning_embedding_out_channels=hint)
    for name in ("conv_in", "time_proj", "time_embedding", "down_blocks", "mid_block"):
        getattr(network, name).load_state_dict(getattr(base, name).state_dict())
    return network
