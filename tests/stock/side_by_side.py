"""A stock pipeline and ours of the same folder, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import sfumato


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

    def walked(self, prompt: str = "", **options: Any) -> tuple[Tensor, Tensor]:
        """Where our run of that recipe began and ended, in the space that it diffuses in."""
        return walked(self.pipe, prompt, **options)


def walked(pipe: sfumato.Pipe, prompt: str = "", **options: Any) -> tuple[Tensor, Tensor]:
    stage = pipe.stages[0]
    denoiser: Any = stage.denoiser
    seen: list[Tensor] = []
    ends: list[Tensor] = []
    decode = stage.space.decode
    hook = denoiser.backbone.network.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    vars(stage.space)["decode"] = lambda x: (ends.append(x), decode(x))[1]
    try:
        defaults: dict[str, Any] = {"sampler": "ddim", "times": "trailing", "steps": 4, "seed": 3}
        count = (defaults | options).get("count", 1)
        pipe(prompt, **defaults | options)
    finally:
        hook.remove()
        del vars(stage.space)["decode"]
    return seen[0][:count, : stage.space.channels], ends[-1]


def error(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, over the deviation of theirs."""
    assert ours.shape == theirs.shape
    assert bool(torch.isfinite(theirs).all())
    return float((ours - theirs).abs().max() / theirs.std())
