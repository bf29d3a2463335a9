"""Whether another model can answer in this one's place: for what guides or goes on with two."""

from __future__ import annotations

from typing import Any

from sfumato.lazy import torch
from sfumato.picture import BadInput


def check_same(what: str, ours: Any, theirs: Any, times: int = 11) -> None:
    """Raises BadInput, which begins with `what`, where two `Stage`s diffuse in other spaces, or know other levels of
    noise at the same times."""
    if type(ours.space) is not type(theirs.space) or any(
        getattr(ours.space, name, None) != getattr(theirs.space, name, None)
        for name in ("channels", "factor", "scale", "shift")
    ):
        raise BadInput(f"{what} paints in another space than this model.")
    t = torch.linspace(0, 1, times, dtype=torch.float64)
    levels = zip(ours.denoiser.schedule(t), theirs.denoiser.schedule(t), strict=True)
    if not all(torch.allclose(a, b, atol=1e-4) for a, b in levels):
        raise BadInput(f"{what} knows other levels of noise than this model.")
