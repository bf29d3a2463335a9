"""Ours beside a stock pipeline: what both make of the same noise.

A run of ours is watched (`ran`) and stock is given the noise that it began from, or both are given latents (`walked`).
What stock answers as latents is compared with ours as they are; where it answers none that are shaped like ours, what
its decoder is given (`stock`) is compared with what ours is (`shown`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import sfumato
from sfumato.model.batch import Batch
from sfumato.sample import trajectory


@dataclass
class Both:
    """stock: diffusers' pipeline; folder: what it saved; pipe: ours, read from there."""

    stock: Any
    folder: Path
    pipe: sfumato.Pipe

    @classmethod
    def of(cls, stock: Any, folder: Path) -> Both:
        stock.set_progress_bar_config(disable=True)
        stock.save_pretrained(folder)
        return cls(stock, folder, sfumato.load(folder))

    def ran(self, prompt: str = "", **options: Any) -> tuple[Tensor, Tensor]:
        """`ran` by DDIM on a trailing grid of four steps, if nothing else is said."""
        return ran(self.pipe, prompt, **{"sampler": "ddim", "times": "trailing", "steps": 4, "seed": 3} | options)


def families(
    built: Mapping[str, Callable[[], Any]], place: Any, then: Callable[[Both], None] = lambda both: None
) -> Any:
    """of(name): both pipelines of what `built` builds by that name, once, `then` done to them. place: pytest's factory
    of folders."""

    @cache
    def of(name: str) -> Both:
        both = Both.of(built[name](), place.mktemp(name.replace(" ", "")))
        then(both)
        return both

    return of


class Watched:
    """Inside, all that a module is called with first, by position or by the name `named`."""

    def __init__(self, module: Any, named: str = "") -> None:
        self.module, self.named, self.calls = module, named, []

    def __enter__(self) -> Watched:
        def keep(_: Any, args: Any, kwargs: Any) -> None:
            self.calls.append((args[0] if args else kwargs[self.named]).detach().clone())

        self.hook = self.module.register_forward_pre_hook(keep, with_kwargs=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.hook.remove()


def painter(pipe: sfumato.Pipe) -> Watched:
    """What the network that paints is given at each step."""
    return Watched(pipe.stage.networks[pipe.stage.painter], "hidden_states")


def ran(pipe: sfumato.Pipe, prompt: str = "", **options: Any) -> tuple[Tensor, Tensor]:
    """What the network was given first of a recipe's pictures, tokens or latents without the planes beside them, and
    where the run ended, in the space that it diffuses in."""
    space, ends = pipe.stage.space, []
    decode = space.decode
    vars(space)["decode"] = lambda x: (ends.append(x), decode(x))[1]
    try:
        with painter(pipe) as network:
            pipe(prompt, **options)
    finally:
        del vars(space)["decode"]
    start = network.calls[0][: options.get("count", 1)]
    return start[:, : space.channels] if start.ndim == 4 else start, ends[-1]


def walked(pipe: sfumato.Pipe, x: Tensor, prompt: str = "", knots: Tensor | None = None, **options: Any) -> Tensor:
    """Where the recipe's guidance and sampler carry x on its grid, or on the given one."""
    recipe = pipe.resolve(pipe.recipes(prompt, **options)[0])
    size = (recipe.width or 0, recipe.height or 0)
    batch = Batch(pipe.adapted(pipe.with_attached(recipe.adapters)).at(size), [recipe], size)
    denoise = batch.denoise([guidance.bind(batch) for guidance in recipe.guidance])
    times = batch.times() if knots is None else knots
    with torch.no_grad():
        *_, last = trajectory(denoise, recipe.sampler, x, times, batch.noise)
    return last.x


def shown(pipe: sfumato.Pipe, x: Tensor) -> Tensor:
    """What our decoder is given of latents."""
    with torch.no_grad(), Watched(pipe.stage.networks["vae"].decoder) as end:
        pipe.stage.space.decode(x)
    return end.calls[-1]


def stock(pipe: Any, *args: Any, **options: Any) -> Tensor:
    """What the decoder of a stock pipeline is given."""
    pipe.set_progress_bar_config(disable=True)
    with torch.no_grad(), Watched(pipe.vae.decoder) as end:
        pipe(*args, output_type="np", **options)
    return end.calls[-1]


def error(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, over the deviation of theirs."""
    assert ours.shape == theirs.shape
    assert bool(torch.isfinite(theirs).all())
    return float((ours - theirs).abs().max() / theirs.std())


def latents_apart(theirs: Any, ours: sfumato.Pipe, *args: Any, said: dict[str, Any], **asked: Any) -> float:
    """The `error` between the latents of a recipe (`said`, with its prompt; DDIM on a trailing grid of four steps if
    nothing else is said) and those of a stock pipeline called with `args` and `asked`, from the same noise."""
    theirs.set_progress_bar_config(disable=True)
    start, end = ran(ours, **{"sampler": "ddim", "times": "trailing", "steps": 4, "seed": 3} | said)
    return error(
        end, theirs(*args, **{"latents": start, "num_inference_steps": 4, "output_type": "latent"} | asked).images
    )


def decoded_apart(theirs: Any, ours: sfumato.Pipe, x: Tensor) -> float:
    """The `error` between our latents, decoded, and a stock pipeline's picture (1, H, W, C) in [0, 1]."""
    with torch.no_grad():
        mine = (ours.stage.space.decode(x) / 2 + 0.5).clamp(0, 1)
    return error(mine, torch.from_numpy(theirs).permute(0, 3, 1, 2))


def tokens(x: Tensor) -> Tensor:
    """Latents as FLUX's and Qwen-Image's stock pipelines take them: a token for each 2 x 2 of their cells."""
    return torch.nn.functional.pixel_unshuffle(x, 2).flatten(2).transpose(1, 2)


def noise(pipe: sfumato.Pipe, size: tuple[int, int], seed: int = 3) -> Tensor:
    """Noise for one picture of that size, drawn as stock pipelines draw it."""
    space = pipe.stage.space
    shape = (1, space.channels, size[1] // space.factor, size[0] // space.factor)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
