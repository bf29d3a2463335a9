"""The sections of a recipe for a CLIP of noisy pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from .section import Positive
from .sections import Common, Tower
from .sections_objective import AnySchedule, Discrete


class NoisedClip(Common):
    """`clip` is the folder (or built-in model) whose text and image towers stay as they are.

    The new image tower sees latents of `autoencoder` (null: pixels) under the noise of `schedule`, in patches of
    `patch` cells. `likeness` weighs how near it shall come to what the clean tower says of the clean picture.
    """

    task: Literal["clip-noised"]
    clip: Path = Path("mini")
    autoencoder: Path | None = Path("mini")
    schedule: AnySchedule = Discrete(kind="squaredcos_cap_v2")
    image: Tower = Tower(width=128)
    patch: Positive = 2
    likeness: float = Field(default=1.0, ge=0)
    paraphrases: Positive = 2
    held_back: Positive = 512
    export: Literal["float32", "bfloat16", "float16"] = "float16"

    @field_validator("schedule", mode="before")
    @classmethod
    def _a_name_is_a_kind(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value
