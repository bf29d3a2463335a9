"""A classifier of noisy pictures, p(y | x_t, t), for classifier guidance; without noise a judge with features.

diffusers has no such network. Like Dhariwal and Nichol's (2021, section 4.3) it is a U-Net's downward half that knows
the time; ours is told the log-SNR instead, so that it means the same under every schedule.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as nf
from torch import Tensor, nn

from sfumato.network.spec import Input, NetworkSpec
from sfumato.network.writing import save_tensors
from sfumato.picture import BadInput
from sfumato.picture.errors import reason_of
from sfumato.predict import expand
from sfumato.schedule import Schedule
from sfumato.schedule.named import named

EMBEDDING = 64
FAINT = 0.1  # of alpha/sqrt(alpha^2 + sigma^2), below which a picture says less and less of its class
LARGEST = 10.0  # of |log(alpha/sigma)|, beyond which a picture counts as clean, or as noise


class _Block(nn.Module):
    """x + conv(silu(scale norm(conv(silu(norm(x)))) + shift)), scale and shift read from the noise's embedding."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulation = nn.Linear(EMBEDDING, 2 * channels)
        self.norm2 = nn.GroupNorm(groups, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, 1)
        h = self.conv1(nf.silu(self.norm1(x)))
        return x + self.conv2(nf.silu(self.norm2(h) * (1 + scale) + shift))


class Classifier(nn.Module):
    """Logits of the classes `names` for pictures x_t (B, C, H, W) at times t (B,) of `schedule`.

    `noise` names the schedule and its options, {"kind": "ve", "sigma_max": 20.0}; None is a classifier of clean
    pictures, whose t is not read. A picture is divided by sqrt(alpha^2 + sigma^2) and the network is told
    log(alpha/sigma), at most 10. H and W are even.

    Noise says nothing of a class, so grad log p(y | x_t) is O(alpha) where alpha goes to 0; what guidance adds to x0 is
    sigma^2/alpha times that gradient. A trained network's does not vanish by itself: where alpha is below a tenth of
    sqrt(alpha^2 + sigma^2) the logits are multiplied by ten times their ratio.
    """

    def __init__(
        self,
        names: Sequence[str],
        channels: int = 1,
        widths: Sequence[int] = (64, 128),
        blocks: Sequence[int] = (1, 2),
        groups: int = 8,
        noise: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self.names = tuple(names)
        self.config = {
            "kind": "sfumato-classifier",
            "names": self.names,
            "channels": channels,
            "widths": tuple(widths),
            "blocks": tuple(blocks),
            "groups": groups,
            "noise": None if noise is None else dict(noise),
        }
        self.noise = None if noise is None else named(**noise)
        self.embed = nn.Sequential(nn.Linear(EMBEDDING, EMBEDDING), nn.SiLU(), nn.Linear(EMBEDDING, EMBEDDING))
        levels: list[nn.Module] = []
        before = 4 * channels
        for level, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            levels.append(nn.Conv2d(before, width, 3, stride=1 if level == 0 else 2, padding=1))
            levels += [_Block(width, groups) for _ in range(count)]
            before = width
        self.levels = nn.ModuleList(levels)
        self.norm = nn.GroupNorm(groups, before)
        self.head = nn.Linear(before, len(self.names))

    @property
    def classes(self) -> int:
        return len(self.names)

    @property
    def schedule(self) -> Schedule:
        """The noise that it knows. BadInput if it was trained on clean pictures alone."""
        if self.noise is None:
            raise BadInput("This classifier knows clean pictures alone; guidance needs one trained with noise.")
        return self.noise

    def features(self, x: Tensor, t: Tensor | float = 0.0) -> Tensor:
        """What the logits are read from: the last level averaged over the picture, (B, widths[-1])."""
        log_ratio = x.new_full((len(x),), LARGEST)
        if self.noise is not None:
            alpha, sigma = self.noise(t)
            x = x * expand(1 / torch.hypot(alpha, sigma), x)
            log_ratio = (alpha.log() - sigma.log()).clamp(-LARGEST, LARGEST).to(x).expand(len(x))
        embedding = self.embed(_waves(log_ratio))
        h = nf.pixel_unshuffle(x, 2)
        for layer in self.levels:
            h = layer(h, embedding) if isinstance(layer, _Block) else layer(h)
        return nf.silu(self.norm(h)).mean((2, 3))

    def logits(self, x: Tensor, t: Tensor | float = 0.0) -> Tensor:
        """(B, classes), differentiable in x."""
        logits = self.head(self.features(x, t))
        if self.noise is None:
            return logits
        alpha, sigma = self.noise(t)
        return logits * expand((alpha / torch.hypot(alpha, sigma) / FAINT).clamp(max=1), logits)

    def forward(self, x: Tensor, t: Tensor | float = 0.0) -> Tensor:
        return self.logits(x, t)

    def save(self, folder: Path | str, dtype: torch.dtype = torch.float16) -> None:
        """config.json and model.safetensors."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config, indent=1) + "\n", encoding="utf-8")
        weights = {name: value.to(dtype) for name, value in self.state_dict().items()}
        save_tensors(weights, folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path | str) -> Classifier:
        """A classifier that `save` wrote, in float32, ready to answer. BadInput if it can't be read."""
        from safetensors.torch import load_file

        folder = Path(folder)
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            if config.pop("kind") != "sfumato-classifier":
                raise ValueError("config.json describes another network")
            made = cls(**config)
            made.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
        except Exception as error:
            raise BadInput(
                f"{folder} holds no readable classifier ({reason_of(error)}): give a folder with the config.json and "
                "the model.safetensors that `sfumato train fashion-classifier` exports."
            ) from error
        return made.eval().requires_grad_(False)


LOGITS = NetworkSpec(
    {"x": Input(("rows", "channels", "height", "width")), "t": Input(("rows",), "float64", needed=False, neutral=0.0)},
    lambda network, x, t: network(x, t),
)
"""A `Classifier` as an engine runs it; left out, t is that of clean pictures."""


def _waves(values: Tensor) -> Tensor:
    """cos and sin of values at wavelengths from 2 pi / 8 to 2 pi 16, (B, EMBEDDING)."""
    rates = torch.exp(torch.linspace(math.log(1 / 16), math.log(8), EMBEDDING // 2, device=values.device))
    angles = values.float()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], 1)
