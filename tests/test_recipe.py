"""Recipes: the same value after JSON, checked whenever they are made, and wrong ones refused in one sentence."""

import dataclasses
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sfumato.edit import Noise, Outside, SDEdit
from sfumato.guide import ClassifierFree, ClassifierGuidance, ClipGuidance, DynamicThreshold, StaticThreshold
from sfumato.picture import BadInput, Ref, fetch
from sfumato.recipe import PRECISIONS, Made, Recipe, parameters
from sfumato.sample import (
    DDIM,
    DDPM,
    RK45,
    Churn,
    DPMAdaptive,
    DPMFast,
    DPMpp2M,
    DPMpp3M,
    Euler,
    Heun,
    Langevin,
    PredictorCorrector,
    Sampler,
    UniPC,
)
from sfumato.times import KarrasGrid, TimeGrid

PICTURE = np.random.default_rng(2).integers(0, 256, (16, 24, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))


def refused(call, *arguments, **options) -> str:
    with pytest.raises(BadInput) as caught:
        call(*arguments, **options)
    sentence = str(caught.value)
    assert sentence
    assert "\n" not in sentence
    assert "pydantic" not in sentence
    return sentence


TEXT = st.text(max_size=40)
UNIT = st.floats(0, 1)
REFS = st.builds(Ref, st.text("0123456789abcdef", min_size=64, max_size=64), st.just(24), st.just(16))
GUIDANCE = st.one_of(
    st.builds(
        ClassifierFree, st.floats(0, 1000), st.tuples(UNIT, UNIT).map(lambda pair: tuple(sorted(pair))), rescale=UNIT
    ),
    st.builds(StaticThreshold, st.floats(0.001, 1000)),
    st.builds(DynamicThreshold, st.floats(0.001, 1), st.floats(0.001, 1000)),
    st.builds(ClassifierGuidance, st.floats(0, 1000), TEXT, label=st.one_of(st.none(), st.integers(0, 999))),
    st.builds(
        ClipGuidance, st.floats(0, 1000), st.sampled_from(["x0", "network"]), prompt=TEXT, cutouts=st.integers(1, 64)
    ),
)
MADE = st.builds(Made, sfumato=TEXT, torch=TEXT, pixels=st.sampled_from(["", "sha256:" + "0a" * 32]), seconds=UNIT)
CHURN = st.builds(Churn, UNIT, st.just((0.2, 0.8)), UNIT)
SAMPLER = st.one_of(
    st.builds(DDIM, UNIT),
    st.builds(DDPM, st.sampled_from(["small", "large", "learned"])),
    st.builds(Heun, st.sampled_from(["tau", "kappa"]), CHURN),
    st.builds(RK45, st.floats(1e-6, 1)),
    st.builds(DPMFast, st.integers(0, 3000), UNIT, st.booleans()),
    st.builds(DPMAdaptive, st.integers(2, 3), st.floats(1e-6, 1), eta=UNIT),
    st.builds(PredictorCorrector, st.sampled_from(["ddpm", "ddim", "euler-maruyama"]), st.floats(1e-3, 0.9)),
    st.builds(Langevin, st.integers(1, 1000), st.floats(1e-3, 3.9), st.sampled_from(["denoised", "noisy"])),
    st.builds(UniPC, st.integers(1, 3), st.sampled_from(["bh1", "bh2"])),
)
RECIPES = st.builds(
    Recipe,
    prompt=TEXT,
    negative=TEXT,
    model=st.text(min_size=1, max_size=20),
    width=st.none() | st.integers(2, 1024).map(lambda n: 4 * n),
    height=st.none() | st.integers(2, 1024).map(lambda n: 4 * n),
    label=st.none() | st.text(min_size=1, max_size=20) | st.integers(0, 999),
    start=st.builds(SDEdit, REFS, UNIT),
    hold=st.none() | st.builds(Outside, REFS, st.none() | REFS),
    guidance=st.lists(GUIDANCE, max_size=4),
    sampler=st.sampled_from(list(Sampler.registry)) | SAMPLER,
    times=st.sampled_from(list(TimeGrid.registry)) | st.builds(KarrasGrid, st.floats(0.1, 100)),
    steps=st.integers(1, 1000),
    composite=st.sampled_from(["paste", "none"]),
    seed=st.integers(0, 2**63 - 1),
    engine=st.sampled_from(["eager", "exact"]),
    precision=st.sampled_from(PRECISIONS),
    tile=st.sampled_from([0, 64, 512]),
    made=st.none() | MADE,
)


@settings(max_examples=150, deadline=None)
@given(RECIPES)
def test_json_round_trip_is_exact(recipe):
    text = recipe.to_json()
    again = Recipe.from_json(text)
    assert again == recipe
    assert again.to_json() == text
    assert Recipe.from_json(recipe.to_json(indent=2).encode()) == recipe
    assert hash(again) == hash(recipe)


@settings(max_examples=100, deadline=None)
@given(RECIPES, st.data())
def test_broken_json_gives_a_recipe_or_a_sentence(recipe, data):
    """A key lost, renamed, or its value exchanged: never anything but a recipe or `BadInput`."""
    value = json.loads(recipe.to_json())
    holders = [value, value["start"], *value["guidance"], *([value["made"]] if value["made"] else [])]
    holder = data.draw(st.sampled_from(holders))
    key = data.draw(st.sampled_from(sorted(holder)))
    junk = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([]) | st.just({})
    holder[data.draw(st.sampled_from([key, key + "s"]))] = data.draw(junk)
    try:
        result = Recipe.from_json(json.dumps(value))
    except BadInput as error:
        result = str(error)
    assert isinstance(result, Recipe) or (result.startswith("the recipe") and "\n" not in result)


def test_everything_is_written_out():
    value = json.loads(Recipe().to_json())
    assert set(value) == {field.name for field in dataclasses.fields(Recipe)}
    assert value["guidance"] == [{"scale": 5.0, "interval": [0.0, 1.0], "rescale": 0.0, "kind": "classifier-free"}]


def test_positions_lists_and_numpy_numbers_are_welcome():
    recipe = Recipe("a boat", "fog", guidance=[ClassifierFree(3)], seed=np.int64(7), steps=np.int32(4), sampler=DDIM(1))
    assert (recipe.prompt, recipe.negative, recipe.seed, recipe.steps) == ("a boat", "fog", 7, 4)
    assert recipe.guidance == (ClassifierFree(3.0),)
    assert type(recipe.seed) is int
    assert ClassifierFree(np.float32(2), [0, 1]) == ClassifierFree(2.0, (0.0, 1.0))


def test_values_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().steps = 3  # type: ignore[misc]


def test_pictures_go_through_the_door_into_the_store(tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    starts = [SDEdit(tmp_path / "a.png", 0.3), SDEdit(str(tmp_path / "a.png"), 0.3), SDEdit(PICTURE, 0.3),
              SDEdit(Image.fromarray(PICTURE), 0.3), SDEdit((tmp_path / "a.png").read_bytes(), 0.3)]  # fmt: skip
    assert len(set(starts)) == 1
    assert isinstance(starts[0].picture, Ref)
    assert np.array_equal(np.asarray(fetch(starts[0].picture)), PICTURE)
    assert SDEdit(starts[0].picture, 0.3) == starts[0]
    assert SDEdit(PICTURE) == SDEdit(PICTURE, 0.6)
    mask = Outside(np.eye(16, 24, dtype=bool)).mask
    assert np.array_equal(np.asarray(fetch(mask))[..., 0] > 0, np.eye(16, 24, dtype=bool))
    assert "none.png does not exist" in refused(SDEdit, tmp_path / "none.png")


def test_paths_from_outside_are_refused(tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    path = str(tmp_path / "a.png")
    kept = dataclasses.asdict(SDEdit(PICTURE).picture)
    for part in ({"start": {"kind": "sdedit", "picture": path}},
                 {"hold": {"kind": "outside", "mask": path}},
                 {"hold": {"kind": "outside", "mask": kept, "picture": path}}):  # fmt: skip
        assert "never a path" in refused(Recipe.from_json, json.dumps(part))
        refused(Recipe, **part)
    assert "sha256" in refused(
        Recipe.from_json, '{"start": {"kind": "sdedit", "picture": {"sha256": "../../etc", "width": 1, "height": 1}}}'
    )


def test_a_mask_must_fit_its_picture():
    start = SDEdit(PICTURE)
    assert "8 x 8" in refused(Recipe, start=start, hold=Outside(np.zeros((8, 8), bool)))
    assert "24 x 16" in refused(Recipe, hold=Outside(np.zeros((8, 8), bool), PICTURE))
    assert "needs a picture" in refused(Recipe, hold=Outside(np.zeros((16, 24), bool)))
    Recipe(start=start, hold=Outside(np.zeros((16, 24), bool)))
    Recipe(start=Noise(), hold=Outside(np.zeros((16, 24), bool), PICTURE))


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"steps": 0}, "steps is 0: give a whole number from 1 to 1000"),
        ({"steps": 1001}, "steps is 1001: give a whole number"),
        ({"steps": True}, "steps is True"),
        ({"steps": 2.5}, "steps is 2.5"),
        ({"steps": "20"}, "steps is '20'"),
        ({"seed": -1}, "seed is -1: give a whole number from 0 to"),
        ({"seed": 2**63}, "seed is 9223372036854775808"),
        ({"width": 102}, "width is 102: give a multiple of 4"),
        ({"height": 4}, "height is 4"),
        ({"label": -1}, "label is -1: give a class's name or its index"),
        ({"label": True}, "label is True"),
        ({"label": ""}, "label is ''"),
        ({"width": 8192}, "width is 8192"),
        ({"sampler": "dpmp-2m"}, "sampler: 'dpmp-2m' is unknown (did you mean 'dpmpp-2m'?): accepted are adams-ba"),
        ({"sampler": 3}, "sampler is 3: give"),
        ({"times": "karas"}, "did you mean 'karras'"),
        ({"engine": "fast"}, "engine: 'fast' is unknown: accepted are compiled, eager, exact"),
        ({"precision": "float12"}, "accepted are float32, bfloat16, float16, float8"),
        ({"precision": "auto"}, "accepted are float32"),
        ({"composite": "glue"}, "accepted are decoder, latent, none, paste, poisson"),
        ({"prompt": "x" * 20_001}, "prompt has 20,001 characters: give text of at most 20,000"),
        ({"prompt": 3}, "prompt is 3: give text"),
        ({"prompt": "\ud800"}, "prompt is "),
        ({"model": ""}, "model is ''"),
        ({"promt": "x"}, "'promt' is unknown in Recipe (did you mean 'prompt'?): accepted are prompt, negative"),
        ({"guidance": 5}, "guidance is 5: give a list"),
        ({"guidance": [5]}, "guidance[0] is 5"),
        ({"guidance": [ClassifierFree()] * 17}, "guidance has 17 elements"),
        ({"start": None}, "give Between(picture, other), EditFriendly(picture), HiresFix(), Inverted(picture)"),
        ({"hold": 3}, "Outside(mask), or nothing"),
        ({"hold": 3}, "hold is 3"),
        ({"start": {"kind": "sdedt"}}, "did you mean 'sdedit'"),
    ],
)  # fmt: skip
def test_wrong_recipes_are_refused_by_name(given_, said):
    assert said in refused(Recipe, **given_)
    assert said in refused(dataclasses.replace, Recipe("a boat"), **given_)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: SDEdit(PICTURE, 1.5), "strength is 1.5: give a number from 0 (the picture as it is) to 1"),
        (lambda: SDEdit(PICTURE, -0.1), "strength is -0.1"),
        (lambda: SDEdit(PICTURE, float("nan")), "strength is nan"),
        (lambda: SDEdit(PICTURE, strenght=0.5), "did you mean 'strength'"),
        (lambda: SDEdit(), "picture is missing"),
        (lambda: ClassifierFree(float("inf")), "scale is inf"),
        (lambda: ClassifierFree(-1), "scale is -1.0: give a number from 0 to 1000, where 1 means off"),
        (lambda: ClassifierFree(5, (0.6, 0.2)), "interval is (0.6, 0.2)"),
        (lambda: ClassifierFree(5, (0, 1.2)), "interval is (0, 1.2)"),
        (lambda: ClassifierFree(5, 0.5), "interval is 0.5"),
        (lambda: StaticThreshold(0), "limit is 0.0"),
        (lambda: DynamicThreshold(1.1), "percentile is 1.1"),
        (lambda: DDIM(2), "eta is 2.0"),
        (lambda: DDPM("fixed"), "variance is 'fixed': give small, large, between or learned"),
        (lambda: Heun("sigma"), "form is 'sigma': give tau or kappa"),
        (lambda: UniPC(4), "order is 4: give 1, 2 or 3"),
        (lambda: Langevin(size=4), "size is 4.0: give a number between 0 and 4"),
        (lambda: PredictorCorrector("heun"), "predictor is 'heun': give ddpm, ddim or euler-maruyama"),
        (lambda: RK45(0), "rtol is 0.0: give a number above 0"),
        (lambda: Heun(churn=3), "churn is 3: give Churn(amount)"),
        (lambda: Churn(1, (0.5, 0.2)), "interval is (0.5, 0.2)"),
        (lambda: Made(pixels="sha256:zz"), "pixels is 'sha256:zz'"),
        (lambda: Recipe.from_json("{"), "the recipe: not JSON"),
        (lambda: Recipe.from_json("[]"), "the recipe"),
        (lambda: Recipe.from_json(b"\xff"), "the recipe: not JSON"),
        (lambda: Recipe.from_json('{"guidance":[{"kind":"classifier-free","scale":NaN}]}'), "guidance[0].scale is nan"),
        (lambda: Recipe.from_json('{"guidance":[{"kind":"classifier-free","scal":3}]}'), "did you mean 'scale'"),
        (lambda: Recipe.from_json('{"sampler":{"kind":"dpm-slow"}}'), "sampler is of the unknown kind 'dpm-slow'"),
        (lambda: Recipe.from_json('{"sampler":{"kind":"heun","churn":{"amont":3}}}'), "did you mean 'amount'"),
        (lambda: Recipe.from_json('{"steps":"20"}'), "steps is '20'"),
        (lambda: Recipe.from_json('{"steps":20.0}'), "steps is 20.0"),
        (lambda: Recipe.from_json('{"prompt":"' + "x" * 2**20 + '"}'), "KiB"),
        (lambda: Recipe.from_json("[" * 100_000), "the recipe"),
    ],
)
def test_wrong_parts_are_refused_by_name(call, said):
    assert said in refused(call)


def parsed(text: str) -> tuple[str, str, dict[str, str]]:
    """The `parameters` text as A1111 reads it (infotext_utils.parse_generation_parameters)."""
    *lines, last = text.strip().split("\n")
    prompt, negative, into_negative = [], [], False
    for line in lines:
        if line.startswith("Negative prompt:"):
            into_negative, line = True, line[16:].strip()
        (negative if into_negative else prompt).append(line)
    pairs = re.findall(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', last)
    return "\n".join(prompt), "\n".join(negative), {k: json.loads(v) if v[:1] == '"' else v for k, v in pairs}


def test_the_parameters_text_is_read_by_others():
    recipe = Recipe("a boat, at night\nsecond line", "fog", model="folder: a, b", width=128, height=96, seed=7,
                    start=SDEdit(PICTURE, 0.4), guidance=[DynamicThreshold(), ClassifierFree(7.5)],
                    times="karras")  # fmt: skip
    prompt, negative, values = parsed(parameters(recipe))
    assert (prompt, negative) == ("a boat, at night\nsecond line", "fog")
    assert values == {
        "Steps": "20", "Sampler": "DPM++ 2M", "Schedule type": "Karras", "CFG scale": "7.5", "Seed": "7",
        "Size": "128x96", "Model": "folder: a, b", "Denoising strength": "0.4",
    }  # fmt: skip


@pytest.mark.parametrize("sampler", [*Sampler.registry, DDIM(0.5), Heun(churn=Churn(3.0))])
def test_every_sampler_has_a_name_for_others(sampler):
    _, _, values = parsed(parameters(Recipe(sampler=sampler, guidance=[])))
    assert values["Sampler"]
    assert values["CFG scale"] == "1"


@pytest.mark.parametrize(
    ("sampler", "times", "said"),
    [
        ("dpmpp-3m-sde", "uniform", {"Sampler": "DPM++ 3M SDE"}),
        (DPMpp3M(exact=True), "log-snr", {"Sampler": "DPM++ 3M exact", "Schedule type": "Exponential"}),
        (DDIM(0.5), KarrasGrid(), {"Sampler": "Euler a", "Eta": "0.5", "Schedule type": "Karras"}),
        (DDIM(1.0), KarrasGrid(5), {"Sampler": "Euler a", "Schedule type": "Karras", "Schedule rho": "5"}),
        (
            Euler(Churn(3, scale=1.01)),
            "leading",
            {"Sampler": "Euler", "Schedule type": "DDIM", "Sigma churn": "3", "Sigma noise": "1.01"},
        ),
    ],
)
def test_a_sampler_and_its_grid_are_told_to_others_with_their_options(sampler, times, said):
    _, _, values = parsed(parameters(Recipe(sampler=sampler, times=times, guidance=[])))
    assert {key: value for key, value in values.items() if key in said or key.startswith(("S", "E"))} == {
        "Steps": "20", "Seed": "0", **said,
    }  # fmt: skip


def test_a_name_of_a_sampler_or_a_grid_becomes_its_element():
    recipe = Recipe(sampler="dpmpp-2m-sde", times="karras")
    assert (recipe.sampler, recipe.times) == (DPMpp2M(sde=True), KarrasGrid())
    again = Recipe.from_json('{"sampler": "dpmpp-2m-sde", "times": {"kind": "karras", "rho": 7}}')
    assert again == recipe
    assert json.loads(recipe.to_json())["sampler"] == {
        "sde": True,
        "form": "kappa",
        "solver": "midpoint",
        "kind": "dpmpp-2m",
    }
    for wrong, said in (
        ({"sampler": "plm"}, "sampler: 'plm' is unknown (did you mean"),
        ({"sampler": {"kind": "ddim", "eta": 2}}, "sampler.eta is 2.0: give a number from 0 (deterministic) to 1"),
        ({"sampler": {"kind": "plm"}}, "sampler is of the unknown kind 'plm' (did you mean 'plms'?): accepted are"),
        ({"times": {"kind": "karras", "rho": 0}}, "times.rho is 0.0: give a number above 0"),
    ):
        with pytest.raises(BadInput) as refused:
            Recipe.from_json(json.dumps(wrong))
        assert said in str(refused.value)
