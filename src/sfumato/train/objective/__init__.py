"""What a diffusion network is trained by: loss x parameterization x weighting x time distribution.

| objective | in a recipe | source |
|---|---|---|
| L_simple | eps, weighting uniform; or any parameterization, weighting simple | Ho et al. 2020, eq. 14 |
| x0, v, min-SNR, sigmoid | parameterization, weighting | see `weighting` |
| the mean mu tilde of a step | mu | Ho et al. 2020, table 2 |
| flow matching | flow, schedule flow; SD3: times logit-normal | Lipman et al. 2023; Esser et al. 2024, eq. 19 |
| EDM | edm, weighting edm, times log-normal, schedule edm | Karras et al. 2022, table 1 |
| denoising score matching | score, weighting simple: lambda = sigma^2 | Song & Ermon 2019, eq. 5 and 6 |
| score matching of p_t, sigma^2 of it | loss score-matching: full, hutchinson, sliced | see `score` |
| L_vlb | loss vlb, times table or importance | Nichol & Dhariwal 2021, eq. 4 and section 3.3 |
| L_hybrid | loss hybrid, times table or importance | Nichol & Dhariwal 2021, eq. 16 |
| L1 | loss regression, norm 1 | Saharia et al. 2022, "Palette", eq. 1 |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from sfumato import bound
from sfumato.denoise import Prediction
from sfumato.picture import BadInput
from sfumato.predict import before, expand, split, target
from sfumato.schedule import Schedule, noised
from sfumato.train.objective import score
from sfumato.train.objective.losses import Hybrid, Regression, ScoreMatching, StockObjective, Vlb
from sfumato.train.objective.times import History, Importance, draw_times
from sfumato.train.objective.weighting import weight, weight_x0

__all__ = ["History", "Objective", "draw_times", "score", "weight", "weight_x0"]

Network = Callable[[Tensor, Tensor], Tensor]
FIXED = {"small": 0.0, "large": 1.0}


class Objective(nn.Module):
    """E_t E_eps of a loss; `recipe` names the choices. `network(x_t, t)` answers F (B, C, ...).

    With a learned variance it answers 2C channels, the second half v in [-1, 1] as `Preconditioned` reads it.
    levels: of 8-bit pictures 256, so that the bound's L_0 is a probability; None where the data are continuous.

    Raises BadInput where the loss needs x0 and eps at a time at which the network's answer does not determine them.
    """

    def __init__(self, recipe: StockObjective, schedule: Schedule, levels: int | None = None):
        super().__init__()
        self.recipe, self.schedule, self.levels = recipe, schedule, levels
        self.history = None
        if isinstance(recipe.times, Importance):
            self.history = History(recipe.table, recipe.times.history)
        name = recipe.parameterization
        if name in ("eps", "score") and not isinstance(recipe.loss, Regression) and schedule(1.0)[0] == 0:
            raise BadInput(
                f'The parameterization "{name}" does not determine the picture at t = 1, where this schedule has '
                f"alpha = 0, and the loss {recipe.loss.kind} asks for it: choose v, or another schedule."
            )

    def forward(
        self, network: Network, x0: Tensor, generator: torch.Generator, where: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The weighted loss of each row and the times drawn. All that is random is drawn on the CPU.

        where (B, 1, ...), 1 or 0: a regression's loss is the mean over the elements where it is 1.
        """
        t, share = self._times(len(x0), generator)
        eps = torch.randn(x0.shape, generator=generator).to(x0)
        losses = self.losses(network, x0, eps, t, generator, where)
        if self.history is not None:
            self.history.note(t, losses)
        return expand(share, losses) * losses, t

    def at(
        self, network: Network, x0: Tensor, t: Tensor, generator: torch.Generator, where: Tensor | None = None
    ) -> Tensor:
        """The unweighted |F - F*|^2 of each row at the times t (B,): what a run measures itself by."""
        eps = torch.randn(x0.shape, generator=generator).to(x0)
        return _mean(self._errors(self._answer(network, x0, eps, t)[0], x0, eps, t).square(), where)

    def losses(
        self,
        network: Network,
        x0: Tensor,
        eps: Tensor,
        t: Tensor,
        generator: torch.Generator,
        where: Tensor | None = None,
    ) -> Tensor:
        """The weighted loss of each row, the mean over its elements, at x_t = alpha x0 + sigma eps; t (B,)."""
        match self.recipe.loss:
            case Regression(norm=norm):
                return self._regression(self._answer(network, x0, eps, t)[0], x0, eps, t, norm, where)
            case Vlb(variance=variance):
                F, v = self._answer(network, x0, eps, t)
                return self._bound(F, FIXED[variance] if v is None else v, x0, eps, t)
            case Hybrid(bound=part):
                F, v = self._answer(network, x0, eps, t)
                return self._regression(F, x0, eps, t) + part * self._bound(F.detach(), v, x0, eps, t)
            case ScoreMatching(trace=trace, projections=count):
                x, (_, sigma) = noised(self.schedule, x0, t, eps), self.schedule(t)
                signs = score.draw_signs(x, count, generator)
                with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
                    found = score.TRACES[trace](lambda x: self._score(network, x, t), x, signs)
                return expand(sigma.square(), found) * found / x[0].numel()

    def _times(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Times, and the weights that make up for how they were drawn."""
        if self.history is not None:
            return self.history.draw(n, generator)
        t = draw_times(self.recipe.times, n, self.recipe.table, generator, self.schedule)  # pyright: ignore[reportArgumentType]
        return t, torch.ones_like(t)

    def _answer(self, network: Network, x0: Tensor, eps: Tensor, t: Tensor) -> tuple[Tensor, Tensor | None]:
        """F, and the fraction of the variance where the network learns it."""
        answer = network(noised(self.schedule, x0, t, eps), t.to(x0.device)).to(x0)
        if not self.recipe.learned_variance:
            return answer, None
        F, v = answer.chunk(2, dim=1)
        return F, (v + 1) / 2

    def _errors(self, F: Tensor, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        return F - target(self.recipe.parameterization, x0, eps, **self._level(t))

    def _level(self, t: Tensor) -> dict[str, Any]:
        """What a parameterization depends on."""
        recipe, (alpha, sigma) = self.recipe, self.schedule(t)
        end = before(recipe.parameterization, self.schedule, t)
        return {"alpha": alpha, "sigma": sigma, "sigma_data": recipe.sigma_data, "before": end}

    def _regression(
        self, F: Tensor, x0: Tensor, eps: Tensor, t: Tensor, norm: int = 2, where: Tensor | None = None
    ) -> Tensor:
        """|sqrt(w) (F - F*)|^norm."""
        w = weight(self.recipe.parameterization, self.recipe.weighting, **self._level(t))
        rooted = expand(w.sqrt(), F) * self._errors(F, x0, eps, t)
        return _mean(rooted.abs().pow(norm), where)

    def _bound(self, F: Tensor, fraction: Tensor | float | None, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """N L_i, whose mean over the N steps is L_vlb less its constant L_T, in bits/dim."""
        assert fraction is not None
        steps = self.recipe.table
        p = self._prediction(F, noised(self.schedule, x0, t, eps), t)
        s = ((t * steps).round() - 1) / steps
        return steps * bound.term(self.schedule, p, x0, s, t, fraction, self.levels)

    def _score(self, network: Network, x: Tensor, t: Tensor) -> Tensor:
        """grad log p_t(x) = -eps/sigma (Song et al. 2021; Vincent 2011), as the network says it."""
        p = self._prediction(network(x, t.to(x.device)).to(x), x, t)
        return -p.eps / expand(p.sigma, x)

    def _prediction(self, F: Tensor, x: Tensor, t: Tensor) -> Prediction:
        level = self._level(t)
        x0, eps = split(self.recipe.parameterization, F, x, **level)
        return Prediction(x, x0, eps, level["alpha"], level["sigma"])


def _mean(errors: Tensor, where: Tensor | None) -> Tensor:
    """The mean of each row over the elements where `where` is 1, which is once at least."""
    if where is None:
        return errors.flatten(1).mean(1)
    where = where.to(errors).expand_as(errors)
    return (errors * where).flatten(1).sum(1) / where.flatten(1).sum(1)
