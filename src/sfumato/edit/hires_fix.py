"""Hires fix: painted small, enlarged, and painted over (A1111's web page, "hires. fix")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import lcm
from typing import Annotated, Any

from PIL import Image
from pydantic import Field

from sfumato.edit.noise_start import Noise
from sfumato.edit.sdedit import NoisedStart
from sfumato.edit.start import BoundStart, Start, Times
from sfumato.element import Listed, Real, Whole, element, one_of
from sfumato.guide import Guidance
from sfumato.lazy import Tensor, torch
from sfumato.noise import NoiseSource
from sfumato.picture import BadInput
from sfumato.sample import Sampler
from sfumato.sample.step import Denoise
from sfumato.schedule import noised
from sfumato.times import TimeGrid

LATENT = {
    "latent": ("Latent", "bilinear", False),
    "latent-antialiased": ("Latent (antialiased)", "bilinear", True),
    "latent-bicubic": ("Latent (bicubic)", "bicubic", False),
    "latent-bicubic-antialiased": ("Latent (bicubic antialiased)", "bicubic", True),
    "latent-nearest": ("Latent (nearest)", "nearest", False),
    "latent-nearest-exact": ("Latent (nearest-exact)", "nearest-exact", False),
}
"""Ways to enlarge latents: what A1111's web page calls them, torch's interpolation, and whether it is antialiased."""
PICTURES = {"lanczos": ("Lanczos", Image.Resampling.LANCZOS), "nearest": ("Nearest", Image.Resampling.NEAREST)}
"""Ways to enlarge the decoded picture: what A1111's web page calls them, and Pillow's filter."""
LABELS = {way: said[0] for way, said in (LATENT | PICTURES).items()}
WAYS = tuple(LABELS)
SHARES = ("time", "steps")
OWN = ("steps", "sampler", "times", "prompt", "negative", "guidance")
"""What the first walk may have of its own, by the recipe's names."""
TEXT = "text of at most 20,000 characters"
MOST = 0.999  # A1111's largest share of the steps
LONGEST = 100_000


def whole_walk(steps: int, strength: float) -> int:
    """The steps of the walk from pure noise whose last `steps` are a share `strength` of it. Raises BadInput for more
    than 100,000."""
    if steps > LONGEST * strength:
        raise BadInput(
            f"{steps} steps are a share of {strength:g} of more than {LONGEST:,}: give hires-fix a larger strength, or "
            "a share of the time, of=time."
        )
    return int(steps / min(strength, MOST))


@element("hires-fix")
class HiresFix(Start):
    """Start from the picture that the same words make at 1/`scale` of the size, enlarged and noised to `strength`.

    A model that paints far above the size it was trained at repeats its subject. So it paints the picture near that
    size first, in `first_steps` steps (those of the recipe where nothing is said), which settles what is where; the
    picture is enlarged by `enlarge`, and SDEdit (Meng et al. 2022) gives it the details of the larger size. The
    recipe's size is that of the result, by default `scale` times the model's own; its guidance, sampler, controls and
    hold act on both walks. *mini*, asked for 256 x 256, shows half of what was asked at once, and 87 % so: see
    `benchmarks/hires_fix.py`. What is enlarged as latents keeps more freedom and needs a strength above about 0.5.
    `of` says what the strength is a share of: "time", as everywhere here, or "steps", as A1111 and ComfyUI ("denoise")
    have it: the second walk is then the last n of the int(n / strength) steps that the grid makes from pure noise.
    What begins with `first` is of the first walk, where that is not the recipe's: "a harbour" may become "ropes, wet
    wood" in the second. An edit by attention (Prompt-to-Prompt) is of the first walk alone, where it is settled what is
    where; the second gives the edited picture its details.
    """

    scale: Real = Field(default=2.0, gt=1, le=8, description="a number above 1 and up to 8")
    strength: Real = Field(
        default=0.4, gt=0, le=1, description="a number above 0 (the enlarged picture) and up to 1 (pure noise)"
    )
    enlarge: Annotated[str, one_of(WAYS)] = Field(default="lanczos", description=" or ".join(WAYS))
    of: Annotated[str, one_of(SHARES)] = Field(default="time", description=" or ".join(SHARES))
    first_steps: Whole | None = Field(
        default=None, ge=1, le=1000, description="a whole number from 1 to 1000, or nothing for the recipe's steps"
    )
    seed: Whole | None = Field(
        default=None, ge=0, le=2**63 - 1, description="the seed of the second walk, or nothing for the recipe's"
    )
    unit: bool = Field(default=True, description="true for first noise of unit variance, false for sigma z")
    first_sampler: Sampler | None = Field(default=None, description="a sampler, or nothing for the recipe's")
    first_times: TimeGrid | None = Field(default=None, description="a time grid, or nothing for the recipe's")
    first_prompt: str | None = Field(
        default=None, max_length=20_000, description=f"{TEXT}, or nothing for the recipe's"
    )
    first_negative: str | None = Field(
        default=None, max_length=20_000, description=f"{TEXT}, or nothing for the recipe's"
    )
    first_guidance: Listed[Guidance] | None = Field(
        default=None, max_length=16, description="a list of at most 16 guidances, or nothing for the recipe's"
    )

    @property
    def enlarges(self) -> float:  # type: ignore[override]
        return self.scale

    def infotext(self) -> dict[str, str]:
        return {"Denoising strength": f"{self.strength:g}", "Hires upscaler": LABELS[self.enlarge]}

    def before(self, recipe: Any) -> Any:
        own = {field: getattr(self, f"first_{field}") for field in OWN}
        told = {field: value for field, value in own.items() if value is not None}
        return replace(recipe, start=Noise(self.unit), **told)

    def first_walk(self, steps: int, size: tuple[int, int]) -> dict[str, str]:
        width, height = self.first_size(size, 8)
        first = {"Steps": f"{self.first_steps or steps}", "Hires steps": f"{steps}"}
        return {**first, "Size": f"{width}x{height}", "Hires resize": f"{size[0]}x{size[1]}"}

    def first_size(self, size: tuple[int, int], multiple: int) -> tuple[int, int]:
        """The (width, height) of the first walk, of one that ends at `size`."""
        width, height = (max(round(side / self.scale / multiple), 1) * multiple for side in size)
        return width, height

    def bind(self, batch: Any) -> EnlargedStart:
        recipe = batch.recipe
        if self.of == "steps" and recipe.times.rises:
            raise BadInput(f"{recipe.times.kind} walks back up: give {self.kind} a share of the time, of=time.")
        if self.of == "steps":  # refused before the first walk is walked
            recipe.times(whole_walk(recipe.steps, self.strength), batch.schedule)
        seeds = [each.seed if self.seed is None else self.seed for each in batch.recipes]
        return EnlargedStart(self, batch, self.smaller(batch), recipe.noise.source(seeds).at(self.kind))

    def smaller(self, batch: Any) -> Any:
        """The batch of the first walk. Raises BadInput where the picture is too small to be painted smaller."""
        grain = lcm(batch.stage.multiple, 4)
        width, height = self.first_size(batch.size, grain)
        if (width, height) == batch.size or min(width, height) < 8:
            raise BadInput(
                f"A picture of {batch.size[0]} x {batch.size[1]} can't be painted {self.scale:g} times smaller by this "
                f"model, whose sides are multiples of {grain}: give a larger size or scale, or leave {self.kind} out."
            )
        recipes = [replace(self.before(each), width=width, height=height) for each in batch.recipes]
        return replace(batch, stage=batch.stage.at((width, height)), recipes=recipes, size=(width, height))

    def enlarged(self, x: Tensor, batch: Any) -> Tensor:
        """The latents x of the first walk at the size of `batch`."""
        if self.enlarge in LATENT:
            _, mode, antialias = LATENT[self.enlarge]
            cells = batch.like.shape[-2:]
            return torch.nn.functional.interpolate(x, size=tuple(cells), mode=mode, antialias=antialias)
        pictures = [each.resize(batch.size, PICTURES[self.enlarge][1]) for each in batch.pictures(x)]
        return batch.stage.space.encode(torch.cat([batch.tensor(each) for each in pictures])).to(x)


@dataclass(eq=False)
class EnlargedStart(BoundStart):
    """The first walk, which `prepare` makes, and its end at the size of `batch`, noised: `small` is its batch, `run`
    what walks it, and `again` the noise of the second walk."""

    fix: HiresFix
    batch: Any
    small: Any
    again: NoiseSource
    run: Any = None

    @property
    def before(self) -> Any:  # type: ignore[override]
        return self.small

    def following(self, run: Any) -> EnlargedStart:
        return replace(self, run=run)

    @property
    def calls(self) -> int:  # type: ignore[override]
        return self.run.calls

    def prepare(self) -> Iterator[Tensor | None]:
        """The first walk: x0 as it is seen after each of `calls` steps."""
        yield from self.run.seen()

    def noise(self, noise: NoiseSource) -> NoiseSource:
        return self.again

    def __call__(self, denoise: Denoise, times: Times, noise: NoiseSource) -> tuple[Tensor, Tensor]:
        if self.run.x is None:
            for _ in self.prepare():
                pass
        fix, recipe = self.fix, self.batch.recipe
        assert self.run.x is not None
        x0 = fix.enlarged(self.run.x, self.batch)
        if fix.of == "time":
            return NoisedStart(x0, fix.strength)(denoise, times, self.again)
        grid = recipe.times(whole_walk(recipe.steps, fix.strength), denoise.schedule)[-recipe.steps - 1 :]
        return noised(denoise.schedule, x0, grid[0], self.again(x0, "start")), grid
