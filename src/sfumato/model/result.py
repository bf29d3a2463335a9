"""What a run gives back: pictures and the recipes that make them again."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from PIL import Image

from sfumato.lazy import torch
from sfumato.network.engine import engine_of
from sfumato.picture import numbered_paths, original, pixels_hash, roomy, save_picture
from sfumato.recipe import Made, Recipe, parameters


@dataclass(frozen=True)
class Result:
    """Pictures and their resolved recipes, in the order of the recipes asked for.

    `masks` are those that a hold inferred, as large as the pictures; None for a picture where none did.
    """

    images: list[Image.Image]
    recipes: list[Recipe]
    masks: list[Image.Image | None]

    @property
    def image(self) -> Image.Image:
        """The first picture."""
        return self.images[0]

    @property
    def recipe(self) -> Recipe:
        """The first recipe."""
        return self.recipes[0]

    def save(self, path: str | Path) -> list[Path]:
        """Write each picture whole or not at all, with its recipe inside: PNG, JPEG or WebP by the ending.

        One picture goes to `path`; of several, g.png becomes g-0.png, g-1.png, ...
        """
        return self.save_as(numbered_paths(path, len(self.images)))

    def save_as(self, paths: Sequence[Path]) -> list[Path]:
        """Write each picture to a path of its own, with the EXIF, colours and density of the file it was made of; to a
        .png beside it where its kind of file can't hold so many pixels. The paths that were written."""
        paths = [roomy(path, image.size) for path, image in zip(paths, self.images, strict=True)]
        for image, recipe, to in zip(self.images, self.recipes, paths, strict=True):
            like = None if recipe.held is None else original(recipe.held)
            save_picture(image, to, recipe_json=recipe.to_json(), parameters=parameters(recipe), like=like)
        return paths


@cache
def _versions() -> dict[str, str]:
    """Asked once: reading a package's metadata takes as long as a step around the network."""
    return {name: version(name) for name in ("sfumato", "torch", "diffusers")}


@cache
def _runtime(engine: str) -> str:
    name = engine_of(engine).runtime
    return f"{name} {version(name)}" if name else ""


@cache
def _processor(device: str) -> str:
    """What a device is: a GPU's name, or a CPU's instructions that torch was built for and uses."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}" if kind == "cpu" else ""


def made(recipe: Recipe, image: Image.Image, seconds: float, weights: str, device: str) -> Made:
    """What was true when it was made: versions, engine, precision, device, threads, hashes of weights and pixels."""
    return Made(
        **_versions(),
        python=platform.python_version(),
        engine=recipe.engine,
        runtime=_runtime(recipe.engine),
        precision=recipe.precision,
        device=device,
        processor=_processor(device),
        threads=torch.get_num_threads() if torch.device(device).type == "cpu" else 0,
        weights=weights,
        pixels=pixels_hash(image),
        seconds=round(seconds, 3),
    )


LARGEST = 32_000_000  # pixels of a contact sheet


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    return image.resize((max(1, int(image.width * scale)), max(1, int(image.height * scale))))


def sheet(images: Sequence[Image.Image], columns: int | None = None, gap: int = 4) -> Image.Image:
    """Pictures side by side on white, in rows of `columns` (as square as can be by default), smaller where they are
    many and large: a sheet has at most 32 megapixels."""
    scale = min(1.0, (LARGEST / sum(image.width * image.height for image in images)) ** 0.5)
    images = [image if scale == 1 else _scaled(image, scale) for image in images]
    columns = columns or -(-len(images) // max(1, int(len(images) ** 0.5)))
    rows = -(-len(images) // columns)
    width, height = max(i.width for i in images) + gap, max(i.height for i in images) + gap
    page = Image.new("RGB", (columns * width + gap, rows * height + gap), "white")
    for n, image in enumerate(images):
        page.paste(image, (gap + n % columns * width, gap + n // columns * height))
    return page
