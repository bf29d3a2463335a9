"""Composable diffusion: Liu et al. 2022, "Compositional Visual Generation with Composable Diffusion Models"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sfumato.condition import Condition, Text
from sfumato.denoise import Prediction
from sfumato.predict import expand


def conjuncts(condition: Condition) -> list[Condition]:
    """One condition for each of the texts that a condition's text is joined of; itself if it is but one."""
    text = condition.get(Text)
    if text is None or not text.others:
        return [condition]
    alone = replace(text, others=(), shares=None)
    return [condition.adding(each) for each in (alone, *text.others)]


def joined(outs: Sequence[Prediction], unconditional: Prediction, condition: Condition) -> Prediction:
    """u + sum_i w_i (c_i - u), for x0 and for eps (eq. 11 with the weights in front): what all of the texts ask for.

    w_i are the shares of the condition's text. One text of weight 1 is itself; 0 is unconditional. Classifier-free
    guidance of it by s is u + s sum_i w_i (c_i - u).
    """
    text = condition.get(Text)
    if text is None or text.shares is None:
        raise ValueError("A text that is joined of several says the share of each.")
    u, first = unconditional, outs[0]
    weights = [expand(share, u.x0) for share in text.shares.to(u.x0).unbind(1)]
    x0, eps = (
        getattr(u, name) + sum(w * (getattr(c, name) - getattr(u, name)) for w, c in zip(weights, outs, strict=True))
        for name in ("x0", "eps")
    )
    return first.moved(x0=x0, eps=eps)
