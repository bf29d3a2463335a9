"""Edits of ours beside stock diffusers' own pipelines of them: image to image, inpainting, ControlNet, image prompts.

Both are called with the same pictures, draw the same noise wherever they draw (`Same`), are guided alike (`guided` of a
family's file) and walk the same grid: ours is told the times at which stock's scheduler was asked (`knots`). What is
compared is where both ended, in the space that is diffused in.

Which class of stock's does what is found by its name (`pipeline`); what it is called with by its signature (`asked`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from inspect import signature
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor

import sfumato
from sfumato import IPAdapter, Outside, SDEdit
from sfumato.control import ControlNet
from sfumato.encode import image_embedding, low_resolution, picture_to_mend
from sfumato.model.batch import Batch
from sfumato.model.run import bind
from sfumato.noise import Key, NoiseSource
from sfumato.schedule import Schedule
from stock import image_prompts
from stock.compare import error, tokens
from stock.edits import half, photo

STEPS, STRENGTH = 5, 0.6
PROMPT = "a red hat"
ENDS = {
    "image to image": ("Img2Img",),
    "inpainting": ("Inpaint", "Inpainting"),
    "instruction, masked": ("Inpaint",),  # of families that are shown a picture
    "ControlNet": ("ControlNet",),
    "inversion": ("Inversion",),
    "DiffEdit": ("DiffEdit",),
}
"""How stock's pipeline of an edit is called behind its family's name."""
NEEDS = {"image to image": "strength", "inpainting": "mask_image"}
"""What such a pipeline is given, if it is one: stable unCLIP's "Img2Img" is told a picture and begins from noise."""
EDITS = (*NEEDS, "instruction, masked", "ControlNet", "image prompt")
"""The edits that are compared."""


def pipeline(stock: Any, edit: str) -> type | None:
    """Stock's class of an edit for a family's pipeline; None where it has none."""
    import diffusers

    if edit == "image prompt":
        takes = hasattr(stock, "load_ip_adapter") and "ip_adapter_image" in signature(stock.__call__).parameters
        return type(stock) if takes else None
    base = type(stock).__name__.removesuffix("Pipeline")
    last = next((word for word in ("Combined", "SuperResolution") if base.endswith(word)), "")
    there = {name.lower(): name for name in dir(diffusers)}
    for begin, end in product((base, base.removesuffix(last)), ENDS[edit]):
        for more in ("SuperResolution", "") if last == "SuperResolution" else ("", last):
            name = there.get(f"{begin}{end}{more}Pipeline".lower())
            kind = getattr(diffusers, name) if name else None
            if kind and NEEDS.get(edit, "self") in signature(kind.__call__).parameters:
                return kind
    return None


class Same(NoiseSource):
    """The same numbers for the same shape, whatever they are drawn for."""

    def __call__(self, like: Tensor, *key: Key) -> Tensor:
        return torch.cat([drawn(like[:1].shape)] * len(like))

    def at(self, *key: Key) -> Same:
        return self


def drawn(shape: Any, *_: Any, **__: Any) -> Tensor:
    """In the place of stock's `randn_tensor`."""
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(7))


@dataclass(frozen=True)
class OnKnots(Batch):
    """A batch whose grid is given."""

    knots: Tensor | None = None

    def times(self, start: float = 1.0) -> Tensor:
        assert self.knots is not None
        return self.knots


def ours(pipe: sfumato.Pipe, knots: Tensor, prompt: str, before: Tensor | None = None, **options: Any) -> Tensor:
    """Where the last stage of ours ends on that grid."""
    recipe = pipe.resolve(pipe.recipes(prompt, **options)[0])
    size = (recipe.width or 0, recipe.height or 0)
    with ExitStack() as stack, torch.no_grad():
        for module in (image_embedding, low_resolution, picture_to_mend):
            stack.enter_context(patch.object(module, "KeyedNoise", lambda _: Same()))
        run = bind(OnKnots(pipe.stage.at(size), [recipe], size, before, drawn=Same(), knots=knots))
        for _ in run.moving():
            pass
    assert run.x is not None
    return run.x


@contextmanager
def asked(pipe: Any) -> Iterator[list[float]]:
    """Inside, the times at which a pipeline's scheduler is asked, as it counts them; noise is what `Same` draws, and
    latents of a picture are their mean."""
    times: list[float] = []
    step = pipe.scheduler.step

    def watched(*args: Any, **options: Any) -> Any:
        times.append(float(options["timestep"] if "timestep" in options else args[1]))
        return step(*args, **options)

    with ExitStack() as stack:
        for module in _modules(pipe):
            if hasattr(module, "randn_tensor"):
                stack.enter_context(patch.object(module, "randn_tensor", drawn))
        stack.enter_context(patch.object(pipe.scheduler, "step", watched))
        stack.enter_context(patch.object(DiagonalGaussianDistribution, "sample", lambda self, *_: self.mode()))
        yield times


def _modules(pipe: Any) -> list[ModuleType]:
    """Where a pipeline and its scheduler draw."""
    classes = [*type(pipe).__mro__, *type(pipe.scheduler).__mro__]
    return list({each.__module__: sys.modules[each.__module__] for each in classes}.values())


def knots(scheduler: Any, times: list[float], schedule: Schedule) -> Tensor:
    """Our grid through the times at which a scheduler was asked, to the clean picture."""
    if type(scheduler).__name__ == "SCMScheduler":  # an angle
        ratio = torch.tensor(times, dtype=torch.float64).tan()
    elif hasattr(scheduler, "alphas_cumprod"):
        found = scheduler.alphas_cumprod.double()[[int(t) for t in times]]
        ratio = ((1 - found) / found).sqrt()
    else:
        sigma = torch.tensor(times, dtype=torch.float64) / scheduler.config.num_train_timesteps
        ratio = sigma / (1 - sigma)
    return torch.cat([schedule.time(ratio), torch.zeros(1, dtype=torch.float64)])


def apart(family: ModuleType, stock: Any, pipe: sfumato.Pipe, edit: str, place: Path) -> float | None:
    """The `error` between both ends of an edit; None where stock has no pipeline of it, or one that does something
    else (`UNLIKE` of a family's file). place: an empty folder, for a network of the edit."""
    kind = pipeline(stock, edit)
    if kind is None or edit in getattr(family, "UNLIKE", {}):
        return None
    told, theirs = family.guided(edit)
    if edit == "instruction, masked" and "images" not in told:
        return None
    parts, seen, said = _given(kind, pipe, edit, family.SIZE, place)
    made = kind(**_taken(kind.__init__, {**stock.components, **parts, **theirs}))
    made.set_progress_bar_config(disable=True)
    if edit == "image prompt":
        image_prompts.taught(made, place)
    size = {"width": family.SIZE[0], "height": family.SIZE[1]}
    call = {"prompt": PROMPT, "num_inference_steps": STEPS, "output_type": "latent", **size, **seen, **theirs}
    with pytest.MonkeyPatch.context() as patched:
        if hasattr(family, "small"):
            family.small(patched, family.SIZE[0] * family.SIZE[1])
        with asked(made) as times, torch.no_grad():
            end = made(**_taken(made.__call__, call)).images
        grid = knots(made.scheduler, times, pipe.stage.at(family.SIZE).denoiser.schedule)
        x, plain = (ours(pipe, grid, PROMPT, **size, **each, **told) for each in (said, {}))
    if edit == "image prompt":
        made.unload_ip_adapter()
    form = getattr(family, "ended", _ended)
    assert error(form(stock, pipe, plain, end), end) > 1e-2, "the edit shows"
    return error(form(stock, pipe, x, end), end)


def _given(
    kind: type, pipe: sfumato.Pipe, edit: str, size: tuple[int, int], place: Path
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Networks of an edit for stock's pipeline, what that is shown, and what ours is told."""
    picture, mask = photo(size), half(size)
    if edit == "ControlNet":
        takes = "controlnet" if "controlnet" in signature(kind.__init__).parameters else "unet"  # Kandinsky's answers
        parts = {takes: controlled(pipe, place)}
        seen = {"image": picture, "control_image": picture, "controlnet_conditioning_scale": 1.0}
        return parts, seen, {"controls": [ControlNet(picture, place)]}
    if edit == "image prompt":
        image_prompts.save(pipe.stage.networks[pipe.stage.painter], place)
        return {}, {"ip_adapter_image": photo((40, 40), 1)}, {"controls": [IPAdapter(photo((40, 40), 1), place)]}
    if edit == "instruction, masked":
        return {}, {"image": picture, "mask_image": mask, "strength": 1.0}, {"hold": Outside(mask, picture)}
    said = {"start": SDEdit(picture, STRENGTH)} | ({"hold": Outside(mask)} if edit == "inpainting" else {})
    return {}, {"image": picture, "mask_image": mask, "strength": STRENGTH}, said


def _ended(stock: Any, pipe: sfumato.Pipe, x: Tensor, end: Tensor) -> Tensor:
    """Our latents as stock's pipelines answer them; a family's file has its own `ended` where they are others."""
    return tokens(x) if end.ndim == 3 else x


def controlled(pipe: sfumato.Pipe, place: Path) -> Any:
    """A ControlNet of random weights for the network that paints, saved in the folder; None where there is no such."""
    from stock.controls import controlnet

    space = pipe.stage.space
    made = controlnet(pipe.stage.networks[pipe.stage.painter], space.channels, factor=space.factor)
    if made is not None:
        made.save_pretrained(place)
    return made


def _taken(function: Any, options: dict[str, Any]) -> dict[str, Any]:
    known = signature(function).parameters
    return {name: value for name, value in options.items() if name in known}
