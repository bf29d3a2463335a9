"""DDIM: Song, Meng & Ermon 2021."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sfumato.noise import NoiseSource
from sfumato.picture import BadInput
from sfumato.sample.step import Denoise, Knots, State, ancestral


@dataclass(frozen=True)
class DDIM:
    """x_s = alpha_s x0 + sigma_s (sqrt(1 - eta^2 (1 - q^2)) eps + eta sqrt(1 - q^2) z).

    q = alpha_t sigma_s/(sigma_t alpha_s). Song et al. 2021, eq. 12 and 16, for any schedule. Order 1.
    eta = 0 is deterministic, inverts when the grid rises, and equals `Euler`; eta = 1 equals `DDPM(variance="small")`
    and, on a variance-exploding schedule, Euler-ancestral.

    Raises BadInput unless 0 <= eta <= 1.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise BadInput(f"DDIM's eta lies between 0 (deterministic) and 1 (ancestral), not {self.eta}.")

    def init(self, x: Tensor, times: Tensor) -> State:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource
    ) -> tuple[Tensor, State]:
        return ancestral(denoise(x, t), Knots.of(denoise.schedule, t, s), self.eta, noise), None
