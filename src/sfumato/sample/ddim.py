"""DDIM: Song, Meng & Ermon 2021."""

from __future__ import annotations

from pydantic import Field

from sfumato.element import Real, element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.step import Denoise, Knots, ancestral


@element("ddim", label="DDIM")
class DDIM(Sampler):
    """x_s = alpha_s x0 + sigma_s (sqrt(1 - eta^2 (1 - q^2)) eps + eta sqrt(1 - q^2) z).

    q = alpha_t sigma_s/(sigma_t alpha_s). Song et al. 2021, eq. 12 and 16, for any schedule. Order 1.
    eta = 0 is deterministic, inverts when the grid rises, and equals `Euler`; eta = 1 equals `DDPM(variance="small")`
    and, on a variance-exploding schedule, Euler-ancestral.
    """

    eta: Real = Field(default=0.0, ge=0, le=1, description="a number from 0 (deterministic) to 1 (ancestral)")

    @property
    def ancestral_eta(self) -> float:  # type: ignore[override]
        return self.eta

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        return ancestral(denoise(x, t), Knots.of(denoise.schedule, t, s), self.eta, noise), None

    def infotext(self) -> dict[str, str]:
        """With new noise it is that page's "Euler a"."""
        if self.eta == 0:
            return {}
        return {"Sampler": "Euler a"} | ({} if self.eta == 1 else {"Eta": f"{self.eta:g}"})
