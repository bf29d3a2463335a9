"""CompVis' latent diffusion told a class (Rombach et al. 2022, section 4.3.2): unet, vqvae, scheduler and label/.

The U-Net attends to one token, the embedding of the class (`sfumato.formats.labels`); the one behind the classes' is
"no class". diffusers has no pipeline of it: in the index it is called LDMClassToImagePipeline. CompVis' own file
(cin256, ImageNet's classes) is read as it is: `load("cin256.safetensors")`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.formats.config import U_NET
from sfumato.formats.format import FORMATS, Format
from sfumato.formats.labels import embedded, label_embedding, told_labels
from sfumato.formats.latent_diffusion import AUTOENCODER as CODEBOOK
from sfumato.formats.unet_stage import check_channels, parts_schedule, unet_stage
from sfumato.guide import ClassifierFree
from sfumato.picture.errors import BadInput
from sfumato.recipe.capabilities import Capabilities, Suits
from sfumato.sample import DDIM

if TYPE_CHECKING:
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

READ = ("unet", "vqvae", "scheduler")
SUITS = Suits(steps=50, guidance=(ClassifierFree(3.0),), sampler=DDIM())


class ClassLatents(Format):
    """A U-Net of a vector-quantised autoencoder's latents that attends to a class."""

    title = "latent diffusion of classes"
    pipelines = ("LDMClassToImagePipeline",)

    def capabilities(self, folder: Path) -> Capabilities:
        return replace(told_labels(folder), suits=SUITS)

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.encode import ClassToken
        from sfumato.space.deterministic import Deterministic

        parts.check_others(*READ)
        schedule, told = parts_schedule(parts), told_labels(parts.folder)
        unet = parts.network("unet", "UNet2DConditionModel", U_NET)
        space = Deterministic(parts.network("vqvae", "VQModel", CODEBOOK), engine)
        check_channels(parts, unet, space.channels, 0, "latents")
        embedding, width = label_embedding(parts, told, "token"), unet.config["cross_attention_dim"]
        wanted = (embedded(told), width)
        if embedding is None or tuple(embedding.shape) != wanted:
            found = "none" if embedding is None else " x ".join(map(str, embedding.shape))
            raise BadInput(
                f"The label of {parts.model} holds embeddings of {found}: for its classes and its unet they must be "
                f"{wanted[0]} x {wanted[1]}."
            )
        token = ClassToken(told.classes, told.none, embedding)
        return unet_stage(parts, engine, unet, space, schedule, [token], suits=SUITS)


FORMATS.add("latent-diffusion-class", ClassLatents())
