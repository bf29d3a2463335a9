"""Diffusion of pixels in the format of diffusers' pipelines: `model_index.json` with unet and scheduler.

DDPM's and DDIM's have a table of betas; ScoreSdeVe's a geometric range of sigmas, and a network told sigma itself whose
answer is the score (Song et al. 2021).

A class is told by the network's own `num_class_embeds`, or, as `sfumato.train.tasks.pixels` writes it, by label/:
config.json with the names of the classes, their null and how they are told, and for "channels" their embeddings.
A network of twice the channels is shown a picture to mend, for the tasks that beside/config.json names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sfumato.condition import Concat, Condition, Label, Part
from sfumato.denoise import Preconditioned
from sfumato.edit.beside import seen
from sfumato.formats.parts import Parts
from sfumato.network import Engine, UNet2DBackbone
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.recipe.vocabulary import Vocabulary
from sfumato.schedule import VE
from sfumato.space import Pixel
from sfumato.space.pixels import mask_to_tensor, to_tensor
from sfumato.stage import Stage
from sfumato.zoo.folder import parts_of, read_json, vocabulary

READ = ("unet", "scheduler")


def pixels(parts: Parts, execute: Engine) -> tuple[Stage, tuple[int, int], int]:
    """A U-Net of grey or RGB pixels (Ho et al. 2020), unconditional or conditioned on a class."""
    others = [part for part in parts_of(parts.folder) if part not in READ]
    if others:
        raise BadInput(
            f"The model in {parts.folder} has a UNet2DModel and also {', '.join(others)}; "
            f"a model of pixels has {' and '.join(READ)} alone."
        )
    unet, words = parts.load("unet", "UNet2DModel"), vocabulary(parts.folder)
    embedding = _embedding(parts, words)
    channels, learned = _channels(parts, unet.config, 0 if embedding is None else embedding.shape[1], words)
    backbone = UNet2DBackbone(unet, execute, embedding, channels)
    rows, wanted = backbone.accepts.get(Label, 0), len(words.classes) + (words.none is not None)
    if rows != wanted:
        raise BadInput(f"The network in {parts.folder} embeds {rows} classes, and label/config.json names {wanted}.")
    denoiser = _denoiser(parts, backbone, learned)

    def encode(recipes: Sequence[Recipe], given: Any = None) -> Condition:
        told: list[Part] = []
        if words.classes:
            told.append(Label(torch.tensor([words.index(recipe.label) for recipe in recipes]), words.none))
        if words.tasks:
            told.append(Concat(_seen(recipes, given)))
        return Condition(tuple(told)) if told else Condition.empty(len(recipes))

    size = unet.config["sample_size"]
    height, width = (size, size) if isinstance(size, int) else size
    multiple = 2 ** (len(unet.config["block_out_channels"]) - 1)
    return Stage("picture", Pixel(channels), denoiser, encode, words), (width, height), multiple


def _denoiser(parts: Parts, backbone: UNet2DBackbone, learned: bool) -> Preconditioned:
    scheduler = parts.scheduler()
    continuous = scheduler.get("_class_name") == "ScoreSdeVeScheduler"
    understood = {"class_embed_type": None, "time_embedding_type": "fourier" if continuous else "positional"}
    for option, value in understood.items():
        found = backbone.network.config[option]  # pyright: ignore[reportIndexIssue, reportArgumentType]
        if found != value:
            raise BadInput(f"The network in {parts.folder} has {option} {found!r}; accepted is {value!r}.")
    if not continuous:
        return Preconditioned(backbone, *parts.schedule(), learned_variance=learned)
    with parts.explained("scheduler"):
        schedule = VE(float(scheduler["sigma_min"]), float(scheduler["sigma_max"]))
    return Preconditioned(backbone, schedule, "score", lambda t: schedule(t)[1], learned_variance=learned)


def _embedding(parts: Parts, words: Vocabulary) -> Tensor | None:
    """The embeddings (K + 1, w) of classes that are told by channels."""
    label = parts.folder / "label"
    if not words.classes or not label.is_dir() or read_json(label / "config.json").get("how") != "channels":
        return None
    from safetensors.torch import load_file

    with parts.explained("label"):
        return load_file(label / "model.safetensors")["embedding.weight"].to(parts.device, torch.float32)


def _seen(recipes: Sequence[Recipe], given: Any) -> Tensor:
    """What the network sees of the picture to mend, (B, 3, H, W); a hole is full of each seed's own noise."""
    source = recipes[0].source
    if source is None or given is None or given.source is None:
        raise BadInput("This model mends a picture: give the recipe a source.")
    picture = to_tensor([given.source]).expand(len(recipes), -1, -1, -1)
    mask = None if given.mask is None else mask_to_tensor(given.mask)
    return seen(source.task, picture, mask, KeyedNoise([recipe.seed for recipe in recipes])(picture, "beside"))


def _channels(parts: Parts, config: Any, planes: int, words: Vocabulary) -> tuple[int, bool]:
    """Channels of a picture, and whether the network answers with twice as many: a learned variance."""
    channels, out = config["in_channels"] - planes, config["out_channels"]
    if words.tasks:
        channels //= 2
    if channels not in (1, 3) or out not in (channels, 2 * channels):
        raise BadInput(
            f"The network in {parts.folder} turns {config['in_channels']} channels into {out}; a model of pixels turns "
            "1 (grey) or 3 (RGB), and the classes' planes, into as many, or into twice as many with a learned variance."
        )
    learned = out > channels
    if learned and parts.scheduler().get("variance_type") == "learned":
        raise BadInput(
            f"The network in {parts.folder} says its variance itself; accepted is variance_type learned_range."
        )
    return channels, learned
