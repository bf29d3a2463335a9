"""Noise schedules: x_t = alpha(t) x0 + sigma(t) eps for t in [0, 1], 0 clean, 1 noise.

Everything is float64, sigma goes through expm1 or sines (sqrt(1 - alpha^2) loses every digit at small t), and
schedule(0) is exactly (1, 0). `time` inverts kappa = sigma/alpha in closed form.

| schedule | alpha, sigma | source |
|---|---|---|
| `Discrete` | a table of betas, exact at its knots; zero terminal SNR | Ho et al. 2020; Lin et al. 2023 |
| `VPLinear` | exp(-L/2), sqrt(1 - exp(-L)), beta linear | Song et al. 2021, eq. 33 |
| `VPScaledLinear` | the same with sqrt(beta) linear | Rombach et al. 2022, in the limit of many steps |
| `SubVP` | exp(-L/2), 1 - exp(-L) | Song et al. 2021, eq. 29 |
| `Cosine` | cos(u)/cos(u_0) | Nichol & Dhariwal 2021, eq. 17 |
| `VE` | 1, geometric | Song et al. 2021, eq. 30 |
| `EDM` | 1, sigma_max t^rho | Karras et al. 2022, eq. 5 |
| `Flow` | 1 - u, u | Lipman et al. 2023; Liu et al. 2023 |
| `FlowBySteps` | the same, its shift that of as many steps as are walked | Black Forest Labs 2025, FLUX.2 |
| `shifted(schedule, factor)` | kappa multiplied: for larger pictures | Hoogeboom et al. 2023; Esser et al. 2024 |
"""

from sfumato.schedule.base import Schedule, diffusion, drift, log_snr, noised, sde
from sfumato.schedule.cosine import Cosine
from sfumato.schedule.discrete import Discrete
from sfumato.schedule.exploding import EDM, VE
from sfumato.schedule.flow import Flow
from sfumato.schedule.flow_by_steps import FlowBySteps
from sfumato.schedule.linear import SubVP, VPLinear, VPScaledLinear
from sfumato.schedule.shift import Shifted, shifted

__all__ = [
    "EDM",
    "VE",
    "Cosine",
    "Discrete",
    "Flow",
    "FlowBySteps",
    "Schedule",
    "Shifted",
    "SubVP",
    "VPLinear",
    "VPScaledLinear",
    "diffusion",
    "drift",
    "log_snr",
    "noised",
    "sde",
    "shifted",
]
