"""inspect and redo on the command line, as far as no model runs."""

import json

import pytest
from PIL import Image

from sfumato.picture import save_picture
from sfumato.recipe import Recipe
from sfumato.zoo import place


@pytest.mark.parametrize("output", ["a.png", "./a.png", "link.png"])
def test_redo_never_writes_over_the_picture(cli, home, output):
    save_picture(Image.new("RGB", (8, 8)), "a.png", recipe_json=Recipe("a boat").to_json())
    (home / "link.png").symlink_to("a.png")
    before = (home / "a.png").read_bytes()
    done = cli("redo", "a.png", "-o", output)
    assert (done.status, done.out) == (2, "")
    assert "also an input" in done.err
    assert (home / "a.png").read_bytes() == before


def test_a_strangers_model_name_is_no_markup_and_no_escape(cli, home):
    save_picture(Image.new("RGB", (8, 8)), "a.png", recipe_json=Recipe("x", model="[/bold]\x1b[2J").to_json())
    done = cli("redo", "a.png")
    assert done.status == 2
    assert "neither built in nor a folder here" in done.err
    assert "\x1b" not in done.err
    assert "Error" not in done.err


def test_inspect_tells_of_built_in_models_by_name(cli, home):
    assert "unet: UNet2DConditionModel" in cli("inspect", "mini").out


def test_inspect_tells_of_networks_that_are_shown_a_picture(cli, home):
    for name, said in {
        "mini-controlnet": (
            "a ControlNet (ControlNetUnionModel)",
            "maps: canny, softedge",
            "--control controlnet:map=canny",
        ),
        "mini-t2i-adapter": ("a T2I-Adapter (T2IAdapter)", "maps: depth", "--control t2i-adapter:map=depth"),
        "mini-ip-adapter": ("an IP-Adapter, 597,120 numbers in BF16", "--control ip-adapter:picture=FILE"),
    }.items():
        found = cli("inspect", name).out
        assert all(each in found for each in said)
        path = place(name)
        assert cli("inspect", path).out == found.replace(name, str(path))
    found = json.loads(cli("inspect", "mini-controlnet", "--json").out)
    assert (found["kind"], found["numbers"], found["maps"][0]) == ("controlnet", 5_389_840, "canny")


def test_a_model_without_a_part_is_called_by_what_it_stands_for(cli, home):
    done = cli("generate", "a boat", "--model", "mini?without=vae")
    assert "zoo/mini?without=vae names no vae" in done.err


def test_home_is_expanded(cli, home, monkeypatch):
    monkeypatch.setenv("HOME", str(home))
    save_picture(Image.new("RGB", (8, 8)), "~/a.png")
    assert "a.png: PNG, 8 x 8" in cli("inspect", "~/a.png").out
