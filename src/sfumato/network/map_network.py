"""What the small networks that read a map off a picture have in common: sizes, files, a U-Net of residual blocks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as nf
from torch import Tensor, nn

from sfumato.network.spec import Input, NetworkSpec
from sfumato.picture import BadInput, write_atomically


class MapNetwork(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1] -> maps of logits (B, C, H, W), one channel for each of `names`.

    `forward` answers a tuple: the last is the answer, those before it are side outputs, which are trained alike (deep
    supervision, Lee et al. 2015). Any H and W: a picture is padded by its own edge to a multiple of `multiple`, and the
    maps are cut. `size`: the shorter side of the pictures that it was trained on.
    """

    kind: ClassVar[str]
    multiple: ClassVar[int] = 8
    recipe: ClassVar[str]
    """The shipped recipe that trains it."""

    def __init__(self, names: Sequence[str], widths: Sequence[int], size: int = 64):
        super().__init__()
        self.names, self.widths, self.size = tuple(names), tuple(widths), size

    def maps(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """The maps of pictures whose sides are multiples of `multiple`."""
        raise NotImplementedError

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        height, width = pictures.shape[-2:]
        down, right = -height % self.multiple, -width % self.multiple
        padded = nf.pad(pictures, (0, right, 0, down), mode="replicate") if down or right else pictures
        return tuple(each[..., :height, :width] for each in self.maps(padded))

    def save(self, folder: Path | str, dtype: torch.dtype = torch.float16) -> None:
        """config.json and model.safetensors."""
        from safetensors.torch import save

        config = {"kind": f"sfumato-{self.kind}", "names": self.names, "widths": self.widths, "size": self.size}
        write_atomically(Path(folder) / "config.json", (json.dumps(config, indent=1) + "\n").encode())
        weights = {name: value.to(dtype).contiguous() for name, value in self.state_dict().items()}
        write_atomically(Path(folder) / "model.safetensors", save(weights, metadata={"format": "pt"}))

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """A network that `save` wrote, in float32, ready to answer. BadInput if it can't be read."""
        from safetensors.torch import load_file

        folder = Path(folder)
        try:
            config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            if config.pop("kind") != f"sfumato-{cls.kind}":
                raise ValueError("config.json describes another network")
            made = cls(**config)
            made.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise BadInput(
                f"{folder} holds no readable network of {cls.kind} ({reason}): give a folder with the config.json and "
                f"the model.safetensors that `sfumato train {cls.recipe}` exports."
            ) from error
        return made.eval().requires_grad_(False)


MAPS = NetworkSpec({"pictures": Input(("rows", 3, "height", "width"))}, lambda network, pictures: network(pictures))
"""A `MapNetwork` as an engine runs it."""


class _Residual(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))) (He et al. 2016, figure 4e)."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, channels), nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(nf.silu(self.norm2(self.conv1(nf.silu(self.norm1(x))))))


class ResidualUNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015) of one residual block a level, on 2 x 2 pixels a cell:
    (B, 3, H, W) -> features (B, widths[0], H/2, W/2). The last of its widths also sees the mean of the whole picture.
    """

    def __init__(self, widths: Sequence[int]):
        super().__init__()
        self.stem = nn.Conv2d(12, widths[0], 3, padding=1)
        pairs = list(pairwise(widths))
        self.before = nn.ModuleList(_Residual(width) for width in widths[:-1])
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairs)
        self.middle = nn.Sequential(_Residual(widths[-1]), _Residual(widths[-1]))
        self.whole = nn.Linear(widths[-1], widths[-1])
        self.join = nn.ModuleList(nn.Conv2d(a + b, a, 1) for a, b in pairs)
        self.after = nn.ModuleList(_Residual(width) for width in widths[:-1])

    def forward(self, pictures: Tensor) -> Tensor:
        x, skips = self.stem(nf.pixel_unshuffle(pictures, 2)), []
        for block, down in zip(self.before, self.down, strict=True):
            skips.append(x := block(x))
            x = down(x)
        x = x + self.whole(x.mean((2, 3)))[:, :, None, None]
        x = self.middle(x)
        for block, join, skip in zip(reversed(self.after), reversed(self.join), reversed(skips), strict=True):
            x = block(join(torch.cat([skip, nf.interpolate(x, scale_factor=2.0, mode="nearest")], 1)))
        return x


def head(width: int, channels: int) -> nn.Sequential:
    """From a trunk's features of that width to `channels` a cell, by one convolution."""
    return nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, channels, 3, padding=1))
