"""AdamW, and the learning rate over a run."""

from __future__ import annotations

import math

import torch
from torch import nn

from sfumato.picture import BadInput
from sfumato.train.hyperparameters import Optimizer


def learning_rate(o: Optimizer, step: int, done: float) -> float:
    """Linear warm-up over `o.warmup` steps times, for "cosine", (1 + cos(pi done)) / 2 from 1 to `o.final`.

    `done` in [0, 1] is how much of the run is behind (Loshchilov and Hutter 2017, eq. 5, without restarts).
    """
    warm = min(1.0, (step + 1) / o.warmup) if o.warmup else 1.0
    if o.schedule == "constant":
        return o.lr * warm
    return o.lr * warm * (o.final + (1 - o.final) * (1 + math.cos(math.pi * min(done, 1.0))) / 2)


def adamw(network: nn.Module, o: Optimizer) -> torch.optim.Optimizer:
    """AdamW; matrices and kernels decay, vectors (norms, biases) and scalars do not. BadInput where its means are to be
    of 8 bits and what does that is not here."""
    matrices = [w for w in network.parameters() if w.requires_grad and w.ndim > 1]
    vectors = [w for w in network.parameters() if w.requires_grad and w.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": o.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    if o.bits == 32:
        return torch.optim.AdamW(groups, lr=o.lr, betas=o.betas, fused=True)
    try:
        from bitsandbytes.optim import AdamW8bit  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError, RuntimeError):
        raise BadInput(
            "optimizer.bits: 8 needs bitsandbytes, which isn't here (pip install 'sfumato[quantized]'): leave it at 32"
        ) from None
    return AdamW8bit(groups, lr=o.lr, betas=o.betas)
