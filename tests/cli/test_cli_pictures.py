"""generate, edit, redo and inspect with a tiny real model: files, seeds, sheets, masks, and the same pixels again."""

import json
import signal
import time

import numpy as np
import pytest
import warm
from PIL import Image

from sfumato.guide import PerturbedAttention, ProjectedGuidance
from sfumato.picture import open_picture, read_metadata
from sfumato.recipe import Recipe
from sfumato.sample import DDIM


def pixels(path) -> np.ndarray:
    return np.asarray(open_picture(path))


@pytest.fixture
def make(cli, model):
    def call(*arguments):
        done = cli(*arguments, "--steps", 4, "--model", model)
        assert done.status == 0, done.err
        return done

    return call


def test_one_picture_goes_where_it_is_told(make, home):
    done = make("generate", "a red boat", "--seed", 3, "-o", "deep/a.png")
    assert done.out == "deep/a.png\n"
    assert pixels(home / "deep/a.png").shape == (32, 32, 3)
    found = read_metadata(home / "deep/a.png")
    recipe = Recipe.from_json(found["recipe"])
    assert (recipe.prompt, recipe.seed, recipe.steps, recipe.width) == ("a red boat", 3, 4, 32)
    assert recipe.made is not None
    assert found["parameters"].startswith("a red boat\nSteps: 4, Sampler: DPM++ 2M, CFG scale: 5, Seed: 3, Size: 32x32")
    assert [path.name for path in (home / "deep").iterdir()] == ["a.png"]


def test_default_names_tell_words_and_seed(make):
    assert make("generate", "A red boat, at NIGHT!", "--seed", 3).out == "out/a-red-boat-at-night-3.png\n"
    assert make("generate", "", "--seed", 4).out == "out/picture-4.png\n"
    one, two = (make("generate", "x").out for _ in range(2))
    assert one != two


def test_guidances_stack_and_samplers_have_options(make, home):
    guides = ["--guide", "apg:eta=0.5", "--guide", "pag:scale=2,interval=0.2-0.8"]
    make("generate", "a (red:1.3) boat", *guides, "--sampler", "ddim:eta=1", "--seed", 3, "-o", "a.png")
    recipe = Recipe.from_json(read_metadata(home / "a.png")["recipe"])
    assert recipe.guidance == (ProjectedGuidance(eta=0.5), PerturbedAttention(2, interval=(0.2, 0.8)))
    assert recipe.sampler == DDIM(1)
    make("generate", "a red boat", *guides, "--sampler", "ddim:eta=1", "--seed", 3, "-o", "b.png")
    assert (pixels(home / "a.png") != pixels(home / "b.png")).any()


def test_several_pictures_have_seeds_in_a_row_and_a_sheet(make, home):
    done = make("generate", "a boat", "--seed", 7, "--count", 3, "--engine", "exact", "-o", "g.png")
    assert done.out.split() == ["g-0.png", "g-1.png", "g-2.png", "g-sheet.png"]
    assert sorted(path.name for path in home.glob("*.png")) == done.out.split()
    assert [Recipe.from_json(read_metadata(f"g-{i}.png")["recipe"]).seed for i in range(3)] == [7, 8, 9]
    make("generate", "a boat", "--seed", 9, "--engine", "exact", "-o", "alone.png")
    assert np.array_equal(pixels("alone.png"), pixels("g-2.png"))
    assert not np.array_equal(pixels("g-1.png"), pixels("g-2.png"))
    assert pixels("g-sheet.png").shape[1] > 64


def test_json_is_one_object(make):
    done = make("generate", "a boat", "--seed", 7, "--count", 2, "--json", "-o", "g.webp")
    found = json.loads(done.out)
    assert [picture["path"] for picture in found["pictures"]] == ["g-0.webp", "g-1.webp"]
    assert [picture["seed"] for picture in found["pictures"]] == [7, 8]
    assert Recipe.from_json(json.dumps(found["pictures"][0]["recipe"])).prompt == "a boat"
    assert (found["sheet"], found["seconds"] > 0) == ("g-sheet.webp", True)


def test_editing_at_strength_0_is_the_picture_and_more_is_not(make, sketch):
    make("edit", sketch, "a boat", "--strength", 0, "-o", "a.png")
    assert np.array_equal(pixels("a.png"), pixels(sketch))
    make("edit", sketch, "a boat", "--strength", 0.6, "--seed", 1, "-o", "b.png")
    assert not np.array_equal(pixels("b.png"), pixels(sketch))


def test_outside_the_mask_nothing_changes(make, sketch, home):
    mask = np.zeros((32, 32), np.uint8)
    mask[8:20, 4:16] = 255
    Image.fromarray(mask).save("mask.png")
    masked = ("edit", sketch, "a boat", "--strength", 1, "--mask", "mask.png", "--seed", 1)
    make(*masked, "-o", "a.png")
    changed = (pixels("a.png") != pixels(sketch)).any(-1)
    assert not changed[mask == 0].any()
    assert changed[mask > 0].mean() > 0.5
    make(
        "edit",
        sketch,
        "a boat",
        "--strength",
        1,
        "--mask",
        "mask.png",
        "--composite",
        "none",
        "--seed",
        1,
        "-o",
        "b.png",
    )
    assert (pixels("b.png") != pixels(sketch)).any(-1)[mask == 0].any()


def test_pictures_of_another_size_are_scaled_and_it_is_said(make, home):
    Image.effect_noise((300, 150), 50).convert("RGB").save("wide.png")
    mask = Image.new("L", (300, 150))
    mask.paste(255, (0, 0, 150, 150))
    mask.save("mask.png")
    done = make("edit", "wide.png", "a boat", "--mask", "mask.png", "--seed", 1, "-o", "a.png")
    assert "note: the picture is 300 x 150 and is edited at 32 x 16" in done.err
    assert np.array_equal(pixels("a.png")[:, 200:], pixels("wide.png")[:, 200:])  # at its own size, held to the bit
    done = make("edit", "wide.png", "a boat", "--seed", 1, "-o", "c.png")
    assert pixels("c.png").shape == (16, 32, 3)
    done = make("edit", "wide.png", "a boat", "--size", "64x32", "-o", "b.png")
    assert pixels("b.png").shape == (32, 64, 3)


def test_a_size_of_other_proportions_crops_and_says_so(process, model, home):
    wide = Image.effect_noise((300, 150), 50).convert("RGB")
    wide.save("wide.png")
    whole = ["edit", "wide.png", "", "--size", "32x32", "--strength", 0, "--model", model, "-o", "a.png"]
    done = process(*whole)
    assert done.status == 0
    assert done.err == (
        "sfumato: note: of the picture's 300 x 150 the part 150 x 150 at (75, 0) is edited, which has the proportions "
        "of 32 x 32\n"
    )
    middle = wide.crop((75, 0, 225, 150)).resize((32, 32), Image.Resampling.LANCZOS)
    assert np.array_equal(pixels("a.png"), np.asarray(middle))


def test_sizes(make):
    make("generate", "a boat", "--size", "48x32", "-o", "a.png")
    assert pixels("a.png").shape == (32, 48, 3)
    make("generate", "a boat", "--size", "16", "-o", "a.png")
    assert pixels("a.png").shape == (16, 16, 3)


def test_a_prompt_longer_than_the_window_is_read_and_one_beyond_measure_refused(cli, model, home):
    done = cli("generate", "boat " * 100, "--model", model, "--steps", "1", "-o", "a.png")
    assert (done.status, done.out) == (0, "a.png\n")
    (home / "a.png").unlink()
    done = cli("generate", "boat " * 10_000, "--model", model, "-o", "a.png")
    assert (done.status, done.out) == (2, "")
    assert "prompt" in done.err
    assert done.err.count("\n") == 1
    assert list(home.iterdir()) == []


def test_a_damaged_model_is_one_sentence(cli, model, tmp_path, home):
    import shutil

    shutil.copytree(model, tmp_path / "broken")
    (weights,) = (tmp_path / "broken" / "unet").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1000])
    for command in (["generate", "x", "--model"], ["inspect"]):
        done = cli(*command, tmp_path / "broken")
        assert (done.status, done.out, done.err.count("\n")) == (2, "", 1), done.err
        assert str(tmp_path / "broken") in done.err
    assert list(home.iterdir()) == []


def test_redo_makes_the_same_pixels(make, cli, sketch, home, tmp_path):
    Image.new("L", (32, 32), 255).save("mask.png")
    make("edit", sketch, "a boat", "--mask", "mask.png", "--sampler", "ddpm", "--seed", 5, "-o", "a.png")
    done = cli("redo", "a.png", "-o", "b.png")
    assert (done.status, done.out, done.err) == (0, "b.png\n", "sfumato: identical\n")
    assert np.array_equal(pixels("a.png"), pixels("b.png"))
    assert read_metadata("a.png")["parameters"] == read_metadata("b.png")["parameters"]
    found = json.loads(cli("redo", "a.png", "--json").out)
    assert found == {"path": "a-redo.png", "identical": True, "difference": 0, "verdict": "identical"}


def test_redo_of_a_changed_picture_says_so(make, cli, home):
    make("generate", "a boat", "--seed", 5, "-o", "a.png")
    found = read_metadata("a.png")
    array = pixels("a.png").copy()
    array[0, 0, 0] ^= 64
    from sfumato.picture import save_picture

    save_picture(array, "a.png", recipe_json=found["recipe"])
    done = cli("redo", "a.png", "--json")
    assert json.loads(done.out)["identical"] is True
    assert json.loads(done.out)["difference"] == 64
    assert "the file's own pixels are others" in done.err
    assert "changed since it was made" in cli("inspect", "a.png").out


def test_redo_needs_the_input_picture(make, cli, sketch, tmp_path, monkeypatch):
    make("edit", sketch, "a boat", "-o", "a.png")
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "elsewhere"))
    done = cli("redo", "a.png")
    assert (done.status, done.out) == (2, "")
    assert "give the picture again" in done.err


def test_inspect_tells_what_stands_in_a_picture(make, cli):
    make("generate", "a boat", "--negative", "fog", "--seed", 5, "-o", "a.jpg")
    text = cli("inspect", "a.jpg").out
    for said in ("JPEG, 32 x 32", "prompt: a boat", "negative: fog", "seed 5", "dpmpp-2m, 4 steps", "torch "):
        assert said in text
    assert "can't be told" in text
    make("generate", "a boat", "--seed", 5, "-o", "a.png")
    found = json.loads(cli("inspect", "a.png", "--json").out)
    assert (found["state"], found["recipe"]["seed"]) == ("untouched", 5)


def test_inspect_tells_what_a_model_holds(cli, model):
    import torch
    from diffusers import UNet2DConditionModel

    found = json.loads(cli("inspect", model, "--json").out)
    unet = UNet2DConditionModel.from_pretrained(model / "unet")
    assert found["parts"]["unet"]["parameters"] == sum(p.numel() for p in unet.parameters())
    assert found["parts"]["unet"]["class"] == "UNet2DConditionModel"
    assert all(p.dtype == torch.float32 for p in unet.parameters())
    assert found["parts"]["unet"]["types"] == ["F32"]
    assert "unet: UNet2DConditionModel" in cli("inspect", model).out


def test_interrupting_a_run_leaves_nothing(home, model):
    Image.new("RGB", (300, 150)).save("wide.png")
    command = ["edit", "wide.png", "x", "--steps", "1000", "--strength", "1", "--model", model, "-o", "a.png"]
    with warm.start("-m", "sfumato", *command) as running:
        running.until("note")  # said when the model has been loaded and the run begins
        time.sleep(0.3)
        running.kill(signal.SIGINT)
        assert running.wait() == 130
        err = running.err
    assert err.splitlines()[-1] == "sfumato: interrupted: nothing half-written is left behind"
    assert "Traceback" not in err
    assert [path.name for path in home.iterdir()] == ["wide.png"]


def test_an_interrupt_while_a_batch_is_saved_waits_until_it_is(home, model, monkeypatch, capsys):
    from sfumato.cli import paint
    from sfumato.model import result
    from sfumato.recipe import Recipe
    from sfumato.recipe.capabilities import Capabilities

    save, saved = result.save_picture, []

    def interrupted(*args, **options):
        saved.append(save(*args, **options))
        if len(saved) == 2:
            signal.raise_signal(signal.SIGINT)
        return saved[-1]

    monkeypatch.setattr(result, "save_picture", interrupted)
    recipes = [Recipe(prompt="x", model=str(model), steps=1, seed=seed) for seed in range(12)]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
    try:
        with pytest.raises(KeyboardInterrupt):
            paint.make(recipes, Capabilities(text=True), home / "a.png", json=False)
    finally:
        signal.signal(signal.SIGINT, before)
    assert sorted(path.name for path in home.glob("*.png")) == [f"a-{n}.png" for n in range(8)]
    assert "8 of 12 pictures are saved" in capsys.readouterr().err


@pytest.mark.parametrize(("by", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_which_pictures_it_leaves(home, model, by, status):
    command = ["generate", "x", "--count", "64", "--steps", "20", "--model", model, "-o", "a.png"]
    with warm.start("-m", "sfumato", *command) as running:
        for _ in range(6000):
            if len(list(home.glob("a-*.png"))) >= 8:  # the first of eight batches
                break
            time.sleep(0.01)
        running.kill(by)
        assert running.wait() == status
        saved = next(line for line in running.err.splitlines() if "pictures are saved" in line)
        last = running.err.splitlines()[-1]
    there = {path.name for path in home.glob("a-*.png")}
    assert 8 <= len(there) < 64
    assert there == {f"a-{i}.png" for i in range(len(there))}
    assert saved == f"{len(there)} of 64 pictures are saved: a-0.png to a-{len(there) - 1}.png"
    assert not list(home.glob(".*.part"))
    assert by == signal.SIGTERM or last == "sfumato: interrupted: nothing half-written is left behind"
