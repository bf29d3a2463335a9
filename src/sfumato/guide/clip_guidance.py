"""CLIP guidance: Nichol et al. 2022 (GLIDE), section 2.4; with a CLIP of clean pictures as Crowson does it (2021)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, get_args

from pydantic import Field, model_validator

from sfumato.condition import Condition, Injection
from sfumato.denoise import Prediction
from sfumato.element import Interval, ModelName, Real, Whole, element, one_of
from sfumato.guide.gradient import Gradient, carried
from sfumato.guide.guidance import ALWAYS, Guidance, check_interval
from sfumato.lazy import Tensor, torch
from sfumato.picture import BadInput
from sfumato.predict import expand
from sfumato.schedule import Schedule

Through = Literal["network", "x0"]
SEES = ("noised", "x0", "network")


@element("clip")
class ClipGuidance(Guidance):
    """eps - sigma scale grad of CLIP's logit of picture and caption (Nichol et al. 2022, eq. 8): see `ClipGradient`.

    scale: 0 means off, 1 is CLIP's own log-odds. through: what CLIP sees: "noised" x_t itself (a tower trained on
    noise), "x0" the clean picture expected at x_t, "network" the same with the gradient through the network (dearer,
    exact). clip: the folder of a CLIPModel with its tokenizer; "" is clip_noised/ or clip/ in the model's own folder.
    prompt: "" is the recipe's own. cutouts: windows of the clean picture that are averaged over. interval: ends before
    t = 1 as a classifier's does: guided there too, mini's CLIP score falls from 63 to 43, not rises to 69.
    """

    scale: Real = Field(default=3.0, ge=0, le=1000, description="a number from 0 (off) to 1000")
    through: Annotated[str, one_of(SEES)] = Field(default="noised", description=" or ".join(SEES))
    clip: ModelName = Field(
        default="", description="a folder's path or a built-in network's name, or '' for the one in the model's folder"
    )
    interval: Interval = (0.0, 0.9)
    prompt: str = Field(default="", max_length=20_000, description="text of at most 20,000 characters")
    cutouts: Whole = Field(default=1, ge=1, le=64, description="a whole number from 1 to 64")

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, values: Any) -> Any:
        """Recipes once said "eye" for `through`."""
        if isinstance(values, dict) and "eye" in values and "through" not in values:
            return {"through": values["eye"], **{name: value for name, value in values.items() if name != "eye"}}
        return values

    @model_validator(mode="after")
    def _fits(self) -> ClipGuidance:
        if self.cutouts > 1 and self.through == "noised":
            raise ValueError("cutouts are windows of a clean picture: give through='x0' or 'network', or one cutout")
        return self

    def bind(self, batch: Any) -> ClipGradient:
        """Raises `BadInput` where there is no caption, or the CLIP can't see what this model draws."""
        prompts = batch.captions(self.prompt)
        if not all(prompts):
            raise BadInput("CLIP guidance needs a caption: give the recipe a prompt, or the guidance its own.")
        noised = self.through == "noised"
        clip, space = batch.network(self.clip, "clip_noised" if noised else "clip"), batch.stage.space
        if not noised:
            mode: Any = self.through
            image: ClipImage = CleanClip(clip.image, space.decode, clip.size, mode, self.cutouts)
        elif clip.noise is not None and clip.noise["channels"] != space.channels:
            raise BadInput(
                f"This CLIP was trained on {clip.noise['channels']} noisy channels and this model draws "
                f"{space.channels}: train one for it with 'sfumato train mini-clip-noised', or guide with through='x0'."
            )
        else:
            image = NoisedClip(clip.noised, clip.schedule)
        return ClipGradient(image, clip.text(prompts), self.scale, self.interval, clip.logit_scale)


class ClipImage(Protocol):
    """What a CLIP sees of a row on its way: unit vectors (cutouts, B, D), differentiable in x."""

    @property
    def through(self) -> bool: ...

    def __call__(self, current: Prediction, x: Tensor, t: Tensor) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class NoisedClip:
    """f(x_t): an image tower that was trained on noisy pictures (or latents) of `schedule`. GLIDE's own way.

    tower: (x (B, C, H, W), t (B,)) -> embeddings (B, D), of any length.
    """

    tower: Callable[[Tensor, Tensor], Tensor]
    schedule: Schedule
    through = False

    def __call__(self, current: Prediction, x: Tensor, t: Tensor) -> Tensor:
        return torch.nn.functional.normalize(self.tower(*carried(x, current, t, self.schedule)), dim=-1)[None]


@dataclass(frozen=True, eq=False)
class CleanClip:
    """f(decode(x0)): an ordinary image tower, shown the clean picture that the denoiser expects at x_t.

    tower: pictures (B, 3, H, W) in [-1, 1] -> embeddings (B, D). decode: from the diffusion's space to pictures.
    size: the side, in pixels, of the square pictures that the tower reads; others are resized.
    mode: "network" takes the gradient through the denoiser, d x0/d x_t exactly; "x0" stops it at x0 and takes
        d x0/d x_t = alpha/(alpha^2 + sigma^2), the posterior mean's slope for data of unit variance: no backward pass
        through the network, and exact for such a Gaussian.
    cutouts: how many views the likeness is averaged over: the whole picture, then square windows of it between half
        and all of its shorter side, placed by Halton's sequence, the same at every step.
    """

    tower: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    size: int
    mode: Through = "network"
    cutouts: int = 1

    def __post_init__(self) -> None:
        if self.mode not in get_args(Through):
            raise BadInput(f"CLIP guidance goes through {' or '.join(get_args(Through))}, not {self.mode!r}.")
        if self.cutouts < 1:
            raise BadInput(f"CLIP guidance looks at one cutout or more, not {self.cutouts}.")

    @property
    def through(self) -> bool:
        return self.mode == "network"

    def __call__(self, current: Prediction, x: Tensor, t: Tensor) -> Tensor:
        pictures = self.decode(self._x0(current, x))
        size = (self.size, self.size)
        resized = (
            torch.nn.functional.interpolate(view, size, mode="bilinear", antialias=True)
            for view in self._views(pictures)
        )
        return torch.stack([torch.nn.functional.normalize(self.tower(view), dim=-1) for view in resized])

    def _x0(self, p: Prediction, x: Tensor) -> Tensor:
        if self.mode == "network":
            if not p.x0.requires_grad:
                raise BadInput("This network lets no gradient through: guide with through='x0', or use another engine.")
            return p.x0
        slope = p.alpha / (p.alpha.square() + p.sigma.square())
        return p.x0.detach() + expand(slope, x) * (x - x.detach())  # the value of x0, with the slope in x

    def _views(self, pictures: Tensor) -> list[Tensor]:
        height, width = pictures.shape[-2:]
        views = [pictures]
        for wide, down, across in halton(self.cutouts - 1):
            side = round(min(height, width) * (1 + wide) / 2)
            top, left = round((height - side) * down), round((width - side) * across)
            views.append(pictures[..., top : top + side, left : left + side])
        return views


@dataclass(frozen=True, eq=False)
class ClipGradient(Gradient):
    """eps - sigma scale grad (logit_scale f . g): climbs the likeness of what CLIP sees, f, and the caption, g.

    Nichol et al. 2022, eq. 8: mu + s Sigma grad (f(x_t) . g(c)), the mean's form for ancestral samplers; every other
    one uses eps as it stands. Seed 004, section 3.2.1; seed 001, "CLIP as a classifier guidance".

    image: `NoisedClip` (sees x_t; one pass forward and back through the tower) or `CleanClip` (sees x0).
    text: g(c), embeddings (pictures, D), a row for each picture of the run, or one for all.
    scale: 0 is off and costs nothing; 1 is CLIP's own log-odds, logit_scale f . g being its logit.
    logit_scale: CLIP's inverse temperature, 100 in OpenAI's.
    interval: it acts where t lies in it. Near t = 1 a trained tower's gradient is noise, which sigma^2/alpha makes
        large in x0: end before it, at 0.9 for the cosine's table.

    It needs no text that the network was conditioned on: a caption can steer an unconditional model.
    """

    image: ClipImage
    text: Tensor
    scale: float = 1.0
    interval: tuple[float, float] = ALWAYS
    logit_scale: float = 100.0

    def __post_init__(self) -> None:
        check_interval(self.interval)

    @property
    def through(self) -> bool:  # type: ignore[override]
        return self.image.through

    def log_likelihood(self, current: Prediction, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        f = self.image(current, x, t)
        g = torch.nn.functional.normalize(self.text.to(f), dim=-1)
        if len(g) > 1:
            row, pairs = condition.picture, condition.get(Injection)
            if pairs is not None:  # the companions' captions stand behind the pictures'
                row = row + pairs.source.to(row.device) * (len(g) // 2)
            g = g[row.to(g.device)]
        return self.logit_scale * (f * g).sum(-1).mean(0)


def halton(count: int) -> Any:
    """The first `count` points of Halton's sequence in the unit cube, without the corner 0: (count, 3)."""
    from scipy.stats import qmc

    return qmc.Halton(3, scramble=False).random(count + 1)[1:]
