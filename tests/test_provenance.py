"""What is told about a picture, and what redo says when the pixels are the same, near, or others."""

import json
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import sfumato.model
from sfumato.edit import Crop, Outside, Resample, SDEdit
from sfumato.guide import ClassifierFree
from sfumato.picture import BadInput, pixels_hash, save_picture
from sfumato.provenance import inspect, inspect_model, redo
from sfumato.recipe import Made, Recipe
from sfumato.sample import DDIM

PIXELS = np.random.default_rng(3).integers(20, 230, (16, 24, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)


def recipe(pixels: np.ndarray = PIXELS, **values) -> Recipe:
    made = Made(sfumato="0.1", torch="2.13", pixels=pixels_hash(Image.fromarray(pixels)), seconds=1.5)
    return Recipe("a boat", width=24, height=16, seed=3, made=made, **values)


def saved(path, pixels: np.ndarray = PIXELS, made: Recipe | None = None):
    return save_picture(pixels, path, recipe_json=(made or recipe()).to_json(), parameters="a boat\nSteps: 20")


@pytest.fixture
def pipe_gives(monkeypatch):
    """The model's answer is given: what is tested here is what is made of it."""

    def prepare(image: np.ndarray) -> list:
        asked = []

        def steps(recipes):
            asked.extend(recipes)
            yield SimpleNamespace(result=None)
            yield SimpleNamespace(result=SimpleNamespace(images=[Image.fromarray(image)], recipes=list(recipes)))

        monkeypatch.setattr(sfumato.model, "load", lambda name, **_: SimpleNamespace(steps=steps))
        monkeypatch.setattr("sfumato.provenance.repeat.built_ins", lambda: ["mini"])
        return asked

    return prepare


def test_untouched_changed_lossy_and_unknown(tmp_path):
    assert inspect(saved(tmp_path / "a.png")).state == "untouched"
    assert inspect(saved(tmp_path / "a.webp")).state == "untouched"
    assert inspect(saved(tmp_path / "a.jpg")).state == "lossy"
    changed = PIXELS.copy()
    changed[5, 5, 1] ^= 1
    assert inspect(saved(tmp_path / "b.png", changed)).state == "changed"
    save_picture(PICTURE, tmp_path / "c.png")
    assert inspect(tmp_path / "c.png").state == "unknown"
    save_picture(PICTURE, tmp_path / "d.png", recipe_json=Recipe("a boat").to_json())
    report = inspect(tmp_path / "d.png")
    assert (report.state, report.recipe) == ("unknown", Recipe("a boat"))


def test_the_text_tells_everything_that_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    whole = recipe(
        negative="fog", start=SDEdit(PICTURE, 0.25), guidance=[ClassifierFree(7.5, (0.2, 0.9))], sampler=DDIM(0.5)
    )
    text = inspect(saved(tmp_path / "a.png", made=whole)).text()
    for said in ("PNG, 24 x 16", "untouched", "a boat", "fog", "strength 0.25", "24 x 16", "scale 7.5", "(0.2, 0.9)",
                 "eta 0.5", "20 steps", "seed 3", "torch 2.13", "1.5 s"):  # fmt: skip
        assert said in text
    assert json.loads(json.dumps(inspect(tmp_path / "a.png").as_dict()))["recipe"]["seed"] == 3


def test_the_text_tells_of_the_mask_and_the_part(tmp_path, monkeypatch):
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    mask = Image.new("L", PICTURE.size, 255)
    hold = Outside(mask, grow=4, feather=2.5, resample=Resample(10, 5))
    whole = recipe(start=SDEdit(PICTURE, 0.25), hold=hold, area=Crop(8, (0, 0, 12, 16)), composite="poisson")
    text = inspect(saved(tmp_path / "a.png", made=whole)).text()
    for said in ("grow 4", "feather 2.5", "resample (length 10, repeats 5)", "composite poisson",
                 "area: crop (margin 8, box (0, 0, 12, 16))"):  # fmt: skip
        assert said in text


def test_a_stranger_s_texts_can_t_take_over_the_terminal(tmp_path):
    evil = "a \x1b[2J\x1b]0;title\x07 boat\r\u202e"
    save_picture(PICTURE, tmp_path / "a.png", recipe_json=Recipe(evil).to_json(), parameters=evil)
    assert all(c.isprintable() or c == "\n" for c in inspect(tmp_path / "a.png").text())
    save_picture(PICTURE, tmp_path / "b.png", recipe_json='{"\x1b[2J": 1}'.replace("\x1b", "\\u001b"), parameters=evil)
    report = inspect(tmp_path / "b.png")
    assert report.recipe is None
    assert report.recipe_error is not None
    assert "unknown" in report.recipe_error
    assert all(c.isprintable() or c == "\n" for c in report.text())


def test_redo_says_identical(tmp_path, pipe_gives):
    asked = pipe_gives(PIXELS)
    steps = []
    made = redo(saved(tmp_path / "a.png"), on_step=steps.append)
    assert (made.identical, made.difference, made.verdict) == (True, 0, "identical")
    assert asked[0].made is None
    assert len(steps) == 2
    made = redo(recipe())
    assert (made.identical, made.difference, made.verdict) == (True, 0, "identical")


@pytest.mark.parametrize("distance", [1, 7])
def test_redo_says_how_far_off_it_is(tmp_path, pipe_gives, distance):
    other = PIXELS.copy()
    other[3, 4, 2] -= distance
    other[1, 1, 0] += 1
    pipe_gives(other)
    made = redo(saved(tmp_path / "a.png"))
    assert (made.identical, made.difference, made.verdict) == (False, distance, f"differs by at most {distance} of 255")


def test_redo_tells_a_changed_file_from_another_result(tmp_path, pipe_gives):
    changed = PIXELS.copy()
    changed[0, 0, 0] += 9
    pipe_gives(PIXELS)
    made = redo(saved(tmp_path / "a.png", changed))
    assert (made.identical, made.difference) == (True, 9)
    assert "file's own pixels are others" in made.verdict
    pipe_gives(PIXELS[:, ::-1])
    assert "from the file" in redo(saved(tmp_path / "a.png", changed)).verdict
    pipe_gives(PIXELS[:8])
    made = redo(saved(tmp_path / "a.png"))
    assert (made.identical, made.difference, made.verdict) == (False, None, "of another size than the file")
    assert redo(recipe()).verdict == "differs from what was recorded"
    assert redo(Recipe("a boat")).verdict == "nothing to compare with"


def test_redo_of_a_jpeg_goes_by_the_recorded_hash(tmp_path, pipe_gives):
    pipe_gives(PIXELS)
    assert redo(saved(tmp_path / "a.jpg")).identical


def test_a_file_s_recipe_never_makes_this_machine_fetch_a_model(tmp_path, pipe_gives):
    pipe_gives(PIXELS)
    path = saved(tmp_path / "a.png", made=recipe(model="somebody/something"))
    with pytest.raises(BadInput, match="neither built in nor a folder"):
        redo(path)
    assert redo(path, model="mini").identical
    assert redo(saved(tmp_path / "a.png", made=recipe(model=str(tmp_path)))).identical


def safetensors(header: dict, body: int) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(body)


GOOD = {"__metadata__": {"format": "pt"}, "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]}}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "m" / "unet").mkdir(parents=True)
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "safety": [None, None],
    }
    (tmp_path / "m" / "model_index.json").write_text(json.dumps(index))
    (tmp_path / "m" / "unet" / "model.safetensors").write_bytes(safetensors(GOOD, 32))
    (tmp_path / "m" / "README.md").write_text("---\nlicense: x\n---\n# Title\n\nA small model of boats.\n")
    return tmp_path / "m"


def test_a_model_s_parts_are_counted_from_the_headers(folder):
    report = inspect_model(folder)
    part = {"class": "UNet2DConditionModel", "parameters": 10, "bytes": 32, "types": ["BF16", "F32"]}
    assert report.parts == {"unet": part}
    assert (report.parameters, report.summary) == (10, "A small model of boats.")


DAMAGED = [
    b"",
    b"short",
    struct.pack("<Q", 2**60) + b"{}",
    struct.pack("<Q", 2) + b"[]",
    struct.pack("<Q", 2) + b"{{",
    safetensors(GOOD, 31),
    safetensors(GOOD, 33),
    safetensors({"a": {"shape": [1]}}, 4),
    safetensors({"a": 3}, 4),
    safetensors({"a": {"dtype": "F32", "shape": "x", "data_offsets": [0, 4]}}, 4),
]


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_weights_are_one_sentence(folder, content):
    (folder / "unet" / "model.safetensors").write_bytes(content)
    with pytest.raises(BadInput, match="is damaged") as caught:
        inspect_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'"x"'])
def test_a_damaged_index_is_one_sentence(folder, content):
    (folder / "model_index.json").write_bytes(content)
    with pytest.raises(BadInput, match=r"model_index\.json can't be read"):
        inspect_model(folder)
