"""What is told about a picture, and what redo says when the pixels are the same, near, or others."""

import json
import os
import struct
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import sfumato.model
from sfumato.control import ControlNet
from sfumato.edit import Crop, Outside, Resample, SDEdit
from sfumato.formats import capabilities_of, weights
from sfumato.guide import AutoGuidance, ClassifierFree
from sfumato.picture import BadInput, pixels_hash, save_picture
from sfumato.provenance import inspect, inspect_model, known_models, redo
from sfumato.recipe import Made, Recipe
from sfumato.region import Region
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


def test_the_text_tells_of_controls_regions_and_all_that_is_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    whole = recipe(
        controls=[ControlNet(PICTURE, map="depth", weight=0.8)], regions=[Region("a red hat", box=(0, 0, 0.5, 1))],
        images=[PICTURE], layout=PICTURE, clip_skip=2,
    )  # fmt: skip
    text = inspect(saved(tmp_path / "a.png", made=whole)).text()
    for said in ("controls: controlnet (picture ", "weight 0.8", "depth", "regions: (prompt a red hat, box (",
                 "images: ", "layout: ", "clip skip: 2"):  # fmt: skip
        assert said in text


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


@pytest.mark.parametrize("model", [None, "mini"])
def test_nor_does_any_part_of_it(tmp_path, pipe_gives, model):
    pipe_gives(PIXELS)
    path = saved(tmp_path / "a.png", made=recipe(guidance=[ClassifierFree(), AutoGuidance("somebody/something")]))
    with pytest.raises(BadInput, match=r"somebody/something.*(nothing is fetched|fetches nothing)"):
        redo(path, model=model)


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ({"weights": "sha256:a"}, "other weights"),
        ({"device": "cuda"}, "another machine (cuda, here cpu)"),
        ({"device": "cpu", "processor": "x86_64 AVX2"}, "another machine (x86_64 AVX2, here x86_64 AVX512)"),
        ({"weights": "sha256:a", "device": "x"}, "other weights and another machine (x, here cpu)"),
        ({"processor": "x86_64 AVX512", "threads": 1}, "another number of threads (1, here 2)"),
        (
            {"torch": "2.0", "engine": "exact"},
            "another version of torch (2.0, here 2.1) and another engine (exact, here eager)",
        ),
        ({"weights": "sha256:b", "device": "cpu", "torch": "2.1", "threads": 2}, ""),
        ({}, ""),
    ],
)
def test_redo_tells_other_weights_from_another_machine(tmp_path, monkeypatch, then, said):
    here = {"device": "cpu", "processor": "x86_64 AVX512", "threads": 2}
    now = Made(weights="sha256:b", torch="2.1", engine="eager", **here)
    darker = Image.fromarray(PIXELS - 1)

    def steps(recipes):
        yield SimpleNamespace(result=SimpleNamespace(images=[darker], recipes=[replace(recipes[0], made=now)]))

    monkeypatch.setattr(sfumato.model, "load", lambda name, **_: SimpleNamespace(steps=steps))
    made = Made(pixels=pixels_hash(PICTURE), **then)
    found = redo(saved(tmp_path / "a.png", made=replace(recipe(), made=made)))
    assert (found.verdict, found.reason) == ("differs by at most 1 of 255", said)
    same = Made(pixels=pixels_hash(darker), **then)
    assert redo(replace(recipe(), made=same)).reason == ""  # identical: there is nothing to explain


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
    card = "---\nlicense: x\n---\n# Title\n[![badge](a)](b)\nA small\n[model](../far.md) of boats. It is old.\n\nNo.\n"
    (tmp_path / "m" / "README.md").write_text(card)
    return tmp_path / "m"


def test_a_model_s_parts_are_counted_from_the_headers(folder):
    report = inspect_model(folder)
    part = {"class": "UNet2DConditionModel", "parameters": 10, "largest": 6, "bytes": 32, "types": ["BF16", "F32"]}
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


def test_variants_count_once(folder):
    unet = folder / "unet"
    for name in ("model.fp16.safetensors", "model.non_ema.safetensors"):
        (unet / name).write_bytes(safetensors(GOOD, 32))
    (unet / "diffusion_pytorch_model.bin").write_bytes(b"the same once more")
    assert inspect_model(folder).parts["unet"]["parameters"] == 10
    (unet / "model.safetensors").unlink()
    assert inspect_model(folder).parts["unet"]["parameters"] == 10  # variants alone: one of them
    for path in unet.iterdir():
        path.unlink()
    for variant in ("", ".fp16"):
        for i in (1, 2):
            (unet / f"model{variant}-0000{i}-of-00002.safetensors").write_bytes(safetensors(GOOD, 32))
    assert inspect_model(folder).parts["unet"]["parameters"] == 20  # the pieces of one


def test_weights_of_torch_are_counted_and_not_run(folder):
    import torch

    weights = {"a": torch.zeros(2, 3), "b": torch.zeros(4, dtype=torch.bfloat16), "c": torch.zeros(1)}
    weights["tied"] = weights["a"]
    unet = folder / "unet"
    (unet / "model.safetensors").unlink()
    torch.save(weights, unet / "diffusion_pytorch_model.bin")
    torch.save({"step": torch.zeros(1000)}, unet / "optimizer.bin")
    part = inspect_model(folder).parts["unet"]
    assert part == {
        "class": "UNet2DConditionModel",
        "parameters": 11,
        "largest": 6,
        "bytes": 36,
        "types": ["BF16", "F32"],
    }

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(folder / "run"),)

    torch.save({"evil": Evil(), **weights}, unet / "diffusion_pytorch_model.bin")
    assert inspect_model(folder).parts["unet"]["parameters"] == 11
    assert not (folder / "run").exists()
    whole = (unet / "diffusion_pytorch_model.bin").read_bytes()
    (unet / "diffusion_pytorch_model.bin").write_bytes(whole.replace(b"FloatStorage", b"EvilsStorage"))
    with pytest.raises(BadInput, match="is damaged"):
        inspect_model(folder)


def test_a_model_s_names_can_t_take_over_the_terminal(tmp_path, folder):
    evil = "\x1b]0;title\x07\x9b2J"
    index = json.loads((folder / "model_index.json").read_text())
    index["unet"] = ["diffusers", f"UNet{evil}"]
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "README.md").write_text(f"boats {evil}")
    (folder / "unet" / "model.safetensors").write_bytes(
        safetensors({"a": {"dtype": evil, "shape": [1], "data_offsets": [0, 4]}}, 4)
    )
    evil_folder = folder.rename(tmp_path / f"m{evil}")
    report = inspect_model(evil_folder)
    for text in (report.text(), report.line(), replace(report, error=evil).line()):
        assert all(c.isprintable() or c == "\n" for c in text)
        assert "UNet" in text or text != report.text()


@pytest.mark.parametrize("name", ["../../etc", "/etc", "..", "a/b", "a\x1b"])
def test_parts_lie_within_the_folder(folder, name):
    index = {"_class_name": "X", name: ["diffusers", "UNet2DModel"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(BadInput, match="the name of a part is that of a folder beside it"):
        inspect_model(folder)


@pytest.mark.timeout(20)
def test_a_fifo_in_a_model_s_folder_is_not_waited_for(folder):
    (folder / "README.md").unlink()
    for path in (folder / "README.md", folder / "unet" / "other.safetensors", folder / "unet" / "x.bin"):
        os.mkfifo(path)
    assert inspect_model(folder).parameters == 10


def test_a_bad_model_in_the_cache_hides_no_other(tmp_path, folder, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("sfumato.provenance.models.built_ins", list)

    def cached(name: str):
        place = tmp_path / "hub" / f"models--{name}--m" / "snapshots" / "x"
        place.mkdir(parents=True)
        return place

    for name, index in (("array", "[1]"), ("deep", "[" * 100_000), ("cut", "{"), ("part", '{"../x": ["a", "b"]}')):
        (cached(name) / "model_index.json").write_text(index)
    (cached("dangling") / "model_index.json").symlink_to("nowhere")
    cached("empty")
    (cached("strange") / "model_index.json").write_text((folder / "model_index.json").read_text())
    (cached("good").parent / "y").symlink_to(folder)
    monkeypatch.setattr("sfumato.provenance.models.capabilities_of", _fails_for("strange"))
    found = {report.name: report for report in known_models()}
    assert sorted(found) == ["array/m", "cut/m", "deep/m", "good/m", "part/m", "strange/m"]
    assert found["good/m"].parameters == 10
    assert not found["good/m"].error
    for name in ("array/m", "cut/m", "deep/m", "part/m", "strange/m"):
        assert "can't be read: " in found[name].line()
    json.dumps([report.as_dict() for report in found.values()])


def _fails_for(name: str):

    def looked(folder):
        if name in str(folder):
            raise RuntimeError("something of which nobody thought")
        return capabilities_of(folder)

    return looked


def test_the_hash_of_weights_is_theirs_alone_and_computed_once(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(weights, "_hashes", {})
    first = weights.weights_hash(folder)
    assert first.startswith("sha256:")
    (folder / "README.md").write_text("another card")
    (folder / "unet" / "model.fp16.safetensors").write_bytes(b"a variant that is not loaded")
    moved = folder.rename(tmp_path / "elsewhere")
    assert weights.weights_hash(moved) == first
    monkeypatch.setattr(weights, "_hashes", {})
    with monkeypatch.context() as patch:
        patch.setattr(weights.hashlib, "file_digest", None)  # as another process: read from the disk
        assert weights.weights_hash(moved) == first
    (tmp_path / "home" / "weights.json").write_text('{"x": 3')
    monkeypatch.setattr(weights, "_hashes", {})
    assert weights.weights_hash(moved) == first
    (moved / "unet" / "model.safetensors").write_bytes(safetensors(GOOD, 31) + b"x")
    assert weights.weights_hash(moved) != first
    (moved / "unet" / "model.safetensors").unlink()
    (moved / "unet" / "model.fp16.safetensors").unlink()
    assert weights.weights_hash(moved) == ""
