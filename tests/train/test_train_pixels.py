"""Models of pixels end to end on tiny arrays: class-conditional two ways, score networks, classifiers; stock loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sfumato import train
from sfumato.condition import Condition
from sfumato.network.classifier import Classifier
from sfumato.picture import BadInput
from sfumato.schedule import VE, Discrete, noised
from sfumato.train import recipe as r
from sfumato.train.task import Place
from sfumato.train.tasks.classifier import moved
from sfumato.train.tasks.ncsn import NcsnTask
from sfumato.train.tasks.pixels import PixelsTask

SMALL = {"channels": [8, 16], "attention": [False, True], "head": 8, "groups": 4}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A hundred grey pictures of 8 x 8, sorted: the left half is bright, or the right half."""
    home = tmp_path_factory.mktemp("arrays")
    x = np.random.default_rng(0).integers(0, 30, (100, 8, 8)).astype(np.uint8)
    x[:50, :, :4] += 200
    x[50:, :, 4:] += 200
    np.savez(home / "halves.npz", x=x, y=np.arange(100) // 50)
    return {"kind": "arrays", "path": str(home / "halves.npz"), "size": 8, "classes": ["left", "right"]}


def recipe(task: str, data: dict[str, Any], **changes: Any) -> Any:
    values: dict[str, Any] = {"task": task, "name": "tiny", "data": data, "batch": 16, "steps": 3, "threads": 1}
    values |= {"precision": "float32", "optimizer": {"lr": 3e-3, "warmup": 5}, "ema": {"decay": 0.9}, "workers": 1}
    if task != "classifier":
        values |= {"network": SMALL, "export": "float32", "preview": {"each": 1}}
    return r.validate({**values, **changes})


def run(folder: Path, made: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.yaml").write_text(r.resolved(made))
    train.run(folder / "tiny.yaml", out=folder / "run")
    return folder / "run"


def place(folder: Path) -> Place:
    return Place(folder, folder / "cache")


@pytest.mark.parametrize("label", [{"kind": "time"}, {"kind": "channels", "width": 3}])
def test_a_class_is_told_in_the_way_that_the_folder_says(tmp_path: Path, data: dict, label: dict):
    """The exported files alone, in stock diffusers' classes, answer what the trained network answers."""
    from diffusers import DDPMPipeline

    made = recipe("pixels", data, label=label)
    task = PixelsTask(made, place(tmp_path)).eval()
    with torch.no_grad():
        task.finish(tmp_path / "export")
    unet: Any = DDPMPipeline.from_pretrained(tmp_path / "export").unet
    said = json.loads((tmp_path / "export" / "label" / "config.json").read_text())
    assert (said["classes"], said["null"], said["how"]) == (["left", "right"], 2, label["kind"])

    x, y, index = torch.randn(3, 1, 8, 8), torch.tensor([0, 1, 2]), torch.tensor([10.0, 500.0, 999.0])
    with torch.no_grad():
        if said["how"] == "time":
            stock = unet(x, index, class_labels=y).sample
        else:
            rows = load_file(tmp_path / "export" / "label" / "model.safetensors")["embedding.weight"][y]
            assert rows.shape[1] == said["width"] == 3
            stock = unet(torch.cat([x, rows[:, :, None, None].expand(-1, -1, 8, 8)], 1), index).sample
        assert torch.equal(stock, task.told(task.condition(y, 3))(x, (index.double() + 1) / 1000))


def test_without_classes_stock_pipelines_draw(tmp_path: Path, data: dict):
    from diffusers import DDPMPipeline

    export = run(tmp_path, recipe("pixels", data, label={"kind": "none"}, preview={"each": 1, "steps": 2})) / "export"
    assert not (export / "label").exists()
    pipe: Any = DDPMPipeline.from_pretrained(export)
    assert pipe.scheduler.config.prediction_type == "v_prediction"
    pipe.set_progress_bar_config(disable=True)
    assert np.asarray(pipe(num_inference_steps=2, output_type="np").images).shape == (1, 8, 8, 1)


def test_trained_classes_look_like_themselves(tmp_path: Path, data: dict):
    """After a few seconds of training the bright half is where the class says."""
    made = recipe("pixels", data, steps=100, optimizer={"lr": 1e-2, "warmup": 5}, objective={"times": "uniform"})
    from sfumato.train.loop import Loop
    from sfumato.train.machine import accelerator

    loop = Loop(made, PixelsTask(made, place(tmp_path)), tmp_path, accelerator(made))
    for _ in range(100):
        loop.advance()
    with loop.averaged():
        drawn = loop.task.draw(torch.tensor([0] * 8 + [1] * 8), 16)
    balance = (drawn[..., :4] - drawn[..., 4:]).mean((1, 2, 3))
    assert (balance[:8] > 0.5).all()
    assert (balance[8:] < -0.5).all()


def test_classes_are_dropped_as_often_as_the_recipe_says(tmp_path: Path, data: dict):
    """Ho and Salimans 2022, algorithm 1: c becomes the null with probability p_uncond."""
    task = PixelsTask(recipe("pixels", data, label={"kind": "time", "dropout": 0.25}), place(tmp_path))
    seen: list[torch.Tensor] = []

    def answer(x: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        seen.append(condition.parts[0].ids)  # pyright: ignore[reportAttributeAccessIssue]
        return torch.zeros_like(x)

    task.denoiser.output = answer
    indices = np.tile(np.arange(len(task)), 40)
    task(indices, 0, torch.Generator().manual_seed(0))
    dropped = seen[0] == 2
    assert float(dropped.float().mean()) == pytest.approx(0.25, abs=0.02)
    assert task.train_set.labels is not None
    assert torch.equal(seen[0][~dropped], torch.from_numpy(task.train_set.labels[indices])[~dropped])


def test_a_learned_variance_doubles_the_channels(tmp_path: Path, data: dict):
    task = PixelsTask(recipe("pixels", data, objective={"loss": "hybrid", "times": "table"}), place(tmp_path)).eval()
    loss, _ = task(np.arange(16), 0, torch.Generator().manual_seed(0))
    assert bool(loss.isfinite())
    with torch.no_grad():
        prediction = task.draw(torch.tensor([0]), 1)
        task.finish(tmp_path / "export")
    assert prediction.shape == (1, 1, 8, 8)
    assert json.loads((tmp_path / "export/unet/config.json").read_text())["out_channels"] == 2
    scheduler = json.loads((tmp_path / "export/scheduler/scheduler_config.json").read_text())
    assert scheduler["variance_type"] == "learned_range"


def test_the_scheduler_file_says_the_table_that_was_trained_with(tmp_path: Path, data: dict):
    for schedule in ({"kind": "linear", "beta_end": 0.03}, {"kind": "scaled_linear", "zero_terminal": True}):
        task = PixelsTask(recipe("pixels", data, objective={"schedule": schedule, "table": 200}), place(tmp_path))
        read = Discrete.from_config(task.scheduler())
        assert torch.equal(read.phi, task.schedule.phi)


def test_score_matching_is_weighted_by_sigma_squared(tmp_path: Path, data: dict):
    """The loss is E |sigma s + z|^2 at geometric levels: Song and Ermon 2019, eq. 5 and 6."""
    made = recipe("ncsn", data, objective={"schedule": {"kind": "ve", "sigma_max": 5.0}, "times": "table", "table": 9})
    task = NcsnTask(made, place(tmp_path))
    calls: list[tuple[torch.Tensor, torch.Tensor]] = []

    def answer(x: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        calls.append((x, t))
        return torch.full_like(x, 0.3)

    task.denoiser.output = answer
    indices = np.arange(40)
    loss, _ = task(indices, 0, torch.Generator().manual_seed(0))
    x, t = calls[0]
    sigma = VE(0.01, 5.0)(t)[1].float()[:, None, None, None]
    z = (x - task.train_set.batch(indices)) / sigma
    assert float(loss) == pytest.approx(float((sigma * 0.3 + z).square().mean()), rel=1e-4)
    assert set((t * 9).round().int().tolist()) <= set(range(1, 10))


def test_a_score_network_learns_without_a_target_though_it_looks_at_itself(tmp_path: Path, data: dict):
    """Score matching takes the gradient of a gradient, of attention too."""
    made = recipe("ncsn", data, objective={"loss": "score-matching"})
    task = NcsnTask(made, place(tmp_path))
    loss, _ = task(np.arange(4), 0, torch.Generator().manual_seed(0))
    loss.backward()
    weights = {name: w for name, w in task.network.named_parameters() if "to_q" in name}
    assert weights
    assert all(w.grad is not None and bool(w.grad.isfinite().all()) for w in weights.values())


def test_a_score_network_is_told_sigma_and_answers_the_score(tmp_path: Path, data: dict):
    """Stock diffusers' score-SDE format: unet(x, sigma) is the score that the samplers see."""
    from diffusers import UNet2DModel

    export = run(tmp_path, recipe("ncsn", data, preview={"each": 1, "repeats": 1}, objective={"table": 3})) / "export"
    unet: Any = UNet2DModel.from_pretrained(export / "unet")
    assert json.loads((export / "scheduler" / "scheduler_config.json").read_text())["sigma_max"] == 20.0
    task = NcsnTask(recipe("ncsn", data), place(tmp_path)).eval()
    task.network.unet.load_state_dict(unet.state_dict())
    x, t = torch.randn(2, 1, 8, 8) * 5, torch.tensor([0.3, 0.8], dtype=torch.float64)
    sigma = VE(0.01, 20.0)(t)[1].float()
    with torch.no_grad():
        eps = task.denoiser(x, t, Condition.empty(2)).eps
        score = unet(x, sigma).sample
    torch.testing.assert_close(eps, -sigma[:, None, None, None] * score, rtol=1e-5, atol=1e-6)


def test_a_classifier_of_noisy_pictures_is_less_sure_in_more_noise(tmp_path: Path, data: dict):
    network = {"channels": [16], "blocks": [1]}
    changes: dict[str, Any] = {"shift": 0, "mirror": False, "smoothing": 0.0, "optimizer": {"lr": 1e-2, "warmup": 5}}
    folder = run(tmp_path, recipe("classifier", data, steps=80, network=network, **changes))
    figures = json.loads((folder / "figures.json").read_text())
    assert figures["accuracy_t0"] == 1
    classifier = Classifier.load(folder / "export" / "classifier")
    assert (classifier.classes, classifier.names) == (2, ("left", "right"))
    clean = torch.full((1, 1, 8, 8), -0.9)
    clean[..., :4] = 0.7
    assert float(classifier.logits(clean, torch.tensor([0.0])).softmax(1)[0, 0]) > 0.95
    noise = torch.randn(200, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    sure = []
    for t in (0.1, 0.5, 0.9):
        x = noised(classifier.schedule, clean.expand(200, -1, -1, -1), t, noise)
        sure.append(float(classifier.logits(x, torch.full((200,), t)).softmax(1)[:, 0].mean()))
    assert sure[0] > sure[1] > sure[2] + 0.05
    x.requires_grad_()  # at t = 0.9
    (g,) = torch.autograd.grad(classifier.logits(x, torch.full((200,), 0.9)).log_softmax(1)[:, 1].sum(), x)
    assert float((g[..., 4:] - g[..., :4]).mean()) > 0  # to be of the right: more light there


def test_a_clean_classifier_gives_features_and_refuses_to_guide(tmp_path: Path, data: dict):
    made = recipe("classifier", data, noise="none", network={"channels": [8, 16], "blocks": [1, 1]})
    classifier = Classifier.load(run(tmp_path, made) / "export" / "classifier")
    x = torch.rand(3, 1, 8, 8)
    assert classifier.features(x).shape == (3, 16)
    torch.testing.assert_close(classifier.logits(x), classifier.head(classifier.features(x)))
    with pytest.raises(BadInput, match="clean pictures alone"):
        _ = classifier.schedule


def test_a_classifier_means_the_same_under_every_schedule():
    """It reads x/sqrt(alpha^2 + sigma^2) and log(alpha/sigma) alone."""
    torch.manual_seed(0)
    here = Classifier("ab", widths=(8,), blocks=(1,), noise={"kind": "cosine"})
    for parameter in here.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    there = Classifier("ab", widths=(8,), blocks=(1,), noise={"kind": "ve", "sigma_max": 30.0})
    there.load_state_dict(here.state_dict())
    t = torch.tensor([0.2, 0.7], dtype=torch.float64)
    alpha, sigma = here.schedule(t)
    x = torch.randn(2, 1, 8, 8)
    same = there.logits(x / alpha.float()[:, None, None, None], there.schedule.time(sigma / alpha))
    torch.testing.assert_close(here.logits(x, t), same, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(here.logits(x, t), here.logits(x, t.flip(0)))


def test_what_a_classifier_adds_to_the_picture_stays_finite_in_noise():
    """sigma^2/alpha grad log p(y | x_t), what guidance adds to x0, where alpha goes to 0."""
    torch.manual_seed(0)
    classifier = Classifier("ab", widths=(8,), blocks=(1,), noise={"kind": "squaredcos_cap_v2"})
    x, largest = torch.randn(1, 1, 8, 8, requires_grad=True), []
    for t in (0.9, 0.99, 0.999, 1.0):
        alpha, sigma = classifier.schedule(t)
        (g,) = torch.autograd.grad(classifier.logits(x, t).log_softmax(1)[0, 0], x)
        largest.append(float(sigma**2 / alpha * g.abs().max()))
    assert float(classifier.schedule(1.0)[0]) < 1e-4
    assert 0 < max(largest) < 4 * largest[0]


def test_unreadable_classifiers_are_named(tmp_path: Path):
    with pytest.raises(BadInput, match="holds no readable classifier"):
        Classifier.load(tmp_path)


def test_augmentation_moves_and_mirrors_within_its_bounds():
    x = torch.zeros(64, 1, 8, 8)
    x[:, :, 3, 2] = 1
    still = moved(x, 0, False, torch.Generator())
    assert torch.equal(still, x)
    out = moved(x, 1, True, torch.Generator().manual_seed(0))
    rows, columns = out.sum((0, 1, 3)).nonzero()[:, 0].tolist(), out.sum((0, 1, 2)).nonzero()[:, 0].tolist()
    assert rows == [2, 3, 4]
    assert columns == [1, 2, 3, 4, 5, 6]
    assert torch.equal(out.sum((1, 2, 3)), torch.ones(64))


@pytest.mark.parametrize("name", ["fashion", "fashion-classifier", "fashion-features", "ncsn-fashion", "grocery"])
def test_the_shipped_recipes_are_valid_and_say_which_file_is_missing(name: str, tmp_path: Path):
    made: Any = r.load(name, [f"data.path={tmp_path / 'none'}"])
    assert made.name == name
    changes = {"absent": None} if made.data.kind == "arrays" else {}

    with pytest.raises(BadInput, match="none"):
        made.data.model_copy(update=changes).open(1, tmp_path, 1)


def test_sizes_that_cannot_be_halved_are_refused(data: dict):
    with pytest.raises(BadInput, match="can't be halved 2 times: choose a multiple of 4"):
        recipe("pixels", {**data, "size": 10}, network={**SMALL, "channels": [8, 8, 8], "attention": [False] * 3})
