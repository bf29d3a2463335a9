"""A picture of ours and of a stock pipeline from the same noise, compared where both are decoded."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Watched:
    """Inside, what a module was called with first and last, by position or by the name `named`."""

    def __init__(self, module: Any, named: str = "") -> None:
        self.module, self.named, self.calls = module, named, []

    def __enter__(self) -> Watched:
        def keep(_: Any, args: Any, kwargs: Any) -> None:
            self.calls.append((args[0] if args else kwargs[self.named]).detach().clone())

        self.hook = self.module.register_forward_pre_hook(keep, with_kwargs=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.hook.remove()


def ours(pipe: Any, prompt: str, **options: Any) -> tuple[Tensor, Tensor, list[Tensor]]:
    """What the network of a pipe was given first, what the decoder was given, and all that the network was given."""
    stage = pipe.stages[0]
    with (
        Watched(stage.networks[stage.painter], "hidden_states") as network,
        Watched(stage.networks["vae"].decoder) as end,
    ):
        pipe(prompt, **options)
    return network.calls[0][:1], end.calls[-1], network.calls


def stock(pipe: Any, *args: Any, **options: Any) -> Tensor:
    """What the decoder of a stock pipeline was given."""
    pipe.set_progress_bar_config(disable=True)
    with torch.no_grad(), Watched(pipe.vae.decoder) as end:
        pipe(*args, output_type="np", **options)
    return end.calls[-1]


def error(a: Tensor, b: Tensor) -> float:
    """The largest difference, in standard deviations of what is compared."""
    return float((a - b).abs().max() / b.std())
