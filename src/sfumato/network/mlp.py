"""A small network for points: residual, told the time by Fourier features and the class by an embedding."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sfumato.condition import Condition, Label, Part
from sfumato.denoise import Preconditioned
from sfumato.network.engine import Eager
from sfumato.network.spec import Input, NetworkSpec, own_dtype
from sfumato.network.unet2d_condition import refuse_others
from sfumato.network.writing import save_tensors
from sfumato.picture import BadInput
from sfumato.picture.errors import reason_of
from sfumato.schedule.named import named

TIME = 2.0 ** torch.arange(0, 8)
SPACE = 2.0 ** torch.arange(-1, 2)
KIND = "sfumato-mlp"


def waves(x: Tensor, frequencies: Tensor) -> Tensor:
    """sin and cos of pi f x for every f, (B, 2 F d) of x (B, d)."""
    angle = (math.pi * x[..., None] * frequencies.to(x)).flatten(1)
    return torch.cat([angle.sin(), angle.cos()], 1)


class _Block(nn.Module):
    """h + W2 silu(W1 (scale norm(h) + shift)): scale and shift are what the time and the class say."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.told = nn.LayerNorm(width, elementwise_affine=False), nn.Linear(width, 2 * width)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.second.weight)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        silu = nn.functional.silu
        scale, shift = self.told(silu(e)).chunk(2, 1)
        return h + self.second(silu(self.first(self.norm(h) * (1 + scale) + shift)))


class MLP(nn.Module):
    """F(x, t, class) for points x (B, size): (B, outputs size), 0 at first.

    x and the time t in [0, 1] come with the sines and cosines of their multiples, of pi 2^k x for k = -1..1 and of
    pi 2^k t for k = 0..7, without which edges are learned last (Tancik et al. 2020); the class comes as a row of an
    embedding, added to the time's (Dhariwal & Nichol 2021, section 4.1). classes: 0 is unconditional; with `null` a
    further index, `classes`, means "no class" (Ho & Salimans 2022). outputs: 2 with a learned variance.
    """

    def __init__(
        self, size: int = 2, width: int = 128, depth: int = 3, classes: int = 0, null: bool = True, outputs: int = 1
    ):
        super().__init__()
        self.config = {
            "size": size,
            "width": width,
            "depth": depth,
            "classes": classes,
            "null": null,
            "outputs": outputs,
        }
        self.time = nn.Sequential(nn.Linear(2 * len(TIME), width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(classes + null, width) if classes else None
        self.first = nn.Linear((1 + 2 * len(SPACE)) * size, width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(depth))
        self.last = nn.Linear(width, outputs * size)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, t: Tensor, ids: Tensor | None = None) -> Tensor:
        e = self.time(waves(t.to(x)[:, None], TIME))
        if self.label is not None:
            e = e + self.label(ids)
        h = self.first(torch.cat([x, waves(x, SPACE)], 1))
        for block in self.blocks:
            h = block(h, e)
        return self.last(nn.functional.silu(h))


POINTS = NetworkSpec(
    {
        "x": Input(("rows", "size")),
        "t": Input(("rows",), "float64"),
        "ids": Input(("rows",), "int64", needed=False),
    },
    lambda network, x, t, ids: network(x, t, ids),
)
"""An `MLP` as an engine runs it; one that has classes needs their ids."""


class MLPBackbone:
    """The network as a Backbone. It takes a `Label` where it has classes; without one it answers for "no class".

    Any other part is refused by name, and so is a class that it does not know, and "no class" of a network that was
    never trained without one.
    """

    differentiable = True

    def __init__(self, network: MLP):
        self.network, self.run = network, Eager().prepare(network, POINTS)
        self.accepts: Mapping[type[Part], int] = {} if network.label is None else {Label: network.label.num_embeddings}

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        return self.run(x=x.to(own_dtype(self.network)), t=t, ids=self._ids(condition, x))

    def _ids(self, condition: Condition, x: Tensor) -> Tensor | None:
        refuse_others(condition, self.accepts)
        if self.network.label is None:
            return None
        label, count = condition.get(Label), self.network.label.num_embeddings
        ids = torch.full((len(x),), self.network.config["classes"]) if label is None else label.ids
        if bool(((ids < 0) | (ids >= count)).any()):
            none = ", and no class" if self.network.config["null"] else ""
            last = self.network.config["classes"] - 1
            raise BadInput(f"This network knows the classes 0 to {last}{none}: give it a Label of those.")
        return ids.to(x.device)


def denoiser(network: MLP, config: Mapping[str, Any]) -> Preconditioned:
    """The network with what it was trained as: {"schedule", "parameterization", "sigma_data", "learned_variance"}.

    It is told t itself and sees points of unit variance at every t.
    """
    return Preconditioned(
        MLPBackbone(network),
        named(**config["schedule"]),
        config["parameterization"],
        "t",
        learned_variance=config["learned_variance"],
        sigma_data=config["sigma_data"],
        scaled=True,
    )


def save(folder: Path, network: MLP, config: Mapping[str, Any]) -> None:
    """config.json and model.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"kind": KIND, "network": network.config, **config}
    (folder / "config.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    weights = {name: value.detach().float().cpu() for name, value in network.state_dict().items()}
    save_tensors(weights, folder / "model.safetensors")


def load(folder: Path | str) -> Preconditioned:
    """The denoiser of points that `save` wrote, such as `sfumato train points` exports: for every sampler and guidance.

    Raises BadInput if the folder holds none.
    """
    from safetensors.torch import load_file

    folder = Path(folder)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config["kind"] != KIND:
            raise ValueError(f"its kind is {config['kind']}")
        network = MLP(**config["network"])
        network.load_state_dict(load_file(folder / "model.safetensors"))
        return denoiser(network.eval().requires_grad_(False), config)
    except Exception as error:
        raise BadInput(
            f"{folder} holds no readable network of points ({reason_of(error)}): give a folder with the config.json "
            "and the model.safetensors that `sfumato train points` exports."
        ) from error
