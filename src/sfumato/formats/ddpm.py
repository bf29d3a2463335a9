"""Diffusion of pixels in the format of diffusers' DDPM pipelines: `model_index.json` with unet and scheduler.

A class is told by the network's own `num_class_embeds`, or by label/ (`sfumato.formats.labels`), as it is in time or by
channels. A network of twice the channels is shown a picture to mend, for the tasks that beside/config.json names:
{"kind": "sfumato-beside", "tasks": [...]}. Pictures have one channel or three; a network that learned its variance
answers twice as many (Nichol & Dhariwal 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.edit.palette import SEEN
from sfumato.formats.folder import parts_of, read_json, scheduler_of
from sfumato.formats.format import FORMATS, Format
from sfumato.formats.labels import check_rows, label_embedding, told_labels, write_labels
from sfumato.formats.write import save_network, write_json, write_scheduler
from sfumato.picture.errors import BadInput, name_of
from sfumato.recipe.capabilities import Capabilities

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from sfumato.denoise import Preconditioned
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

READ = ("unet", "scheduler")


class Pixels(Format):
    """A U-Net of grey or RGB pixels (Ho et al. 2020), unconditional or told a class or a picture."""

    title = "DDPM (with a UNet2DModel of pixels)"
    time_embedding = "positional"

    def detect(self, folder: Path) -> bool:
        parts = parts_of(folder)
        return parts.get("unet") == "UNet2DModel" and "text_encoder" not in parts and not _is_score(folder)

    def capabilities(self, folder: Path) -> Capabilities:
        """Its classes (`told_labels`), and a picture to mend, if beside/config.json names tasks."""
        return replace(told_labels(folder), tasks=_tasks(folder))

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.condition import Label
        from sfumato.encode import ClassLabel, Encoder, PictureToMend
        from sfumato.network.unet2d import UNet2DBackbone
        from sfumato.space import Pixel
        from sfumato.stage import Stage

        if others := [part for part in parts_of(parts.folder) if part not in READ]:
            raise BadInput(
                f"The model in {parts.folder} has a UNet2DModel and also {', '.join(others)}; "
                f"a model of pixels has {' and '.join(READ)} alone."
            )
        told = self.capabilities(parts.folder)
        neutral = {"class_embed_type": None, "time_embedding_type": self.time_embedding}
        unet = parts.network("unet", "UNet2DModel", neutral)
        embedding = label_embedding(parts, told, "channels")
        channels, learned = _channels(parts, unet.config, 0 if embedding is None else embedding.shape[1], told)
        backbone = UNet2DBackbone(unet, engine, embedding, channels)
        check_rows(parts, backbone.accepts.get(Label, 0), told)
        encoders: list[Encoder] = []
        if told.classes:
            encoders.append(ClassLabel(told.classes, told.none))
        if told.tasks:
            encoders.append(PictureToMend(told.tasks))
        return Stage(
            "picture",
            Pixel(channels),
            self.denoiser(parts, backbone, learned),
            tuple(encoders),
            size=_size(unet.config["sample_size"], parts),
            multiple=max(4, 2 ** (len(unet.config["block_out_channels"]) - 1)),  # a recipe's sides are multiples of 4
            networks=parts.networks,
            device=parts.device,
        )

    def denoiser(self, parts: Parts, backbone: Any, learned: bool) -> Preconditioned:
        from sfumato.denoise import Preconditioned
        from sfumato.formats.clip_sample import Clipped
        from sfumato.formats.scheduler_config import clipped, noise_schedule

        config = parts.scheduler()
        schedule, parameterization = noise_schedule(config, parts.model)
        limit = clipped(config)
        if limit is None:
            return Preconditioned(backbone, schedule, parameterization, learned_variance=learned)
        return Clipped(backbone, schedule, parameterization, learned_variance=learned, limit=limit)


def _is_score(folder: Path) -> bool:
    return str(scheduler_of(folder).get("_class_name")).startswith("ScoreSdeVe")


def _size(sample: Any, parts: Parts) -> tuple[int, int]:
    """(width, height) of one number, or a list of height and width."""
    sides = [sample] * 2 if isinstance(sample, int) else list(sample or ())
    if len(sides) != 2 or not all(isinstance(side, int) and 1 <= side <= 4096 for side in sides):
        raise BadInput(f"The unet of {parts.model} has sample_size {sample!r}: give one number, or height and width.")
    return sides[1], sides[0]


def _tasks(folder: Path) -> tuple[str, ...]:
    beside = folder / "beside" / "config.json"
    if not beside.is_file():
        return ()
    named = read_json(beside).get("tasks")
    if not isinstance(named, list) or not named or not all(name in SEEN for name in named):
        raise BadInput(f"{name_of(beside)} must list tasks, some of {', '.join(SEEN)}: write the folder again.")
    return tuple(named)


def _channels(parts: Parts, config: Any, planes: int, told: Capabilities) -> tuple[int, bool]:
    """Channels of a picture, and whether the network answers with twice as many: a learned variance."""
    channels, out = config["in_channels"] - planes, config["out_channels"]
    if told.tasks:
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


def write(
    export: Path,
    unet: Any,
    scheduler: dict[str, Any],
    pipeline: str = "DDPMPipeline",
    classes: Sequence[str] = (),
    embedding: Tensor | None = None,
    dtype: torch.dtype | None = None,
    tasks: Sequence[str] = (),
) -> None:
    """Writes the folder that `Pixels` (or, with a scheduler of its kind, `ScoreSde`) reads.

    embedding: (K + 1, w), where the classes are told by channels. tasks: of a network that is shown a picture.
    """
    import diffusers

    save_network(unet, export / "unet", dtype)
    write_scheduler(export / "scheduler", scheduler)
    index: dict[str, object] = {
        "_class_name": pipeline,
        "_diffusers_version": diffusers.__version__,
        "scheduler": ["diffusers", scheduler["_class_name"]],
        "unet": ["diffusers", "UNet2DModel"],
    }
    write_json(export / "model_index.json", index)
    if classes:
        write_labels(export, classes, "time" if embedding is None else "channels", embedding, dtype)
    if tasks:
        write_json(export / "beside" / "config.json", {"kind": "sfumato-beside", "tasks": list(tasks)})


FORMATS.add("ddpm", Pixels())
