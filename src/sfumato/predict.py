"""Parameterizations: what the network's output F means, as one table.

With x = alpha x0 + sigma eps every parameterization is a pair (p, q):

    F  = p x0 + q eps                   the training target *is* this sum
    D  = alpha q - sigma p
    x0 = (q x - sigma F) / D
    eps = (alpha F - p x) / D

| name    | (p, q)                                          | source                                      |
|---------|-------------------------------------------------|---------------------------------------------|
| "eps"   | (0, 1)                                          | Ho et al. 2020                              |
| "x0"    | (1, 0)                                          | Ho et al. 2020                              |
| "v"     | (-sigma, alpha)                                 | Salimans & Ho 2022, eq. 12                  |
| "flow"  | (-1, 1)                                         | Lipman et al. 2023; Liu et al. 2023         |
| "score" | (0, -1/sigma)                                   | Song et al. 2021                            |
| "edm"   | ((1 - c_skip alpha)/c_out, -c_skip sigma/c_out) | Karras et al. 2022, table 1; any alpha here |
| "mu"    | (alpha_s, q sigma_s), q = alpha sigma_s/(sigma alpha_s) | Ho et al. 2020, table 2 (mu tilde)  |

"mu" is the mean of the posterior q(x_s | x_t, x0) of one step, whose end (alpha_s, sigma_s) it needs: `before`.

The one boundary is D = 0 (alpha = 0 for "eps" and "score", sigma = 0 for "x0"): there the output does not determine
both x0 and eps, and `split` refuses by name.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sfumato.lazy import Tensor, torch

Level = tuple[Tensor | float, Tensor | float]

NAMES = ("eps", "x0", "v", "flow", "score", "edm", "mu")
SIGMA_DATA = 0.5


def expand(a: Tensor | float, x: Tensor) -> Tensor:
    """A number, or one number a row, shaped to multiply `x` (B, ...) and cast to its dtype and device.

    A (B,) float64 tensor times a float32 picture would silently become float64; this is the one place that casts.
    """
    a = a if isinstance(a, torch.Tensor) else torch.tensor(a, dtype=torch.float64)
    if a.ndim == 1:
        a = a.reshape(-1, *[1] * (x.ndim - 1))
    elif a.ndim > 1:
        raise ValueError(f"expected a number or one number a row, shape () or (B,), not {tuple(a.shape)}.")
    return a.to(device=x.device, dtype=x.dtype)


def before(name: str, schedule: Any, t: Tensor | float) -> Level | None:
    """(alpha_s, sigma_s) a step of the schedule's table below t, whose mean "mu" is; None for any other name."""
    if name != "mu":
        return None
    return schedule((torch.as_tensor(t, dtype=torch.float64) - 1 / schedule.count).clamp(min=0))


def coefficients(
    name: str,
    alpha: Tensor | float,
    sigma: Tensor | float,
    *,
    sigma_data: float = SIGMA_DATA,
    before: Level | None = None,
) -> tuple[Tensor, Tensor]:
    """The pair (p, q) with F = p x0 + q eps, in the shape of `alpha` and `sigma` and at least float32.

    `sigma_data` is the standard deviation of the data, used by "edm" alone: with
    c_skip = alpha sigma_data^2 / n^2, c_out = sigma sigma_data / n and n^2 = alpha^2 sigma_data^2 + sigma^2 its pair is
    (sigma / (sigma_data n), -alpha sigma_data / n), written so that nothing is divided by sigma. For a
    variance-preserving schedule and sigma_data = 1 "edm" is minus "v".

    `before` is (alpha_s, sigma_s) at the end of the step, used by "mu" alone.

    Raises ValueError for an unknown name, for "score" where sigma = 0, and for "mu" without `before`.
    """
    a, s = _pair(alpha, sigma)
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    match name:
        case "eps":
            return zero, one
        case "x0":
            return one, zero
        case "v":
            return -s, a
        case "flow":
            return -one, one
        case "score":
            if bool((s == 0).any()):
                raise ValueError('The parameterization "score" is infinite at sigma = 0: keep t above 0.')
            return zero, -1 / s
        case "edm":
            n = torch.hypot(a * sigma_data, s)
            return s / (sigma_data * n), -a * sigma_data / n
        case "mu":
            if before is None:
                raise ValueError('The parameterization "mu" is the mean of a step: give alpha and sigma at its end.')
            a_s, s_s = _pair(*before)
            return a_s, a * s_s**2 / (s * a_s)
    raise ValueError(f"Unknown parameterization {name!r}: choose one of {', '.join(NAMES)}.")


def target(
    name: str,
    x0: Tensor,
    eps: Tensor,
    alpha: Tensor | float,
    sigma: Tensor | float,
    *,
    sigma_data: float = SIGMA_DATA,
    before: Level | None = None,
) -> Tensor:
    """What the network is trained to say: p x0 + q eps. x0, eps (B, ...); alpha, sigma () or (B,).

    Computed as the sum, never as (x0 - c_skip x)/c_out, which loses all digits at small sigma.
    """
    p, q = coefficients(name, alpha, sigma, sigma_data=sigma_data, before=before)
    x0, eps = _float(x0), _float(eps)
    return expand(p, x0) * x0 + expand(q, eps) * eps


def split(
    name: str,
    F: Tensor,
    x: Tensor,
    alpha: Tensor | float,
    sigma: Tensor | float,
    *,
    sigma_data: float = SIGMA_DATA,
    before: Level | None = None,
) -> tuple[Tensor, Tensor]:
    """x0 and eps from the network's output F at x (B, ...): each straight from F, in float32 (or float64 if x is).

    Deriving eps from x0 afterwards would divide rounding errors by sigma.

    Raises ValueError where D = 0.
    """
    x, (a, s) = _float(x), _pair(alpha, sigma)
    F = F.to(x.dtype)
    alone = a.ndim == 0 and a.dtype == torch.float64 and not (a.requires_grad or s.requires_grad)
    if alone and before is None and a.device.type == "cpu":
        to_x0, from_x0, to_eps, from_eps = _solved_at(name, a.item(), s.item(), sigma_data)
    else:
        solved = _solved(name, a, s, sigma_data, before)
        to_x0, from_x0, to_eps, from_eps = (expand(number, x) for number in solved)
    return to_x0 * x - from_x0 * F, to_eps * F - from_eps * x


def _solved(name: str, a: Tensor, s: Tensor, sigma_data: float, before: Level | None) -> tuple[Tensor, ...]:
    """q/D, s/D, a/D and p/D."""
    p, q = coefficients(name, a, s, sigma_data=sigma_data, before=before)
    D = a * q - s * p
    if bool((D == 0).any()):
        raise ValueError(
            f'The parameterization "{name}" does not determine the picture and the noise at '
            f"{'sigma = 0 (t = 0)' if name == 'x0' else 'alpha = 0 (t = 1)'}: keep t inside, or use v."
        )
    return q / D, s / D, a / D, p / D


@lru_cache(maxsize=4096)
def _solved_at(name: str, alpha: float, sigma: float, sigma_data: float) -> tuple[Tensor, ...]:
    """The same at one time for all rows, as scalars that stay on the CPU: no device has to wait for them, and PyTorch
    multiplies by them sooner than by Python's numbers."""
    with torch.inference_mode(False):
        a, s = (torch.tensor(number, dtype=torch.float64, device="cpu") for number in (alpha, sigma))
        return _solved(name, a, s, sigma_data, None)


def _float(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _pair(alpha: Tensor | float, sigma: Tensor | float) -> tuple[Tensor, Tensor]:
    a, s = (_float(n) if isinstance(n, torch.Tensor) else torch.tensor(n, dtype=torch.float64) for n in (alpha, sigma))
    return (a, s) if a.shape == s.shape else (a.expand_as(a * s), s.expand_as(a * s))
