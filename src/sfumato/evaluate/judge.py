"""The judge: a small classifier that reads a picture's attributes, trained on ground truth and on nothing else.

It shares neither weights nor training pictures with the models it judges, so that a model can't please it by sharing
its blind spots, as it could please its own CLIP.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as nf
from torch import Tensor, nn

from sfumato.network.spec import Input, NetworkSpec
from sfumato.picture import BadInput
from sfumato.picture.errors import reason_of
from sfumato.picture.files import write_atomically
from sfumato.zoo import place

SIZE = 64
SMOOTHING = 0.05
JUDGE = place("judge")
Capabilities = Mapping[str, Sequence[str]]


class Residual(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))): a pre-activation residual block (He et al. 2016, figure 4e)."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(nf.silu(self.norm2(self.conv1(nf.silu(self.norm1(x))))))


class Detail(nn.Module):
    """Adds a channel of local contrast, 4 |g - mean of 3 x 3 around g| with g the grey picture: (B, 4, H, W).

    A painter's grain is zero on average, so layers that average lose it before any of them can learn to see it:
    without this channel an oil painting and a flat picture stay the same thing for thousands of steps.
    """

    def forward(self, pictures: Tensor) -> Tensor:
        grey = pictures.mean(1, keepdim=True)
        around = nf.avg_pool2d(nf.pad(grey, (1,) * 4, mode="reflect"), 3, 1)
        return torch.cat([pictures, 4 * (grey - around).abs()], 1)


def mean_cross_entropy(logits: Sequence[Tensor], targets: Tensor) -> Tensor:
    """Mean over the attributes of the cross-entropy, labels smoothed by 0.05; targets: (B, number of attributes)."""
    terms = [nf.cross_entropy(each.float(), targets[:, a], label_smoothing=SMOOTHING) for a, each in enumerate(logits)]
    return torch.stack(terms).mean()


class Judge(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1] -> a distribution over the values of each attribute.

    A residual network on 64 x 64 pixels (others are resized) ends in a map of 8 x 8 features; each attribute looks at
    it with its own attention, since a scarf is in one place and the light is everywhere:

        z_a = sum_p softmax_p(q_a . f_p) f_p,      logits_a = W_a [z_a, mean_p f_p] + b_a

    `attributes` names the attributes and their values. There is no batch normalisation: what a picture is judged to
    be does not depend on its neighbours in the batch.
    """

    def __init__(
        self, attributes: Capabilities, channels: Sequence[int] = (48, 96, 160), blocks: Sequence[int] = (1, 2, 2)
    ):
        super().__init__()
        self.attributes = {name: tuple(values) for name, values in attributes.items()}
        self.channels, self.blocks = tuple(channels), tuple(blocks)
        layers: list[nn.Module] = [Detail(), nn.PixelUnshuffle(2)]
        before, stride = 16, 1
        for width, count in zip(channels, blocks, strict=True):
            layers += [nn.Conv2d(before, width, 3, stride=stride, padding=1), *(Residual(width) for _ in range(count))]
            before, stride = width, 2
        self.trunk = nn.Sequential(*layers, nn.GroupNorm(8, before), nn.SiLU())
        self.look = nn.Conv2d(before, len(self.attributes), 1)
        self.heads = nn.ModuleList(nn.Linear(2 * before, len(values)) for values in self.attributes.values())

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Logits, one tensor (B, number of values) an attribute, in the order of `attributes`."""
        return self.read(self.trunk(resized(pictures)))

    def read(self, features: Tensor) -> list[Tensor]:
        """Logits from the trunk's map of features (B, C, H, W)."""
        gaze = self.look(features).flatten(2).softmax(-1)
        flat = features.flatten(2)
        seen = torch.einsum("bap,bcp->abc", gaze, flat)
        everywhere = flat.mean(-1)
        return [head(torch.cat([z, everywhere], 1)) for head, z in zip(self.heads, seen, strict=True)]

    def targets(self, rows: Sequence[Mapping[str, str]]) -> Tensor:
        """Attributes in words -> indices (B, number of attributes)."""
        return torch.tensor([[values.index(row[name]) for name, values in self.attributes.items()] for row in rows])

    @torch.no_grad()
    def predict(self, pictures: Tensor, batch: int = 64) -> list[dict[str, str]]:
        """The most likely value of each attribute of each picture."""
        rows: list[dict[str, str]] = []
        for part in pictures.split(batch):
            best = [logits.argmax(1).tolist() for logits in self(part)]
            for verdict in zip(*best, strict=True):
                rows.append({n: v[i] for (n, v), i in zip(self.attributes.items(), verdict, strict=True)})
        return rows

    def save(self, folder: Path | str, dtype: torch.dtype = torch.float16) -> None:
        """config.json and model.safetensors, its numbers of that type."""
        from safetensors.torch import save

        folder = Path(folder)
        config = {
            "kind": "sfumato-judge",
            "channels": self.channels,
            "blocks": self.blocks,
            "attributes": self.attributes,
        }
        write_atomically(folder / "config.json", (json.dumps(config, indent=1) + "\n").encode())
        weights = {name: value.to(dtype).contiguous() for name, value in self.state_dict().items()}
        write_atomically(folder / "model.safetensors", save(weights, metadata={"format": "pt"}))

    @classmethod
    def load(cls, folder: Path | str = JUDGE) -> Judge:
        """A judge that `save` wrote, the built-in one by default, ready to judge in float32. BadInput if unreadable."""
        from safetensors.torch import load_file

        folder = Path(folder)
        try:
            config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            judge = cls(config["attributes"], config["channels"], config["blocks"])
            judge.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
        except Exception as error:
            raise BadInput(
                f"{folder} holds no readable judge ({reason_of(error)}): give a folder with the config.json and the "
                "model.safetensors that `sfumato train judge` exports."
            ) from error
        return judge.eval().requires_grad_(False)


VERDICTS = NetworkSpec({"pictures": Input(("rows", 3, "height", "width"))}, lambda network, pictures: network(pictures))
"""A `Judge` as an engine runs it: logits, one tensor an attribute."""


def resized(pictures: Tensor, size: int = SIZE) -> Tensor:
    """Pictures at size x size: by area where they shrink, bilinearly where they grow."""
    height, width = pictures.shape[-2:]
    if (height, width) == (size, size):
        return pictures
    if min(height, width) >= size:
        return nf.interpolate(pictures, (size, size), mode="area")
    return nf.interpolate(pictures, (size, size), mode="bilinear", align_corners=False)


def augment(pictures: Tensor, generator: torch.Generator | None = None, shift: int = 3) -> Tensor:
    """Mirrored, shifted by up to `shift` pixels, and `softened`. All of it is drawn from `generator`."""
    count, _, height, width = pictures.shape
    mirrored = torch.where(_uniform(pictures, 0, 1, generator) < 0.5, pictures.flip(-1), pictures)
    padded = nf.pad(mirrored, (shift,) * 4, mode="reflect")
    moves = torch.randint(0, 2 * shift + 1, (count, 2), generator=generator).tolist()
    moved = torch.stack([p[:, dy : dy + height, dx : dx + width] for p, (dy, dx) in zip(padded, moves, strict=True)])
    return softened(moved, generator)


def softened(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A little brighter or duller, and softened as autoencoders do it: blurred, or halved and doubled again, by up to
    3/4, so that a style can still be told by its texture. For the same reason no grain is added: it makes a flat
    picture an oil painting. All of it is drawn from `generator`."""
    height, width = x.shape[-2:]
    kernel = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]).to(x) / 16
    weight = (kernel[:, None] * kernel).expand(3, 1, 5, 5)
    blurred = nf.conv2d(nf.pad(x, (2,) * 4, mode="reflect"), weight, groups=3)
    halved = nf.interpolate(nf.avg_pool2d(x, 2), (height, width), mode="bilinear", align_corners=False)
    softer = torch.where(_uniform(x, 0, 1, generator) < 0.5, blurred, halved)
    x = torch.lerp(x, softer, _uniform(x, -0.45, 0.75, generator).clamp(min=0))
    return (x * _uniform(x, 0.92, 1.08, generator) + _uniform(x, -0.06, 0.06, generator)).clamp(-1, 1)


def _uniform(like: Tensor, low: float, high: float, generator: torch.Generator | None) -> Tensor:
    """A number for each picture, (B, 1, 1, 1)."""
    return (low + (high - low) * torch.rand((len(like), 1, 1, 1), generator=generator)).to(like)
