"""Which times a network is trained at."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from sfumato.element.section import Few, Named, Rate, Section
from sfumato.schedule import Schedule


class Uniform(Section):
    """Stratified over [0, 1]."""

    kind: Literal["uniform"] = "uniform"


class LogitNormal(Section):
    """More often in the middle: what Stable Diffusion 3 is trained with."""

    kind: Literal["logit-normal"]
    mean: float = 0.0
    std: Rate = 1.0


class LogNormal(Section):
    """kappa = sigma/alpha log-normal: EDM's noise."""

    kind: Literal["log-normal"]
    mean: float = -1.2
    std: Rate = 1.2


class Table(Section):
    """An index of the discrete table, uniformly: what a network of Stable Diffusion's kind is trained with."""

    kind: Literal["table"] = "table"


class Cubic(Section):
    """More often near t = 1, where a picture is laid out: what T2I-Adapters are trained with."""

    kind: Literal["cubic"]


class Importance(Section):
    """An index of the table as often as its loss is large: the root of the mean square of its last `history` losses."""

    kind: Literal["importance"]
    history: Few = 10


Times = Annotated[Uniform | LogitNormal | LogNormal | Table | Cubic | Importance, Field(discriminator="kind"), Named]


def draw_times(
    times: Uniform | LogitNormal | LogNormal | Table | Cubic,
    n: int,
    table: int,
    generator: torch.Generator,
    schedule: Schedule,
) -> Tensor:
    """n training times in (0, 1], float64.

    - table: t = (i + 1)/N with i uniform in 0..N-1 (Ho et al. 2020, Alg. 1).
    - uniform: stratified, t_k = (k + u)/n with one u for all (Kingma et al. 2021, "Variational diffusion models",
      appendix I.1): same mean, less variance; the rows are shuffled because n pictures are exchangeable anyway.
    - logit-normal: t = 1/(1 + exp(-(mean + std z))) (Esser et al. 2024, eq. 19).
    - cubic: t = 1 - u^3 on the table, (floor((1 - u^3) N) + 1)/N: P(t > s) = (1 - s)^(1/3), half of them above 7/8
      (Mou et al. 2023, "T2I-Adapter", non-uniform time step sampling).
    - log-normal: the time at which kappa = sigma/alpha is exp(mean + std z) (Karras et al. 2022, table 1), at most 1.
    """
    match times:
        case Table():
            return (torch.randint(table, (n,), generator=generator).double() + 1) / table
        case Uniform():
            u = torch.rand((), generator=generator, dtype=torch.float64)
            return 1 - (torch.arange(n, dtype=torch.float64) + u) / n
        case LogitNormal(mean=mean, std=std):
            return torch.sigmoid(mean + std * torch.randn(n, generator=generator).double())
        case Cubic():
            u = torch.rand(n, generator=generator, dtype=torch.float64)
            return (((1 - u**3) * table).floor().clamp(max=table - 1) + 1) / table
        case LogNormal(mean=mean, std=std):
            kappa = torch.exp(mean + std * torch.randn(n, generator=generator).double())
            return schedule.time(kappa).clamp(max=1)


class History(nn.Module):
    """Steps of a table as often as their losses are large: Nichol & Dhariwal 2021, section 3.3.

    p_i is proportional to sqrt(E[L_i^2]) over the last `length` losses of step i, and uniform until every step has so
    many; one draw in a thousand stays uniform, so that no step is forgotten. A loss drawn so is weighted by
    1/(N p_i), which keeps its mean. The losses are buffers: they are saved with the run, and the processes of one run
    share those of the first.
    """

    losses: Tensor
    counts: Tensor

    def __init__(self, steps: int, length: int = 10, uniform: float = 0.001):
        super().__init__()
        self.uniform = uniform
        self.register_buffer("losses", torch.zeros(steps, length))
        self.register_buffer("counts", torch.zeros(steps, dtype=torch.long))

    def chances(self) -> Tensor:
        """p (N,), float64 on the CPU."""
        steps, length = self.losses.shape
        flat = torch.full((steps,), 1 / steps, dtype=torch.float64)
        if bool((self.counts < length).any()):
            return flat
        root = self.losses.cpu().double().square().mean(1).sqrt()
        return (1 - self.uniform) * root / root.sum() + self.uniform * flat if bool(root.sum() > 0) else flat

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Times (n,) of steps drawn by their chances, and the weights that make up for it."""
        p = self.chances()
        i = torch.multinomial(p, n, replacement=True, generator=generator)
        return (i.double() + 1) / len(p), 1 / (len(p) * p[i])

    @torch.no_grad()
    def note(self, t: Tensor, losses: Tensor) -> None:
        """Remember the losses of a batch, in the place of each step's oldest."""
        steps, length = self.losses.shape
        i, order = (t * steps).round().long().sub(1).sort(stable=True)
        first, after = torch.searchsorted(i, i), torch.searchsorted(i, i, right=True)
        place = torch.arange(len(i))
        kept = after - place <= length  # of more than fit, the last
        row, slot = i.to(self.counts.device), (place - first).to(self.counts.device)
        slot = (self.counts[row] + slot) % length
        self.losses[row[kept], slot[kept]] = losses.detach().float()[order][kept].to(self.losses.device)
        self.counts += torch.bincount(i, minlength=steps).to(self.counts.device)
