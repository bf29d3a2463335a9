"""Models of classes and of nothing on the command line."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sfumato.picture import open_picture, read_metadata
from sfumato.recipe import Recipe


def recipe_of(path) -> Recipe:
    return Recipe.from_json(read_metadata(path)["recipe"])


def test_generate_paints_a_class(cli, pixel_model, home):
    model = pixel_model(channels=1)
    done = cli("generate", "--label", "CAT", "--count", 2, "--seed", 3, "--steps", 3, "--model", model)
    assert (done.status, done.err) == (0, "")
    assert done.out.split() == ["out/cat-3-0.png", "out/cat-3-1.png", "out/cat-3-sheet.png"]
    assert [(r.label, r.seed, r.prompt) for r in map(recipe_of, done.out.split()[:2])] == [
        ("cat", 3, ""),
        ("cat", 4, ""),
    ]
    assert "Label: cat" in read_metadata("out/cat-3-0.png")["parameters"]
    cli("generate", "--label", 1, "--seed", 4, "--steps", 3, "--model", model, "-o", "a.png")
    assert np.abs(np.asarray(open_picture("a.png"), int) - np.asarray(open_picture("out/cat-3-1.png"), int)).max() <= 1
    done = cli("redo", "a.png")
    assert (done.status, done.err) == (0, "sfumato: identical\n")
    assert "label: cat" in cli("inspect", "a.png").out


def test_a_model_that_is_told_nothing_needs_no_prompt(cli, pixel_model):
    done = cli("generate", "--steps", 2, "--seed", 1, "--model", pixel_model(how=None))
    assert (done.status, done.out) == (0, "out/picture-1.png\n")
    assert recipe_of("out/picture-1.png").guidance == ()
    assert cli("generate", "--steps", 2, "--seed", 2, "--model", pixel_model()).status == 0


def test_edit_takes_a_label_too(cli, pixel_model, home):
    Image.effect_noise((16, 16), 80).convert("RGB").save("a.png")
    mask = Image.new("L", (16, 16))
    mask.paste(255, (0, 0, 8, 16))
    mask.save("mask.png")
    masked = ("--mask", "mask.png", "--steps", 3, "--seed", 1, "--model", pixel_model(), "-o", "b.png")
    done = cli("edit", "a.png", "--label", "Tree", *masked)
    assert done.status == 0, done.err
    assert recipe_of("b.png").label == "Tree"
    before, after = (np.asarray(open_picture(name), int) for name in ("a.png", "b.png"))
    assert (before[:, 8:] == after[:, 8:]).all()
    assert np.abs(before - after)[:, :8].max() > 5


@pytest.mark.parametrize(
    ("command", "how", "said"),
    [
        ("generate --label ct", "time", "'ct' is no class of this model: give one of cat, boat, Tree, or 0 to 2"),
        ("generate --label 9", "time", "'9' is no class"),
        ("generate a-boat", "time", "reads no text: give a label instead, one of boat, cat, Tree"),
        ("generate a-boat", None, "reads no text: leave the prompt out"),
        ("generate --label cat", None, "knows no classes: leave the label out"),
        ("generate --guidance 3", None, "nothing to guide by"),
        ("edit a.png a-boat", "time", "reads no text"),
        ("edit a.png --label ct", "channels", "'ct' is no class"),
    ],
)
def test_what_the_model_can_t_be_told_is_refused_in_a_sentence(cli, pixel_model, home, command, how, said):
    Image.new("RGB", (16, 16)).save("a.png")
    model = pixel_model(how=how)
    done = cli(*command.split(), "--model", model)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("sfumato: ")
    assert said in done.err
    assert [path.name for path in home.iterdir()] == ["a.png"]


LIGHT = """
import sys
from sfumato.cli.app import run_command as run
assert run(sys.argv[1:]) == 2
assert not {"torch", "diffusers", "transformers"} & set(sys.modules)
"""


def test_it_is_refused_before_torch_is_loaded(pixel_model):
    command = ["generate", "--label", "ct", "--model", str(pixel_model())]
    done = subprocess.run([sys.executable, "-c", LIGHT, *command], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr


def test_words_are_asked_for_where_the_model_reads_them(cli, model, home):
    done = cli("generate", "--model", model)
    assert (done.status, done.out) == (2, "")
    assert "give a prompt that says what the picture is to show" in done.err
    assert "knows no classes: give a prompt instead" in cli("generate", "--label", "cat", "--model", model).err
    assert list(home.iterdir()) == []


def test_inspect_tells_the_classes(cli, pixel_model, model):
    text = cli("inspect", pixel_model()).out
    assert "3 classes, or none: boat, cat, Tree" in text
    found = json.loads(cli("inspect", pixel_model(), "--json").out)["vocabulary"]
    told = {"text": False, "classes": ["boat", "cat", "Tree"], "none": 3, "tasks": [], "inpaints": False}
    assert {**found, **told} == found
    assert found["suits"]["steps"] == 20
    assert "classes" not in cli("inspect", model).out
    assert "classes" not in cli("inspect", pixel_model(how=None)).out


def test_models_tells_what_each_is_told(cli, pixel_model, model, home, monkeypatch):
    import huggingface_hub.constants

    import sfumato.zoo

    zoo = home / "zoo"
    zoo.mkdir()
    for name, folder in {"a": model, "b": pixel_model(), "c": pixel_model(how=None)}.items():
        (zoo / name).symlink_to(folder, target_is_directory=True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(sfumato.zoo, "shelves", lambda: [zoo])
    said = ["takes words", "takes 3 classes", "takes nothing"]
    assert [what in line for what, line in zip(said, cli("models").out.splitlines(), strict=True)] == [True] * 3
