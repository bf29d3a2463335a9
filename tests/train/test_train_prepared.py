"""Training's loss asks the network that an engine prepared, to the bit what the network itself answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from random_model import TINY, build
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

import sfumato
from sfumato.condition import Concat, Condition, Label, Text
from sfumato.network.engine import Eager
from sfumato.train import recipe as r
from sfumato.train.task import TASKS, Place

SMALL = {"channels": [8, 16], "attention": [False, True], "head": 8, "groups": 4}
WORDS = {"channels": [32, 64], "attention": [False, True], "heads": [2, 4], "groups": 8}
TOWER = {"width": 16, "layers": 1, "heads": 2}
CLIP = {"text": TOWER, "image": TOWER, "patch": 8, "projection": 8, "length": 24, "vocabulary": 700}
SORTS = {"channels": [8, 16], "blocks": [1, 1], "groups": 4}
DRAWN = {"kind": "vignettes", "count": 8, "size": 32}
PIXELS: dict[str, Any] = {"task": "pixels", "data": "GREY", "network": SMALL}
TEXT: dict[str, Any] = {"data": DRAWN, "text_encoder": "MODEL", "network": WORDS}
RECIPES: dict[str, dict[str, Any]] = {
    "pixels-time": {**PIXELS, "objective": {"times": "uniform"}},
    "pixels-mu": {**PIXELS, "objective": {"parameterization": "mu", "times": "table"}},
    "pixels-channels": {**PIXELS, "label": {"kind": "channels", "width": 3}},
    "pixels-hybrid": {**PIXELS, "label": {"kind": "none"}, "objective": {"loss": "hybrid", "times": "table"}},
    "ncsn": {**PIXELS, "task": "ncsn"},
    "palette": {**PIXELS, "task": "palette", "data": "RGB"},
    "diffusion": {**TEXT, "task": "diffusion", "autoencoder": "MODEL", "objective": {"times": "uniform"}},
    "inpaint": {**TEXT, "task": "inpaint", "autoencoder": "MODEL", "preview": {"count": 1}},
    "text-pixels": {**TEXT, "task": "text-pixels", "patch": 4},
    "clip": {"task": "clip", "data": DRAWN, "network": CLIP, "held_back": 2},
    "clip-noised": {"task": "clip-noised", "data": DRAWN, "clip": "TOWERS", "autoencoder": None, "image": TOWER},
    "classifier": {"task": "classifier", "data": "GREY", "network": SORTS, "held_back": 2},
    "judge": {"task": "judge", "data": DRAWN, "held_back": 2},
    "points": {"task": "points", "network": {"width": 8, "depth": 1}, "data": {"kind": "ring", "count": 40}},
    "autoencoder": {"task": "autoencoder", "data": DRAWN, "network": {"channels": [16, 16], "groups": 4}},
}
RECIPES["autoencoder"]["held_back"] = RECIPES["clip-noised"]["held_back"] = 2


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("prepared")
    dice = np.random.default_rng(0)
    for name, shape in {"GREY": (20, 8, 8), "RGB": (20, 8, 8, 3)}.items():
        np.savez(home / f"{name}.npz", x=dice.integers(0, 256, shape).astype(np.uint8), y=np.arange(20) // 10)
    build(home / "MODEL", shape=TINY)
    made(home, "clip").eval().finish(home / "TOWERS")
    return home


def made(home: Path, name: str) -> Any:
    values = {"name": name, "precision": "float32", "workers": 1, **RECIPES[name]}
    for key in ("text_encoder", "autoencoder", "clip"):
        if values.get(key):
            values[key] = str(home / values[key])
    if isinstance(values["data"], str):
        values["data"] = {"kind": "arrays", "path": str(home / f"{values['data']}.npz"), "size": 8}
    torch.manual_seed(1)
    recipe = r.validate(values)
    return TASKS[recipe.task](recipe, Place(home / name, home / "cache"))


def step(task: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch, and every weight's gradient."""
    task.zero_grad()
    loss, _ = task(np.arange(6), 3, torch.Generator().manual_seed(1))
    loss.backward()
    return loss.detach(), {name: w.grad for name, w in task.network.named_parameters() if w.grad is not None}


def directly(task: Any, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
    """The network of pixels or of latents, called as diffusers has it."""
    time = task.time(t).float() if hasattr(task, "time") else task.schedule.index(t).float()
    text, label, concat = (condition.get(kind) for kind in (Text, Label, Concat))
    x = x if concat is None else torch.cat([x, concat.planes], 1)
    if text is not None:
        answer = task.network(pixel_unshuffle(x, task.patch), time, text.embeds, return_dict=False)[0]
        return pixel_shuffle(answer, task.patch)
    if label is not None and "embedding" in task.network:
        planes = task.network["embedding"](label.ids)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return task.network["unet"](torch.cat([x, planes], 1), time, return_dict=False)[0]
    return task.network["unet"](x, time, None if label is None else label.ids, return_dict=False)[0]


WHOLE = ("autoencoder", "clip", "clip-noised", "classifier", "judge", "points")  # which call it with more than (x, t)


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in WHOLE])
def test_the_loss_and_its_gradients_are_those_of_a_direct_call(home: Path, name: str):
    task = made(home, name)
    loss, gradients = step(task)
    task.told = lambda condition: lambda x, t: directly(task, x, t, condition)
    expected, theirs = step(task)
    assert torch.equal(loss, expected)
    assert gradients.keys() == theirs.keys()
    assert len(gradients) > 20
    assert all(torch.equal(gradients[key], theirs[key]) for key in gradients)


def _moments(network: Any, pictures: Tensor) -> Tensor:
    posterior = network.encode(pictures).latent_dist
    return torch.cat([posterior.mean, posterior.logvar], 1)


DIRECT: dict[str, dict[str, Callable[..., Any]]] = {
    "autoencoder": {"moments": _moments, "decoder": lambda network, z: network.decode(z).sample},
    "clip": {
        "image": lambda network, pixels: network.get_image_features(pixels).pooler_output,
        "text": lambda network, ids: network.get_text_features(ids).pooler_output,
    },
    "clip-noised": {"towers": lambda network, planes, pooled: network(planes, pooled)},
    "classifier": {"logits": lambda network, x, t: network(x, t)},
    "judge": {"judge": lambda network, pictures: network(pictures)},
    "points": {"run": lambda network, x, t, ids: network(x, t, ids)},
}


@pytest.mark.parametrize("name", WHOLE)
def test_the_loss_and_its_gradients_are_those_of_the_network_itself(home: Path, name: str):
    task = made(home, name)
    loss, gradients = step(task)
    for run, direct in DIRECT[name].items():
        setattr(task.denoiser.backbone if name == "points" else task, run, partial(direct, task.network))
    expected, theirs = step(task)
    assert torch.equal(loss, expected)
    assert gradients.keys() == theirs.keys()
    assert len(gradients) > 5
    assert all(torch.equal(gradients[key], theirs[key]) for key in gradients)


@pytest.mark.parametrize("name", RECIPES)
def test_the_loss_calls_what_the_engine_prepared_and_nothing_else(home: Path, name: str, monkeypatch):
    inside: list[bool] = []
    prepare = Eager.prepare

    def watched(self: Eager, network: Any, spec: Any) -> Callable[..., Tensor]:
        run = prepare(self, network, spec)

        def call(**inputs: Any) -> Tensor:
            inside.append(True)
            try:
                return run(**inputs)
            finally:
                inside.pop()

        return call

    monkeypatch.setattr(Eager, "prepare", watched)
    task = made(home, name)
    calls: list[bool] = []
    for module in task.network.modules():
        if next(module.parameters(recurse=False), None) is not None:
            module.register_forward_pre_hook(lambda *_: calls.append(bool(inside)))
    step(task)
    assert calls
    assert all(calls)


@pytest.mark.parametrize("name", ["pixels-mu", "pixels-channels", "ncsn", "palette", "diffusion", "text-pixels"])
def test_the_export_is_read_back_and_answers_what_was_trained(home: Path, name: str, capfd):
    task = made(home, name).eval()
    task.recipe = task.recipe.model_copy(update={"export": "float32"})
    with torch.no_grad():
        task.finish(home / name / "export")
        assert ("stock diffusers has no name for" in capfd.readouterr().err) == (name == "pixels-mu")
        stage = sfumato.load(home / name / "export").stage
        rows, t = np.arange(3), torch.tensor([0.25, 0.5, 1.0], dtype=torch.float64)
        if name in ("diffusion", "text-pixels"):
            condition = task.condition(rows, [0] * 3, torch.zeros(3, dtype=torch.bool), torch.Generator())
            x = torch.randn(3, *task.shape)
        else:
            x = torch.randn(3, task.channels, 8, 8)
            condition = task.seeing(x.flip(0)) if name == "palette" else task.condition(None, 3)
            if task.classes:
                condition = task.condition(torch.tensor([0, 1, 2]), 3)
        theirs = stage.denoiser.output(x, t, condition)  # pyright: ignore[reportAttributeAccessIssue]
        assert torch.equal(theirs, task.told(condition)(x, t))
        prediction = stage.denoiser(x, t, condition)
        assert bool(prediction.x0.isfinite().all())


def test_stock_schedulers_refuse_the_mean_of_a_step_by_name(home: Path):
    from diffusers import DDIMScheduler, DDPMScheduler

    config = made(home, "pixels-mu").scheduler()
    for kind in (DDPMScheduler, DDIMScheduler):
        scheduler: Any = kind.from_config(config)
        scheduler.set_timesteps(4)
        with pytest.raises(ValueError, match="prediction_type given as posterior_mean must be one of"):
            scheduler.step(torch.zeros(1, 1, 8, 8), int(scheduler.timesteps[0]), torch.zeros(1, 1, 8, 8))
