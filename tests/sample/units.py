"""Samplers that are affine in x and in their noises, taken apart exactly: a row for the start and one for each draw."""

from __future__ import annotations

import torch
from torch import Tensor

from sfumato.condition import Condition
from sfumato.denoise import bind
from sfumato.sample import trajectory


class Units:
    """Noise that is 1 in one row for one key, and 0 elsewhere: the i-th new key has row i + 2."""

    def __init__(self, rows: dict | None = None, key: tuple = ()) -> None:
        self.rows, self.key = {} if rows is None else rows, key

    def at(self, *key) -> Units:
        return Units(self.rows, (*self.key, *key))

    def __call__(self, like: Tensor, *key) -> Tensor:
        row = self.rows.setdefault((*self.key, *key), len(self.rows) + 2)
        z = torch.zeros_like(like)
        if row < len(like):
            z[row] = 1
        return z


def end(denoiser, sampler, times: Tensor, mean: float, variance: float) -> tuple[float, float]:
    """Mean and variance at the end of the walk of one number that begins as N(mean, variance)."""
    units = Units()
    for rows in (1, None):  # the first walk counts the draws
        x = torch.zeros(rows or len(units.rows) + 2, 1, dtype=torch.float64)
        x[1:2] = 1
        for step in trajectory(bind(denoiser, Condition.empty(len(x))), sampler, x, times, units):
            x = step.x
    constant, unit, *draws = x[:, 0].tolist()
    slope = unit - constant
    return constant + slope * mean, slope**2 * variance + sum((d - constant) ** 2 for d in draws)
