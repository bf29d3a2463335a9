"""Training beside a frozen base: at step 0 the base is what it was, what is exported is what stock diffusers reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from random_model import TINY, build
from safetensors.torch import load_file

import sfumato
from sfumato import train
from sfumato.condition import Condition, Controls, ImagePrompts, Text
from sfumato.control import ControlMap, ControlNet, IPAdapter, T2IAdapter, make_map
from sfumato.data import vignettes
from sfumato.evaluate.adherence import Drawn
from sfumato.picture import BadInput
from sfumato.train import checkpoint
from sfumato.train import recipe as r
from sfumato.train.loop import Loop
from sfumato.train.machine import accelerator
from sfumato.train.objective import draw_times
from sfumato.train.task import TASKS, Place
from sfumato.zoo.find import find

COMMON = """
base: MODEL
data: {kind: vignettes, count: 12, size: 32}
paraphrases: 1
batch: 4
steps: 4
optimizer: {lr: 1.0e-2, warmup: 0, schedule: constant}
ema: {decay: 0.0}
every: {log: 1, save: 2}
held_back: 4
preview: {count: 1, steps: 1}
precision: float32
threads: 1
workers: 1
"""
PARTS = ("image_proj", "ip_adapter")
SECTIONS = {
    "controlnet": "task: controlnet\nmap: canny\n",
    "union": "task: controlnet\nmap: [canny, depth]\n",
    "t2i-adapter": "task: t2i-adapter\nmap: depth\nadapter: xl\nblocks: 1\n",
    "ip-adapter": "task: ip-adapter\nimage_encoder: MODEL\n",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    home = tmp_path_factory.mktemp("runs")
    build(home / "model", shape=TINY)
    small: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    shape = CLIPVisionConfig(**small, num_attention_heads=2, image_size=32, patch_size=16, projection_dim=24)
    CLIPVisionModelWithProjection(shape).save_pretrained(home / "model" / "image_encoder")
    for name, section in SECTIONS.items():
        (home / f"{name}.yaml").write_text((section + COMMON).replace("MODEL", str(home / "model")))
    return home


@pytest.fixture(scope="module")
def exported(home: Path) -> Callable[[str], Path]:
    """The export of a run of four steps."""

    def run(name: str) -> Path:
        if not (home / name / "export").exists():
            train.run(home / f"{name}.yaml", out=home / name)
        return home / name / "export"

    return run


@pytest.fixture
def made(home: Path) -> Callable[..., Any]:
    """made(name, "key=value", ...): the task of a recipe, at its beginning."""

    def make(name: str, *overrides: str) -> Any:
        torch.manual_seed(0)
        recipe = r.load(home / f"{name}.yaml", overrides)
        return TASKS[recipe.task](recipe, Place(home / name, home / "cache"))

    return make


@pytest.fixture(scope="module")
def pipe(home: Path) -> sfumato.Pipe:
    return sfumato.load(str(home / "model"))


@pytest.fixture(scope="module")
def edges() -> Image.Image:
    return make_map(Drawn.of(vignettes.scene(0, 3), 32).picture, "canny")


def answers(task: Any, condition: Condition) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(condition.rows, 4, 16, 16, generator=generator)
    return task.told(condition)(x, torch.full((condition.rows,), 0.7))


def plain(task: Any, rows: np.ndarray) -> Condition:
    return Condition((Text(task.captions.batch(rows, [0] * len(rows), torch.zeros(len(rows), dtype=torch.bool))),))


@pytest.mark.parametrize("name", ["controlnet", "union"])
def test_at_step_0_a_controlnet_is_the_base_to_the_bit_and_its_zeros_move_first(made, name):
    task, rows = made(name), np.arange(4)
    base = task.backbone.network
    for ours, theirs in ((task.network.conv_in, base.conv_in), (task.network.down_blocks, base.down_blocks)):
        assert all(map(torch.equal, ours.state_dict().values(), theirs.state_dict().values()))
    kept = {k: v.clone() for k, v in base.state_dict().items()}
    condition = task.condition(rows, [0] * 4, torch.zeros(4, dtype=torch.bool), torch.Generator())
    assert condition.get(Controls) is not None
    thing = condition.get(Controls).things[0]
    with torch.no_grad():
        found = thing(torch.randn(4, 4, 16, 16), torch.full((4,), 699.0), {"text": condition.get(Text).embeds})
        assert all(bool((a == 0).all()) for a in (*found.skips, found.middle))
        assert torch.equal(answers(task, condition), answers(task, plain(task, rows)))
    recipe = task.recipe.model_copy(update={"optimizer": task.recipe.optimizer.model_copy(update={"weight_decay": 0})})
    loop = Loop(recipe, task, task.place.run, accelerator(recipe))
    first = {k: v.clone() for k, v in task.network.named_parameters()}
    for step in range(2):
        loop.advance()
        now = dict(task.network.named_parameters())
        moved = {k.split(".")[0] for k in first if not torch.equal(now[k], first[k])}
        zeros = {"controlnet_down_blocks", "controlnet_mid_block"}
        assert moved == zeros if step == 0 else moved > zeros | {"down_blocks", "controlnet_cond_embedding"}
    assert all(torch.equal(v, kept[k]) for k, v in base.state_dict().items())
    assert not any(w.requires_grad for w in base.parameters())


def test_the_first_gradient_hears_the_map(made):
    """Of the zeros behind the copy; with zeros before it too (the paper's) it is the same whatever is shown. The map is
    as loud as the latents at most."""
    task, seen = made("controlnet"), []
    network, text = task.network, torch.randn(1, 8, 64)
    network.conv_in.register_forward_hook(lambda module, given, answer: seen.append(answer.detach()))
    network.controlnet_cond_embedding.register_forward_hook(lambda module, given, answer: seen.append(answer.detach()))
    x, gradients = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1)), []
    for row in range(2):
        thing = task.control(task.on_device(task.kinds[0][0][row : row + 1]), 0).things[0]
        thing(x, torch.full((1,), 699.0), {"text": text}).middle.sum().backward()
        gradients.append(network.controlnet_mid_block.weight.grad.clone())
        network.zero_grad()
    assert not torch.allclose(*gradients, rtol=1e-3)
    latents, hint = (float((a - a.mean((0, 2, 3), keepdim=True)).std()) for a in seen[:2])
    assert 0.05 < hint / latents < 1.5


def test_a_fresh_controlnet_paints_the_bases_picture_and_a_trained_one_another(made, exported, pipe, edges, tmp_path):
    made("controlnet").network.save_pretrained(tmp_path / "fresh")
    told: dict[str, Any] = {"steps": 2, "seed": 3, "width": 32, "height": 32}
    base = np.asarray(pipe("a boat", **told).image)
    fresh, trained = (
        np.asarray(pipe("a boat", controls=[ControlNet(edges, str(net))], **told).image)
        for net in (tmp_path / "fresh", exported("controlnet"))
    )
    assert (fresh == base).all()
    assert (trained != base).any()


@pytest.mark.parametrize(("name", "kind"), [("controlnet", "ControlNetModel"), ("union", "ControlNetUnionModel")])
def test_what_is_trained_here_answers_the_same_in_stock_diffusers_and_the_other_way(exported, made, name, kind):
    import diffusers

    from sfumato.formats.control_network import read_controlnet
    from sfumato.network.controlnet import spec

    export = exported(name)
    stock = getattr(diffusers, kind).from_pretrained(export)
    x, t, text, hint = (
        torch.randn(2, 4, 16, 16),
        torch.tensor([5.0, 800.0]),
        torch.randn(2, 48, 64),
        torch.rand(2, 3, 32, 32),
    )
    with torch.no_grad():
        if name == "union":
            shown: Any = ([hint], torch.tensor([[0.0, 1.0]] * 2), [1])
            assert json.loads((export / "maps.json").read_text()) == {"0": "canny", "1": "depth"}
        else:
            shown = (hint,)
        theirs = stock(x, t, text, *shown, return_dict=False)
        ours = read_controlnet(export)
        mode = 1 if name == "union" else None
        told = {"x": x, "t": t, "text": text, "map": hint, "mode": mode, "pooled": None, "sizes": None}
        found = spec(ours).forward(ours, **told)
        for a, b in zip((*found[0], found[1]), (*theirs[0], theirs[1]), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
            assert float(a.abs().max()) > 1e-3
    again = made(name)
    again.network.load_state_dict(stock.state_dict())


def test_a_t2i_adapter_adds_its_features_and_is_read_by_stock_diffusers(made, exported, pipe, edges):
    import diffusers

    task, rows = made("t2i-adapter"), np.arange(4)
    condition = task.condition(rows, [0] * 4, torch.zeros(4, dtype=torch.bool), torch.Generator())
    with torch.no_grad():
        assert not torch.equal(answers(task, condition), answers(task, plain(task, rows)))
    stock = diffusers.T2IAdapter.from_pretrained(exported("t2i-adapter"))
    ema = checkpoint.read(task.place.run / "checkpoints" / "step-00000004").ema
    assert all(torch.equal(w, ema[name]) for name, w in stock.named_parameters())
    told: dict[str, Any] = {"steps": 2, "seed": 3, "width": 32, "height": 32}
    control = T2IAdapter(edges, str(exported("t2i-adapter")))
    assert (
        np.asarray(pipe("a boat", controls=[control], **told).image) != np.asarray(pipe("a boat", **told).image)
    ).any()
    with pytest.raises(BadInput, match=r"adapter: the features of 'full' .* choose another of full, light, xl"):
        made("t2i-adapter", "adapter=full")


def test_full_and_light_t2i_adapters_fit_a_base_with_attention_in_its_first_block(home, made, tmp_path):
    from diffusers import UNet2DConditionModel

    from sfumato.control.t2i_adapter import handed_on
    from sfumato.train.tasks.t2i_adapter_training import adapter

    unet = UNet2DConditionModel.from_pretrained(home / "model" / "unet")
    down, up = ("CrossAttnDownBlock2D", "DownBlock2D"), ("UpBlock2D", "CrossAttnUpBlock2D")
    for kind, width in (("full", 64), ("light", 32)):
        shape = {"down_block_types": down, "up_block_types": up, "block_out_channels": (32, width)}
        attentive = UNet2DConditionModel.from_config({**unet.config, **shape})
        features = adapter(attentive, kind, 1, 2)(torch.rand(1, 3, 32, 32))
        assert [tuple(a.shape[1:]) for a in features] == handed_on(attentive.config, 16, 16)[:-1]


def test_the_recipe_s_t2i_adapter_fits_mini():
    """Its features are as large and as wide as what mini's blocks hand on."""
    from sfumato.control.t2i_adapter import handed_on
    from sfumato.formats.folder import read_json
    from sfumato.train.tasks.t2i_adapter_training import adapter

    asked, mini = r.load("mini-t2i-adapter"), find("mini")
    base = SimpleNamespace(config=read_json(mini / "unet" / "config.json"))
    side = base.config["sample_size"]
    features = adapter(base, asked.adapter, asked.blocks, 8)(torch.rand(1, 3, 8 * side, 8 * side))
    assert [tuple(each.shape[1:]) for each in features] == handed_on(base.config, side, side)[:-1]


def test_t2i_adapters_are_trained_more_often_where_a_picture_is_laid_out(made):
    """t = 1 - u^3: P(t > s) = (1 - s)^(1/3) at every step of the table."""
    times = made("t2i-adapter").objective.recipe.times
    assert times.kind == "cubic"
    t = draw_times(times, 200_000, 50, torch.Generator().manual_seed(0), None)
    s = torch.arange(50, dtype=torch.float64) / 50
    beyond = (t[:, None] > s + 1e-9).double().mean(0)
    torch.testing.assert_close(beyond, (1 - s) ** (1 / 3), rtol=0, atol=4e-3)
    assert float(t.max()) == 1


def test_an_ip_adapter_begins_as_the_texts_own_attention_and_is_the_same_in_a_run(made, exported, pipe, home):
    """What training calls is what a run calls; stock names, and a left out picture is the embedding of zeros."""
    from diffusers import UNet2DConditionModel

    from sfumato.model.networks import network_of
    from sfumato.train.tasks.ip_adapter_training import numbered

    task, rows = made("ip-adapter"), np.arange(4)
    base = task.backbone.network
    for name, (number, module) in numbered(base).items():
        assert torch.equal(task.network.layers(base)[name][0], module.to_k.weight)
        assert name.endswith("attn2")
        assert number % 2 == 1
    weights = load_file(exported("ip-adapter") / "ip_adapter.safetensors")
    assert {key.split(".")[0] for key in weights} == set(PARTS)
    task.network.load_state_dict(weights)
    picture = Image.fromarray(task.train_set.pictures[2])
    adapter = network_of(str(exported("ip-adapter")), "ip_adapter", "")
    theirs = adapter.of(picture, base, (), None)
    with torch.no_grad():
        part = task.control(torch.from_numpy(np.array(task.kinds[0][0][2:3])), 0)
        ours = part.things[0]
        torch.testing.assert_close(ours.tokens, theirs.tokens, rtol=2e-3, atol=2e-3)  # kept as float16
        assert torch.equal(ours.empty, theirs.empty)
        condition = plain(task, rows[2:3])
        looked, same = (
            answers(task, condition.adding(ImagePrompts(torch.ones(1, 1), (p,), ((0.0, 1.0),)))) for p in (ours, theirs)
        )
        torch.testing.assert_close(looked, same, rtol=1e-3, atol=1e-3)
        assert not torch.equal(looked, answers(task, condition))
        stock: Any = UNet2DConditionModel.from_pretrained(home / "model" / "unet")
        split = {
            part: {k.removeprefix(f"{part}."): v for k, v in weights.items() if k.startswith(part)} for part in PARTS
        }
        stock._load_ip_adapter_weights([split])
        x = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(5))
        seen = {"image_embeds": [torch.from_numpy(np.array(task.kinds[0][0][2:3])).float()[:, None]]}
        text = condition.get(Text).embeds
        torch.testing.assert_close(stock(x, 699.0, text, added_cond_kwargs=seen).sample, looked, rtol=1e-4, atol=1e-4)
    told: dict[str, Any] = {"steps": 2, "seed": 3, "width": 32, "height": 32}
    painted = pipe("a boat", controls=[IPAdapter(picture, str(exported("ip-adapter")))], **told).image
    assert (np.asarray(painted) != np.asarray(pipe("a boat", **told).image)).any()


@pytest.mark.parametrize("name", ["union", "ip-adapter"])
def test_a_run_that_was_stopped_goes_on_exactly(home, exported, tmp_path, name):
    whole = exported(name).parent
    for steps in (2, 4):
        train.run(home / f"{name}.yaml", out=home / f"parted-{name}", overrides=[f"steps={steps}"])
    runs = (home / f"parted-{name}", whole)
    states = [checkpoint.read(run / "checkpoints" / "step-00000004") for run in runs]
    assert all(torch.equal(w, states[1].network[k]) for k, w in states[0].network.items())


@pytest.mark.parametrize("name", ["controlnet", "union"])
def test_a_controlnet_goes_on_from_a_trained_one(made, exported, name):
    begun = made(name, f"begin={exported(name)}")
    trained = load_file(exported(name) / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(weight, trained[key]) for key, weight in begun.network.state_dict().items())
    assert any(bool((weight != trained[key]).any()) for key, weight in made(name).network.state_dict().items())


def test_a_controlnet_goes_on_from_one_of_the_same_maps_and_shape_alone(made, exported):
    union, single = exported("union"), exported("controlnet")
    with pytest.raises(BadInput, match=r"knows canny, depth, and map says depth, canny"):
        made("union", "map=[depth, canny]", f"begin={union}")
    with pytest.raises(BadInput, match=r"knows canny, depth, and map says canny"):
        made("controlnet", f"begin={union}")
    with pytest.raises(BadInput, match=r"knows one map alone, and map says canny, depth"):
        made("union", f"begin={single}")
    with pytest.raises(BadInput, match="has another shape than"):
        made("controlnet", f"begin={single}", "hint=[16, 64]")
    with pytest.raises(BadInput, match="no controlnet in nowhere"):
        made("controlnet", "begin=nowhere")


def test_a_map_that_repeats_is_learned_so_many_times_as_often(made):
    task = made("union", "repeat={depth: 3}")
    drawn, told = [], task.control
    task.control = lambda shown, kind: (drawn.append(kind), told(shown, kind))[1]
    generator = torch.Generator().manual_seed(1)
    for _ in range(400):
        task.condition(np.arange(1), [0], torch.zeros(1, dtype=torch.bool), generator)
    assert drawn.count(1) == pytest.approx(300, abs=4 * (400 * 3 / 16) ** 0.5)
    with pytest.raises(BadInput, match="repeat: 'pose' is no map of this recipe, which has canny, depth"):
        made("union", "repeat={pose: 2}")


def test_the_figures_tell_the_right_map_from_a_wrong_one_by_the_same_noise(made, exported):
    figures = json.loads((exported("controlnet").parent / "figures.json").read_text())
    assert figures["loss_right"] != figures["loss_wrong"] != figures["loss_without"]
    fresh = made("controlnet").figures()
    assert fresh["loss_right"] == fresh["loss_wrong"] == fresh["loss_without"]


@pytest.mark.parametrize("name", ["canny", "depth", "normal", "openpose", "segmentation", "softedge", "lineart"])
def test_a_network_is_shown_in_training_what_it_is_shown_in_a_run(made, exported, pipe, monkeypatch, name):
    """The picture that reaches its encoder of maps, of the same vignette: by truth here, as an evaluation shows it, and
    read in the picture there where that is the truth."""
    task, seen = made("controlnet", f"map={name}"), []
    drawn = Drawn.of(vignettes.scene(0, 2), 32)
    kind = ControlMap.registry.named(name)
    hook = lambda module, given: seen.append(given[0].detach().clone())  # noqa: E731
    task.network.controlnet_cond_embedding.register_forward_pre_hook(hook)
    with torch.no_grad():
        shown = task.control(task.on_device(task.kinds[0][0][2:3]), 0).things[0]
        shown(torch.randn(1, 4, 16, 16), torch.zeros(1), {"text": torch.randn(1, 8, 64)})
    from sfumato.formats.control_network import read_controlnet

    handle = read_controlnet(exported("controlnet")).controlnet_cond_embedding.register_forward_pre_hook(hook)
    picture, map_ = (drawn.picture, kind) if name == "canny" else (kind.of_drawn(drawn), None)
    pipe("a boat", controls=[ControlNet(picture, str(exported("controlnet")), map=map_)], steps=1, width=32, height=32)
    handle.remove()
    assert float(seen[0].std()) > 0
    torch.testing.assert_close(seen[-1][:1], seen[0], rtol=0, atol=1e-6)


def test_maps_beside_the_pictures_of_a_folder(home, made, tmp_path):
    """In a folder of the same names, or under a key of metadata.jsonl; else read in the pictures."""
    rng = np.random.default_rng(0)
    for folder in ("pictures", "listed", "maps"):
        (tmp_path / folder).mkdir()
    lines = []
    for i in range(6):
        picture, shown = (Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8)) for _ in range(2))
        picture.save(tmp_path / "pictures" / f"{i}.png")
        (tmp_path / "pictures" / f"{i}.txt").write_text(f"number {i}")
        shown.save(tmp_path / "maps" / f"{i}.webp", lossless=True)
        picture.save(tmp_path / "listed" / f"{i}.png")
        shown.save(tmp_path / "listed" / f"{i}_map.png")
        line = {"file_name": f"{i}.png", "text": f"number {i}", "conditioning_image": f"{i}_map.png"}
        lines.append(json.dumps(line))
    (tmp_path / "listed" / "metadata.jsonl").write_text("\n".join(lines))
    wanted = np.stack([np.asarray(Image.open(tmp_path / "listed" / f"{i}_map.png")) for i in range(6)])
    beside = made(
        "controlnet",
        f"data={{kind: folder, path: {tmp_path / 'pictures'}, size: 32}}",
        f"given={{canny: {{folder: {tmp_path / 'maps'}}}}}",
    )
    said = f"data={{kind: folder, path: {tmp_path / 'listed'}, size: 32}}"
    column = made("controlnet", said, "given={scribble: {column: conditioning_image}}", "map=scribble")
    for task in (beside, column):
        assert np.array_equal(np.concatenate(task.kinds[0]), wanted)
    found = made("controlnet", said)
    assert set(np.unique(found.kinds[0][0])) <= {0, 255}
    read = made("controlnet", said, "map=depth")
    assert np.array_equal(read.kinds[0][0][0], make_map(Image.fromarray(read.train_set.pictures[0]), "depth"))
    with pytest.raises(BadInput, match=r"'scribble'.*canny"):
        made("controlnet", said, "map=scribble")
    with pytest.raises(BadInput, match="say one of 'column', a key"):
        made("controlnet", said, "given={canny: {}}")
    with pytest.raises(BadInput, match="given: 'depth' is no map of this recipe"):
        made("controlnet", said, "given={depth: {column: x}}")
    with pytest.raises(BadInput, match="hint: 3 sizes make a map 4 times smaller, and latents are 2 times"):
        made("controlnet", "hint=[4, 8, 8]")
