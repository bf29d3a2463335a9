"""Exponential moving average of the weights, with warm-up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """Shadow weights s <- d s + (1 - d) w with d = min(decay, (1 + step) / (10 + step)).

    The warm-up (TensorFlow's `num_updates` rule) forgets the random start quickly. A function of the step alone, so
    that a resumed run is the same to the bit. Shadows are float32; buffers are followed as they are. torch's
    AveragedModel does not replace this: it keeps a second module, in the weights' own type, at a rate without warm-up.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.decay = decay
        self.shadow = {k: v.detach().clone().float() for k, v in network.named_parameters()}

    def rate(self, step: int) -> float:
        return min(self.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        weights = [w.detach().float() for _, w in network.named_parameters()]
        torch._foreach_lerp_(list(self.shadow.values()), weights, 1 - self.rate(step))

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        """Inside, the network computes with the averaged weights; afterwards it has its own tensors back."""
        own = {k: w.data for k, w in network.named_parameters()}
        for k, w in network.named_parameters():
            w.data = self.shadow[k].to(w.dtype)
        try:
            yield
        finally:
            for k, w in network.named_parameters():
                w.data = own[k]

    def state(self) -> dict[str, Tensor]:
        return self.shadow

    def load(self, state: dict[str, Tensor]) -> None:
        for k, s in self.shadow.items():
            s.copy_(state[k])
