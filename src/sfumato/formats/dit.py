"""DiT (Peebles & Xie 2023, "Scalable Diffusion Models with Transformers"): transformer, vae and scheduler.

model_index.json may name the classes: "id2label": {"0": "tench, Tinca tinca", ...}, of which the first names are taken.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.formats.config import AUTOENCODER
from sfumato.formats.folder import config_of, index_of
from sfumato.formats.format import FORMATS, Format
from sfumato.formats.labels import CLASSES
from sfumato.guide import ClassifierFree
from sfumato.picture.errors import BadInput, name_of, printable
from sfumato.recipe.capabilities import Capabilities, Suits

if TYPE_CHECKING:
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

READ = ("transformer", "vae", "scheduler")
SUITS = Suits(steps=50, guidance=(ClassifierFree(4.0),))


class DiT(Format):
    """A transformer of latents, told a class."""

    title = "DiT"
    pipelines = ("DiTPipeline",)

    def capabilities(self, folder: Path) -> Capabilities:
        count = config_of(folder, "transformer").get("num_embeds_ada_norm", 1000)
        if not isinstance(count, int) or not 1 <= count <= CLASSES:
            raise BadInput(
                f"The transformer in {name_of(folder)} embeds {printable(count, 60)} classes: 1 to {CLASSES:,}."
            )
        named = index_of(folder).get("id2label") or {}
        names = [str(named.get(str(index), index)) for index in range(count)]
        return Capabilities(
            classes=tuple(printable(name.split(",")[0].strip(), 200) for name in names), none=count, suits=SUITS
        )

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.denoise import Preconditioned
        from sfumato.encode import ClassLabel
        from sfumato.formats.scheduler_config import noise_schedule
        from sfumato.network.dit import dit_backbone
        from sfumato.space import Latent
        from sfumato.stage import Stage

        parts.check_others(*READ)
        schedule, parameterization = noise_schedule(parts.scheduler(), parts.model)
        network = parts.network("transformer", "DiTTransformer2DModel")
        space = Latent(parts.network("vae", "AutoencoderKL", AUTOENCODER), engine)
        takes, gives = network.config["in_channels"], network.out_channels
        if takes != space.channels or gives not in (takes, 2 * takes):
            raise BadInput(
                f"The transformer of {parts.model} takes latents of {takes} channels and answers {gives}: for its vae "
                f"it must be {space.channels}, and as many or, with a learned variance, twice as many."
            )
        told, side = self.capabilities(parts.folder), network.config["sample_size"] * space.factor
        return Stage(
            "picture",
            space,
            Preconditioned(
                dit_backbone(network, engine), schedule, parameterization, learned_variance=gives == 2 * takes
            ),
            (ClassLabel(told.classes, told.none),),
            size=(side, side),
            multiple=math.lcm(space.factor * network.config["patch_size"], 4),
            networks=parts.networks,
            device=parts.device,
            suits=SUITS,
        )


FORMATS.add("dit", DiT())
