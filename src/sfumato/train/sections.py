"""The sections of a training recipe: what can be said, in which ranges, and what holds when nothing is said."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from .section import Count, Fraction, Positive, Rate, Section
from .sections_objective import Objective


class Vignettes(Section):
    """Pictures drawn by the built-in world: indices [first, first + count) of the world `seed`.

    `repeat` says of attributes, such as {mask: 3}, how many times as often the pictures that have them come.
    """

    kind: Literal["vignettes"] = "vignettes"
    seed: Count = 0
    first: Count = 0
    count: Positive = 20_000
    size: Annotated[int, Field(ge=16, le=1024)] = 64
    split: Literal["seen", "held-out", "any"] = "seen"
    repeat: dict[str, Positive] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known_attributes(self) -> Vignettes:
        if self.repeat:
            from sfumato.data.vignettes import ATTRIBUTES
        for name in self.repeat:
            if name not in ATTRIBUTES:
                raise ValueError(f"repeat: there is no attribute '{name}'; accepted are {', '.join(ATTRIBUTES)}")
        return self


class Folder(Section):
    """Pictures of a folder with captions from metadata.jsonl (key `text`) or from a .txt file beside each.

    `label` says where a picture's class stands: a key of metadata.jsonl, or "folder", the name of its subfolder.
    """

    kind: Literal["folder"]
    path: Path
    size: Annotated[int, Field(ge=16, le=1024)] = 64
    text: str = "text"
    label: str | None = None


class Tars(Section):
    """Pictures of webdataset tars, a folder of them or one: `KEY.webp` (.png, .jpg) beside `KEY.json`, .txt or .cls.

    `text` and `label` are keys of the .json; "text" and "cls" are also what the .txt and the .cls hold.
    """

    kind: Literal["tars"]
    path: Path
    size: Annotated[int, Field(ge=16, le=1024)] = 64
    text: str = "text"
    label: str | None = None


class Arrays(Section):
    """Pictures of a .npz file: uint8 (n, H, W) or (n, H, W, C) under the name `x`, classes (n,) under `y`.

    `rows` takes [first, stop) of them in a fixed shuffled order; `test_x` and `test_y` name the arrays to measure on
    (otherwise a tenth is held back); `classes` names the classes. With `absent: digits` scikit-learn's digits stand in
    for a file that isn't there.
    """

    kind: Literal["arrays"]
    path: Path
    size: Annotated[int, Field(ge=8, le=1024)] = 28
    x: str = "x"
    y: str = "y"
    test_x: str | None = None
    test_y: str | None = None
    rows: tuple[Count, Positive] | None = None
    classes: tuple[str, ...] = ()
    absent: Literal["digits"] | None = None


Data = Annotated[Vignettes | Folder | Tars | Arrays, Field(discriminator="kind")]


class Optimizer(Section):
    """AdamW (Loshchilov and Hutter 2019) with warm-up, then a constant or a cosine learning rate."""

    lr: Rate = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: Count = 100
    final: Fraction = 0.0
    betas: tuple[Fraction, Fraction] = (0.9, 0.99)
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip: Rate = 1.0
    accumulate: Positive = 1


class Ema(Section):
    """Exponential moving average of the weights; `decay` 0 keeps the weights themselves."""

    decay: Annotated[float, Field(ge=0, lt=1)] = 0.999


class Every(Section):
    """Intervals in steps: scalars, sample grids, checkpoints."""

    log: Positive = 10
    sample: Positive = 1000
    save: Positive = 500


class Common(Section):
    """What every task has in common. `batch` is that of one process; `minutes` ends a run by the clock if sooner."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "run"
    data: Data = Vignettes()
    seed: Count = 0
    steps: Positive = 1000
    minutes: Annotated[float, Field(gt=0)] | None = None
    batch: Positive = 16
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: Positive | None = None
    workers: Positive = 2
    optimizer: Optimizer = Optimizer()
    ema: Ema = Ema()
    every: Every = Every()
    keep: Positive = 2

    @model_validator(mode="before")
    @classmethod
    def _vignettes_unless_said(cls, values: Any) -> Any:
        data = values.get("data") if isinstance(values, dict) else None
        return {**values, "data": {"kind": "vignettes", **data}} if isinstance(data, dict) else values


class KLNetwork(Section):
    """Shape of diffusers' AutoencoderKL; the downsampling factor is 2 ** (len(channels) - 1)."""

    channels: Annotated[tuple[Positive, ...], Field(min_length=1)] = (32, 64, 96)
    layers: Positive = 1
    latent_channels: Positive = 4
    groups: Positive = 16
    attention: bool = False

    @model_validator(mode="after")
    def _divides(self) -> KLNetwork:
        for c in self.channels:
            if c % self.groups:
                raise ValueError(f"channels {c} can't be split into {self.groups} groups: choose a multiple")
        return self


class KLLoss(Section):
    """Weights of the autoencoder's terms: L1 is 1; the others are relative to it."""

    gradient: Annotated[float, Field(ge=0)] = 1.0
    pyramid: Annotated[float, Field(ge=0)] = 0.5
    ssim: Annotated[float, Field(ge=0)] = 0.0
    kl: Annotated[float, Field(ge=0)] = 1e-6


class Autoencoder(Common):
    """`begin` goes on from a trained autoencoder; `decoder_only` keeps its encoder, and so its latents, as they are."""

    task: Literal["autoencoder"]
    network: KLNetwork = KLNetwork()
    loss: KLLoss = KLLoss()
    held_back: Positive = 256
    begin: Path | None = None
    decoder_only: bool = False
    export: Literal["float32", "bfloat16", "float16"] = "float32"

    @model_validator(mode="after")
    def _begins(self) -> Autoencoder:
        if self.decoder_only and self.begin is None:
            raise ValueError("decoder_only needs 'begin': the folder of the autoencoder whose encoder is kept")
        return self


class Tower(Section):
    width: Positive = 192
    layers: Positive = 4
    heads: Positive = 4

    @model_validator(mode="after")
    def _divides(self) -> Tower:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} can't be split into {self.heads} heads: choose a multiple")
        return self


class ClipNetwork(Section):
    text: Tower = Tower()
    image: Tower = Tower()
    patch: Positive = 8
    projection: Positive = 128
    length: Annotated[int, Field(ge=8, le=77)] = 48
    vocabulary: Annotated[int, Field(ge=600)] = 2048


class Clip(Common):
    task: Literal["clip"]
    network: ClipNetwork = ClipNetwork()
    paraphrases: Positive = 4
    held_back: Positive = 512
    export: Literal["float32", "bfloat16", "float16"] = "float32"


class UNet(Section):
    """Shape of diffusers' UNet2DConditionModel, level by level: channels, whether it looks at the text, heads."""

    channels: Annotated[tuple[Positive, ...], Field(min_length=1)] = (64, 112, 192)
    attention: tuple[bool, ...] = (False, True, True)
    heads: tuple[Positive, ...] = (1, 2, 3)
    layers: Positive = 1
    groups: Positive = 16

    @model_validator(mode="after")
    def _fits(self) -> UNet:
        if not len(self.attention) == len(self.heads) == len(self.channels):
            raise ValueError("channels, attention and heads need one entry for each level")
        for c, heads in zip(self.channels, self.heads, strict=True):
            if c % self.groups or c % heads:
                raise ValueError(f"channels {c} must be a multiple of groups and of heads")
        return self


class Preview(Section):
    """What a sample grid draws: DDIM on fixed prompts and fixed noise."""

    prompts: Annotated[tuple[str, ...], Field(min_length=1)] = ("a painting of a woman in a red jacket",)
    each: Positive = 4
    steps: Positive = 20
    guidance: Annotated[float, Field(ge=0)] = 4.0
    seed: Count = 0


class TextDiffusion(Common):
    """Text-conditional diffusion; `begin` goes on from the trained U-Net of a folder or a built-in model."""

    begin: Path | None = None
    text_encoder: Path = Path("runs/mini-clip/export")
    network: UNet = UNet()
    objective: Objective = Objective()
    dropout: Fraction = 0.1
    paraphrases: Positive = 3
    export: Literal["float32", "bfloat16", "float16"] = "float16"


class LatentDiffusion(TextDiffusion):
    """Of an autoencoder's latents."""

    autoencoder: Path = Path("runs/mini-autoencoder/export/vae")


class Diffusion(LatentDiffusion):
    task: Literal["diffusion"]
    preview: Preview = Preview()


class TextPixels(TextDiffusion):
    """Of pixels, in patches of `patch` by `patch`. Of a `begin` that saw latents, all but its two ends are taken."""

    task: Literal["text-pixels"]
    patch: Annotated[int, Field(ge=1, le=16)] = 4
    preview: Preview = Preview()

    @model_validator(mode="after")
    def _fits(self) -> TextPixels:
        size, multiple = self.data.size, self.patch * 2 ** (len(self.network.channels) - 1)
        if size % multiple:
            raise ValueError(f"data.size {size} does not suit these patches: choose a multiple of {multiple}")
        return self


class JudgeTask(Common):
    task: Literal["judge"]
    held_back: Positive = 512
    export: Literal["float32", "bfloat16", "float16"] = "float32"
