"""Hires fix: painted small, enlarged, and painted over (A1111's web page, "hires. fix")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import lcm
from typing import Annotated, Any

from PIL import Image
from pydantic import Field

from sfumato.denoise import Bound
from sfumato.edit.hold import BoundHold
from sfumato.edit.noise_start import Noise
from sfumato.edit.sdedit import NoisedStart
from sfumato.edit.start import BoundStart, Start, Times
from sfumato.element import Real, Whole, element, one_of
from sfumato.lazy import Tensor, torch
from sfumato.noise import NoiseSource
from sfumato.picture import BadInput
from sfumato.sample import Sampler, trajectory
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
MOST = 0.999  # A1111's largest share of the steps


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
    `first_sampler` and `first_times` are those of the first walk, where they are not the recipe's.
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

    @property
    def enlarges(self) -> float:  # type: ignore[override]
        return self.scale

    def infotext(self) -> dict[str, str]:
        return {"Denoising strength": f"{self.strength:g}", "Hires upscaler": LABELS[self.enlarge]}

    def first_grid(self, sampler: Sampler, times: TimeGrid) -> tuple[Sampler, TimeGrid]:
        return self.first_sampler or sampler, self.first_times or times

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
        if recipe.attention is not None:
            raise BadInput(
                f"A picture edited by {recipe.attention.kind} is painted at one size: leave {self.kind} out."
            )
        if self.of == "steps" and recipe.times.rises:
            raise BadInput(f"{recipe.times.kind} walks back up: give {self.kind} a share of the time, of=time.")
        small = self.smaller(batch)
        first = small.recipe.start.bind(small)
        hold = (None if recipe.hold is None else recipe.hold.bind(small, first)) or BoundHold()
        denoise = small.denoise([guidance.bind(small) for guidance in recipe.guidance])
        relayed = denoise if recipe.refiner is None else recipe.refiner.bind(small, denoise)
        seeds = [each.seed if self.seed is None else self.seed for each in batch.recipes]
        return EnlargedStart(self, batch, small, relayed, first, hold, recipe.noise.source(seeds).at(self.kind))

    def smaller(self, batch: Any) -> Any:
        """The batch of the first walk. Raises BadInput where the picture is too small to be painted smaller."""
        grain = lcm(batch.stage.multiple, 4)
        width, height = self.first_size(batch.size, grain)
        if (width, height) == batch.size or min(width, height) < 8:
            raise BadInput(
                f"A picture of {batch.size[0]} x {batch.size[1]} can't be painted {self.scale:g} times smaller by this "
                f"model, whose sides are multiples of {grain}: give a larger size or scale, or leave {self.kind} out."
            )
        sampler, times = self.first_grid(batch.recipe.sampler, batch.recipe.times)
        steps = self.first_steps or batch.recipe.steps
        told = {"start": Noise(self.unit), "steps": steps, "sampler": sampler, "times": times}
        recipes = [replace(each, width=width, height=height, **told) for each in batch.recipes]
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
    """The first walk, which `prepare` makes, and its end at the size of `batch`, noised: `small` is its batch, with its
    own denoiser, start and hold; `again` is the noise of the second walk."""

    fix: HiresFix
    batch: Any
    small: Any
    denoise: Bound
    first: BoundStart
    hold: BoundHold
    again: NoiseSource
    x: Tensor | None = field(default=None, repr=False)

    @property
    def calls(self) -> int:  # type: ignore[override]
        return self.hold.calls + len(self.small.resampled(self.small.times())) - 1

    def prepare(self) -> Iterator[Tensor | None]:
        """The first walk: x0 as it is seen after each of `calls` steps."""
        yield from self.hold.prepare()
        small = self.small
        x, times = self.first(self.denoise, small.times, small.noise)
        walk = trajectory(self.denoise, small.recipe.sampler, x, small.resampled(times), small.noise, self.hold)
        for step in walk:
            self.x = step.x
            yield step.x if step.prediction is None else step.prediction.x0

    def noise(self, noise: NoiseSource) -> NoiseSource:
        return self.again

    def __call__(self, denoise: Denoise, times: Times, noise: NoiseSource) -> tuple[Tensor, Tensor]:
        if self.x is None:
            for _ in self.prepare():
                pass
        assert self.x is not None
        fix, recipe = self.fix, self.batch.recipe
        x0 = fix.enlarged(self.x, self.batch)
        if fix.of == "time":
            return NoisedStart(x0, fix.strength)(denoise, times, self.again)
        total = int(recipe.steps / min(fix.strength, MOST))
        grid = recipe.times(total, denoise.schedule)[-recipe.steps - 1 :]
        return noised(denoise.schedule, x0, grid[0], self.again(x0, "start")), grid
