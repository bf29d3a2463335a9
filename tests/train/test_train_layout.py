"""The layout task: at step 0 the network that it begins from, then one that is told what lies where."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from random_model import TINY, build

import sfumato
from sfumato import Region, train
from sfumato.cli.app import run_command
from sfumato.condition import Layout
from sfumato.data import layouts
from sfumato.data.class_colours import GROUPS, PALETTE, painted
from sfumato.data.vignettes import SEMANTIC_NAMES, draw, scene
from sfumato.data.world import Vignettes
from sfumato.encode import SceneMap
from sfumato.encode.spatio_textual import SpatioTextualLayout
from sfumato.evaluate.adherence import Drawn
from sfumato.evaluate.laid_out import laid_out
from sfumato.picture import BadInput, fetch
from sfumato.train import recipe as r
from sfumato.train.task import Place
from sfumato.train.tasks.layout import LayoutRecipe, LayoutTask, prior

RECIPE = """
task: layout
data: {kind: vignettes, count: 24, size: 32}
layout: LAYOUT
blank: 0.25
held_back: 4
autoencoder: MODEL
text_encoder: MODEL
begin: MODEL
network: {channels: [32, 64], attention: [false, true], heads: [2, 4], groups: 8}
batch: 8
steps: 3
every: {log: 1}
preview: {count: 2, steps: 2}
precision: float32
threads: 1
workers: 1
"""
KINDS = {"scene": "scene", "spatext": "{kind: spatio-textual, most: 3}"}
LEFT = (0, 0, 0.5, 1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("runs")
    build(home / "model", shape=TINY)
    for name, layout in KINDS.items():
        said = RECIPE.replace("LAYOUT", layout).replace("MODEL", str(home / "model"))
        (home / f"{name}.yaml").write_text(said)
        train.run(home / f"{name}.yaml", out=home / name)
    return home


def task_of(home: Path, name: str) -> LayoutTask:
    recipe = r.load(home / f"{name}.yaml")
    assert isinstance(recipe, LayoutRecipe)
    return LayoutTask(recipe, Place(home / name, home / "cache"))


@pytest.mark.parametrize("name", KINDS)
def test_at_step_0_it_is_the_network_that_it_began_from(home, name):
    from diffusers import UNet2DConditionModel

    task = task_of(home, name)
    first = UNet2DConditionModel.from_pretrained(home / "model" / "unet")
    rows = np.arange(24).repeat(20)
    condition = task.condition(rows, [0] * len(rows), torch.zeros(len(rows), dtype=torch.bool), torch.Generator())
    layout = condition.get(Layout).planes
    assert 0.15 < (layout == 0).flatten(1).all(1).float().mean() < 0.4  # a quarter is told nothing
    x, t, some = torch.randn(4, 4, 16, 16), torch.tensor([0.1, 0.4, 0.7, 0.9]), condition.select([0, 30, 60, 90])
    with torch.no_grad():
        index = task.schedule.index(t).float()
        expected = first(x, index, some.parts[0].embeds).sample
        torch.testing.assert_close(task.told(some)(x, t), expected, rtol=1e-5, atol=1e-5)
    figures = task.obeyed()
    assert figures["loss_right"] == figures["loss_wrong"] == figures["loss_without"] > 0


def test_words_of_a_region_are_read_by_the_grammar(home):
    pipe = sfumato.load(home / "spatext" / "export")
    encoder = next(each for each in pipe.stage.encoders if isinstance(each, SpatioTextualLayout))
    assert torch.equal(encoder.embedded(["a red hat"]), encoder.embedded(["a (red:1.5) hat"]))
    assert not torch.equal(encoder.embedded(["a red hat"]), encoder.embedded([r"a \(red\) hat"]))


def test_a_map_painted_in_the_palette_is_read_back():
    semantic = draw(scene(0, 3), 64).semantic
    mapping = SceneMap(PALETTE, GROUPS)
    numbers = mapping.numbers(Image.fromarray(painted(semantic)))
    known = {name: number for number, name in enumerate(PALETTE, 1)}
    assert np.array_equal(numbers, np.array([known.get(name, 0) for name in SEMANTIC_NAMES])[semantic])
    planes = mapping.of(torch.from_numpy(numbers)[None], (16, 16))[0]
    names = [*mapping.planes, "edge"]
    assert planes.shape == (34, 16, 16)
    worn = sum(planes[names.index(name)] for name in (*GROUPS["human"], *GROUPS["face"]))
    torch.testing.assert_close(planes[names.index("person")], worn)  # the panoptic group knows a person, no garments
    torch.testing.assert_close(sum(planes[names.index(name)] for name in GROUPS["panoptic"]), torch.ones(16, 16))
    assert 0 < planes[-1].mean() < 0.5
    nothing = mapping.of(torch.from_numpy(mapping.numbers(Image.new("RGB", (64, 64))))[None], (16, 16))
    assert not nothing.any()


def test_segments_are_the_largest_things_and_have_their_words(tmp_path):
    data = Vignettes(count=12, size=64)
    numbers, classes = layouts.segments(data, tmp_path), layouts.class_maps(data, tmp_path)
    said = set()
    for row in range(12):
        sizes = [int((numbers[row] == k + 1).sum()) for k in range(layouts.MOST)]
        assert sizes == sorted(sizes, reverse=True)
        for k, size in enumerate(sizes):
            assert size == 0 or size >= layouts.LEAST * 64 * 64
            if size:
                inside = numbers[row] == k + 1
                said.add(layouts.words_of(data, row, classes[row][inside]))
                assert len(np.unique(classes[row][inside])) == 1
    colours = {words.split()[1] for words in said if len(words.split()) == 3}
    assert {"a sky", "a ground"} & said
    assert colours & {"red", "orange", "yellow", "green", "blue", "purple", "pink", "white"}


def test_the_prior_finds_an_affine_map():
    torch.manual_seed(0)
    words, weight, bias = torch.randn(500, 6), torch.randn(6, 6), torch.randn(6)
    found = prior(words, words @ weight.T + bias, ridge=1e-8)
    torch.testing.assert_close(found["weight"], weight, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found["bias"], bias, rtol=1e-3, atol=1e-3)


def test_the_export_is_a_model_that_is_told_a_map(home):
    pipe = sfumato.load(str(home / "scene" / "export"), engine="exact")
    assert dict(pipe.capabilities.palette)["sky"] == PALETTE["sky"]
    layout = Image.fromarray(painted(draw(scene(0, 3), 32).semantic))
    plain = pipe("a boat", steps=2)
    told = pipe("a boat", steps=2, layout=layout)
    assert not np.array_equal(np.asarray(told.image), np.asarray(plain.image))
    same = pipe("a boat", steps=2, layout=Image.new("RGB", (32, 32)))
    assert np.array_equal(np.asarray(same.image), np.asarray(plain.image))  # black says nothing
    again = pipe.run(sfumato.Recipe.from_json(told.recipes[0].to_json()))
    assert np.array_equal(np.asarray(again.image), np.asarray(told.image))
    for guidance in (sfumato.LayoutGuidance(3, 2), sfumato.MultiScale(3, 2)):
        pipe("a boat", steps=2, layout=layout, guidance=[guidance], regions=[Region("a cat", box=LEFT)])
    losses = [json.loads(line)["loss"] for line in (home / "scene" / "scalars.jsonl").read_text().splitlines()]
    assert np.isfinite(losses).all()


def test_the_export_is_a_model_that_is_told_words_where_they_hold(home, tiny_model):
    pipe = sfumato.load(str(home / "spatext" / "export"), engine="exact")
    plain, regions = pipe("a boat", steps=2), [Region("a red hat", box=LEFT)]
    told = pipe("a boat", steps=2, regions=regions)
    assert told.recipes[0].regional.kind == "spatio-textual"
    assert not np.array_equal(np.asarray(told.image), np.asarray(plain.image))
    none = pipe("a boat", steps=2, regions=[Region("a red hat", Image.new("L", (32, 32)))])
    assert np.array_equal(np.asarray(none.image), np.asarray(plain.image))
    pipe("a boat", steps=2, regions=regions, regional="mixing", guidance=[sfumato.MultiScale(3, 2)])
    with pytest.raises(BadInput, match="give it regions instead"):
        pipe("a boat", layout=Image.new("RGB", (32, 32)))
    with pytest.raises(BadInput, match="leave the layout out"):
        sfumato.load(tiny_model)("a boat", layout=Image.new("RGB", (32, 32)))


@pytest.mark.parametrize("name", KINDS)
def test_how_well_a_layout_is_kept_to_is_measured(home, name, capfd, tmp_path):
    command = ["evaluate", str(home / name / "export"), "--layout", "--count", "2", "--steps", "1", "-o", str(tmp_path)]
    assert run_command(command) == 0
    assert "is the layout obeyed? 2 vignettes of 32 x 32" in " ".join(capfd.readouterr().out.split())
    report = json.loads((tmp_path / "report.json").read_text())
    (row,) = [row for row in report["adherence"] if row["metric"] == "miou"]
    assert row["map"] == "segmentation"
    assert report["layout"] == {"scene": "scene", "spatext": "spatio-textual"}[name]
    assert run_command(["evaluate", str(home / "model"), "--layout"]) == 2
    assert "was not trained on layouts: take --control segmentation" in capfd.readouterr().err
    assert run_command(["evaluate", "mini", "--layout", "--control", "depth"]) == 2
    assert "--layout is an evaluation of its own" in capfd.readouterr().err


def test_what_an_evaluation_tells_of_where_things_lie():
    """The classes of every pixel, in the colours of scene models; the five largest things in words, where they are."""
    known = Drawn.of(scene(3, 1), 64)
    picture = laid_out("scene", known)["layout"]
    assert np.array_equal(np.asarray(fetch(picture)), painted(known.vignette.semantic))
    regions = laid_out("spatio-textual", known)["regions"]
    masks = np.stack([np.asarray(fetch(each.mask).convert("L")) > 0 for each in regions])
    assert 1 <= len(regions) <= 5
    assert masks.sum(0).max() == 1
    assert (np.diff(masks.sum((1, 2))) <= 0).all()
    for region, mask in zip(regions, masks, strict=True):
        most = SEMANTIC_NAMES[np.bincount(known.vignette.semantic[mask]).argmax()]
        assert region.prompt.endswith(most)


def test_a_folder_that_says_something_else_of_layouts_is_refused(home, tmp_path):
    import shutil

    folder = shutil.copytree(home / "scene" / "export", tmp_path / "model")
    file = folder / "layout" / "config.json"
    whole = json.loads(file.read_text())
    for change in ({"kind": "other"}, {"groups": {"panoptic": ["sky"]}}, {"palette": {"sky": [0, 0, 256]}}, {"x": 1}):
        file.write_text(json.dumps({**whole, **change}))
        with pytest.raises(BadInput, match="does not say which layouts the network sees"):
            sfumato.load(str(folder))
    palette = {"sky": [1, 2, 3]}
    file.write_text(json.dumps({**whole, "palette": palette, "groups": {"panoptic": ["sky"]}}))
    with pytest.raises(BadInput, match="beside the 2 of its layout"):
        sfumato.load(str(folder))


@pytest.mark.parametrize("name", ["mini-scene", "mini-spatext"])
def test_the_shipped_recipes_begin_from_mini(name):
    recipe = r.load(name)
    assert isinstance(recipe, LayoutRecipe)
    assert str(recipe.begin) == "mini"
    with pytest.raises(BadInput, match="only vignettes know"):
        LayoutTask(r.load(name, ["data={kind: folder, path: ., size: 32}"]), Place(Path("."), Path(".")))
