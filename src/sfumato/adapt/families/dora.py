"""DoRA: Liu et al. 2024, "DoRA: Weight-Decomposed Low-Rank Adaptation"."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def decomposed(weight: Tensor, delta: Tensor, magnitude: Tensor) -> Tensor:
    """m (W + delta)/||W + delta||, eq. 5, m broadcast over the axis that it was trained along.

    Its shape tells which: (out,) and (out, 1, ...) are a length for each output, as peft and diffusers have it;
    (1, in, 1, ...) one for each input, as LyCORIS has it unless it was told otherwise (`wd_on_output`).
    Raises ValueError where the magnitude fits neither.
    """
    outputs, inputs = weight.shape[:2]
    direction = weight + delta
    alone = (1,) * (weight.ndim - 2)
    by_output, by_input = (outputs, 1, *alone), (1, inputs, *alone)
    shape = tuple(magnitude.shape)
    if shape in ((outputs,), by_output):
        axes = tuple(range(1, weight.ndim))
        magnitude = magnitude.reshape(by_output)
    elif shape == by_input:
        axes = (0, *range(2, weight.ndim))
    else:
        raise ValueError(f"its magnitudes are of {shape}, for a weight of {tuple(weight.shape)}")
    length = direction.pow(2).sum(axes, keepdim=True).sqrt()
    return direction * (magnitude / length)
