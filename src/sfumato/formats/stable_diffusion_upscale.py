"""Stable Diffusion's x4 upscaler: the small picture, a little noised, stands beside latents of as many cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.formats.config import U_NET
from sfumato.formats.folder import read_json
from sfumato.formats.format import FORMATS, Format
from sfumato.formats.scheduler_config import noise_schedule
from sfumato.formats.unet_stage import CONTROLS, check_channels, told_words, unet_stage
from sfumato.guide import ClassifierFree
from sfumato.picture.errors import BadInput
from sfumato.recipe.capabilities import Capabilities, Suits

if TYPE_CHECKING:
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

READ = ("unet", "vae", "text_encoder", "tokenizer", "scheduler", "low_res_scheduler")
TOLD = {name: value for name, value in U_NET.items() if name != "num_class_embeds"}
COLOURS = 3  # planes that the small picture has
LEVEL = 20  # the step of the table to which its makers noise it
SUITS = Suits(guidance=(ClassifierFree(9.0),))


class StableDiffusionUpscale(Format):
    """A U-Net of latents and a small picture, told how noisy that is."""

    title = "Stable Diffusion's upscaler"
    pipelines = ("StableDiffusionUpscalePipeline",)

    def capabilities(self, folder: Path) -> Capabilities:
        return Capabilities(text=True, references=1, suits=SUITS, controls=CONTROLS)

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.encode import LowResolution, NoiseLevel

        unet, space, schedule, text = told_words(parts, engine, READ, TOLD)
        place = parts.place("low_res_scheduler") / "scheduler_config.json"
        low, _ = noise_schedule(read_json(place), f"the low_res_scheduler of {parts.model}")
        if unet.config["num_class_embeds"] != low.count:
            raise BadInput(
                f"The unet of {parts.model} tells {unet.config['num_class_embeds']} levels of noise apart "
                f"(num_class_embeds), and its low_res_scheduler has {low.count} steps: they must be as many."
            )
        check_channels(parts, unet, space.channels, COLOURS, "latents, the small picture")
        time = min(LEVEL + 1, low.count) / low.count
        encoders = (text, LowResolution(space.factor, low, time), NoiseLevel(time))
        more = {"name": "upscale", "scale": space.factor}
        return unet_stage(parts, engine, unet, space, schedule, encoders, suits=SUITS, **more)


FORMATS.add("stable-diffusion-upscale", StableDiffusionUpscale())
