"""Guidances by value: the elements of a recipe that `sfumato.guide` makes live."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sfumato.recipe.checks import Class, Listed, Pair, Real, Whole, element, one_of

EYES = ("noised", "x0", "network")

_LIMIT = "a number from 0.001 to 1000"
_INTERVAL = "two times (low, high) with 0 <= low <= high <= 1"
_ADDED = "a number from 0 (off) to 1000"
_FOLDER = "a folder's path or a built-in network's name, or '' for the one in the model's own folder"


@element
class ClassifierFree:
    """Classifier-free guidance (Ho & Salimans 2022): u + scale (c - u), for t in `interval`.

    `scale` 1 means off, 0 is unconditional (the paper's w is scale - 1). Outside `interval` (in t: 0 clean, 1 noise)
    the conditional prediction stands (Kynkäänniemi et al. 2024). `rescale` pulls the standard deviation of x0 back
    towards the conditional one (Lin et al. 2023), 0 is off.
    """

    scale: Real = Field(default=5.0, ge=0, le=1000, description="a number from 0 to 1000, where 1 means off")
    interval: Pair = Field(default=(0.0, 1.0), description=_INTERVAL)
    rescale: Real = Field(default=0.0, ge=0, le=1, description="a number from 0 (off) to 1")
    kind: Literal["classifier-free"] = "classifier-free"

    @model_validator(mode="after")
    def _ordered(self) -> ClassifierFree:
        _order(self.interval)
        return self


@element
class StaticThreshold:
    """Clip the predicted x0 to [-limit, limit] (Saharia et al. 2022, section 2.3)."""

    limit: Real = Field(default=1.0, ge=1e-3, le=1e3, description=_LIMIT)
    kind: Literal["static-threshold"] = "static-threshold"


@element
class DynamicThreshold:
    """Clip x0 to the `percentile` s of its absolute values and scale by limit/s, if s > limit (Saharia et al. 2022)."""

    percentile: Real = Field(default=0.995, ge=1e-3, le=1, description="a fraction from 0.001 to 1")
    limit: Real = Field(default=1.0, ge=1e-3, le=1e3, description=_LIMIT)
    kind: Literal["dynamic-threshold"] = "dynamic-threshold"


@element
class ClassifierGuidance:
    """Classifier guidance (Dhariwal & Nichol 2021): eps - sigma scale grad log p(label given x_t), for t in `interval`.

    `scale` 0 means off, 1 is Bayes' rule, more is sharper. `classifier` is the folder (or built-in name) of a
    classifier of noisy pictures, as `sfumato train fashion-classifier` exports it; "" is classifier/ in the model's own
    folder. `label` None is the recipe's own; another one guides a model that is told nothing, or another class.
    Near t = 1 a trained network's gradient is noise, which sigma^2/alpha makes large in x0: `interval` ends before.
    """

    scale: Real = Field(default=1.0, ge=0, le=1000, description=_ADDED)
    classifier: str = Field(default="", max_length=4096, description=_FOLDER)
    interval: Pair = Field(default=(0.0, 0.9), description=_INTERVAL)
    label: Class | None = Field(default=None, description="a class's name or its index, or nothing for the recipe's")
    kind: Literal["classifier"] = "classifier"

    @model_validator(mode="after")
    def _ordered(self) -> ClassifierGuidance:
        _order(self.interval)
        return self


@element
class ClipGuidance:
    """CLIP guidance (Nichol et al. 2022, eq. 8): eps - sigma scale grad of CLIP's logit of picture and caption.

    `scale` 0 means off, 1 is CLIP's own log-odds. `eye` says what CLIP sees: "noised" x_t itself (a tower trained on
    noise), "x0" the clean picture expected at x_t, "network" the same with the gradient through the network (dearer,
    exact). `clip` is the folder of a CLIPModel with its tokenizer; "" is clip_noised/ or clip/ in the model's own
    folder. `prompt` "" is the recipe's own. `cutouts` windows of the clean picture are averaged over. `interval` ends
    before t = 1 as a classifier's does: guided there too, mini's CLIP score falls from 63 to 43, not rises to 69.
    """

    scale: Real = Field(default=3.0, ge=0, le=1000, description=_ADDED)
    eye: Annotated[str, one_of(EYES)] = Field(default="noised", description=" or ".join(EYES))
    clip: str = Field(default="", max_length=4096, description=_FOLDER)
    interval: Pair = Field(default=(0.0, 0.9), description=_INTERVAL)
    prompt: str = Field(default="", max_length=20_000, description="text of at most 20,000 characters")
    cutouts: Whole = Field(default=1, ge=1, le=64, description="a whole number from 1 to 64")
    kind: Literal["clip"] = "clip"

    @model_validator(mode="after")
    def _fits(self) -> ClipGuidance:
        _order(self.interval)
        if self.cutouts > 1 and self.eye == "noised":
            raise ValueError("cutouts are windows of a clean picture: give eye='x0' or 'network', or one cutout")
        return self


@element
class AutoGuidance:
    """Autoguidance (Karras et al. 2024): bad + scale (good - bad), for t in `interval`.

    `scale` 1 means off. `model` is the worse version: a model's name or folder, of the same pictures and conditions,
    such as an early snapshot of the same training.
    """

    model: str = Field(min_length=1, max_length=4096, description="the name or folder of a worse version of the model")
    scale: Real = Field(default=2.0, ge=0, le=1000, description="a number from 0 to 1000, where 1 means off")
    interval: Pair = Field(default=(0.0, 1.0), description=_INTERVAL)
    kind: Literal["auto"] = "auto"

    @model_validator(mode="after")
    def _ordered(self) -> AutoGuidance:
        _order(self.interval)
        return self


@element
class CFGPlusPlus:
    """CFG++ (Chung et al. 2024): x0 = u + scale (c - u) with the unconditional noise; `scale` from 0 to 1."""

    scale: Real = Field(default=0.6, ge=0, le=1, description="a number from 0 (unconditional) to 1")
    kind: Literal["cfg++"] = "cfg++"


@element
class ProjectedGuidance:
    """Adaptive projected guidance (Sadat et al. 2024): c + (scale - 1) (c - u), its part parallel to c times `eta`.

    `scale` 1 means off; `eta` 1 keeps the parallel part, 0 drops it; `momentum` 0 is off, the paper's is -0.5;
    `threshold` limits the norm of c - u over each picture.
    """

    scale: Real = Field(default=5.0, ge=0, le=1000, description="a number from 0 to 1000, where 1 means off")
    eta: Real = Field(default=0.0, ge=0, le=1, description="a number from 0 to 1")
    momentum: Real = Field(default=0.0, ge=-0.99, le=0.99, description="a number from -0.99 to 0.99, where 0 means off")
    threshold: Real | None = Field(default=None, ge=1e-3, le=1e6, description="a norm from 0.001, or nothing for none")
    interval: Pair = Field(default=(0.0, 1.0), description=_INTERVAL)
    kind: Literal["projected"] = "projected"

    @model_validator(mode="after")
    def _ordered(self) -> ProjectedGuidance:
        _order(self.interval)
        return self


@element
class PerturbedAttention:
    """Perturbed-attention guidance (Ahn et al. 2024): c + scale (c - p), p without self-attention in `layers`.

    `scale` 0 means off, 3 is the paper's. `layers` are "mid", "down", "up", or beginnings of modules' names.
    """

    scale: Real = Field(default=3.0, ge=0, le=1000, description=_ADDED)
    layers: Listed[str] = Field(default=("mid",), min_length=1, max_length=64, description="a list, as ['mid']")
    interval: Pair = Field(default=(0.0, 1.0), description=_INTERVAL)
    kind: Literal["perturbed-attention"] = "perturbed-attention"

    @model_validator(mode="after")
    def _ordered(self) -> PerturbedAttention:
        _order(self.interval)
        return self


def _order(interval: tuple[float, float]) -> None:
    low, high = interval
    if not 0 <= low <= high <= 1:
        raise ValueError(f"interval is ({low:g}, {high:g}): give {_INTERVAL}")


Guidance = Annotated[
    ClassifierFree
    | StaticThreshold
    | DynamicThreshold
    | ClassifierGuidance
    | ClipGuidance
    | AutoGuidance
    | CFGPlusPlus
    | ProjectedGuidance
    | PerturbedAttention,
    Field(discriminator="kind"),
]
