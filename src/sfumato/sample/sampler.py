"""What a sampler is, and which denoisers it refuses: those whose answer it would take for something else."""

from __future__ import annotations

from typing import Any, ClassVar

from sfumato.element import Element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.picture.errors import BadInput
from sfumato.sample.step import Denoise

State = Any
Moved = tuple[Tensor, State]
"""x at the end of a step, and the state for the next one."""


class Sampler(Element, kinds="sampler", package="sfumato.sample"):
    """One way to walk a time grid, as a value: its fields are its options.

    It keeps nothing between two steps: what a multistep method remembers is the state that `init` begins and `step`
    passes on. t and s are 0-d; s == t is a corrector, s > t an inversion.
    """

    ancestral_eta: ClassVar[float | property] = 0.0
    """The eta of the `DDIM` that it equals, where it adds noise of its own: 1 is ancestral sampling."""
    reads_score: ClassVar[bool] = False
    """Whether it reads the score, or the flow's slope, at x_t from x0 and eps, and so needs them to belong to x_t."""
    walks_consistency: ClassVar[bool] = False
    """Whether it takes x0 for a consistency function's answer, which every other sampler would err on."""
    own_schedule: ClassVar[str | None] = None
    """The schedule, as A1111's page calls it, that other tools walk it on, whatever schedule they name."""

    def init(self, x: Tensor, times: Tensor) -> State:
        """The state before the first step from x (B, ...) along the grid `times`; nothing, for one-step methods."""
        return None

    @property
    def remembers(self) -> bool:
        """Whether a step knows of those before it, which is lost where a walk goes on elsewhere."""
        return type(self).init is not Sampler.init and type(self).renew is Sampler.renew

    def counted(self, steps: int) -> tuple[Sampler, int]:
        """Itself and the steps that it takes here where other tools say `steps`: the same, but for those that count
        otherwise."""
        return self, steps

    def renew(self, state: State, x: Tensor, times: Tensor) -> State:
        """The state where a walk goes on elsewhere, behind a rise or where another model takes over: what is remembered
        says nothing there, so that it begins anew."""
        return self.init(x, times)

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        """x moved from t to s, and the state for the next step."""
        raise NotImplementedError


def refuse_misfits(denoise: Any, sampler: Sampler) -> None:
    """Raises BadInput where a denoiser, bound, guided or alone, and a sampler don't go together.

    A consistency function's x0 is no mean over what x_t may have been, and the eps that follows no score: every solver
    of the flow would err. A guidance that moves x0 and leaves eps (CFG++) is lost, wholly or in part, on a sampler
    that reads the slope at x from them: its pictures would be those of weaker guidance, or of none.
    """
    inner = denoise
    while inner is not None:
        if getattr(inner, "consistency", False) and not sampler.walks_consistency:
            raise BadInput(
                f"This model is a consistency function, which {type(sampler).__name__} cannot walk: "
                'choose the sampler "consistency".'
            )
        for guidance in getattr(inner, "guidances", ()):
            refuse_guidance(guidance, sampler)
        inner = getattr(inner, "denoiser", None)


def refuse_guidance(guidance: Any, sampler: Sampler) -> None:
    """Raises BadInput where `sampler` reads the score at x from its answer, and `guidance` doesn't keep it one."""
    if sampler.reads_score and not getattr(guidance, "keeps_score", True):
        raise BadInput(
            f"{type(guidance).__name__} guides the picture and not the noise, and {type(sampler).__name__} takes both "
            "for one answer: choose another sampler, as ddim or dpmpp-2m, or another guidance, as classifier-free."
        )
