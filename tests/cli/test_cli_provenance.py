"""inspect and redo on the command line, as far as no model runs."""

import pytest
from PIL import Image

from sfumato.picture import save_picture
from sfumato.recipe import Recipe


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


def test_home_is_expanded(cli, home, monkeypatch):
    monkeypatch.setenv("HOME", str(home))
    save_picture(Image.new("RGB", (8, 8)), "~/a.png")
    assert "a.png: PNG, 8 x 8" in cli("inspect", "~/a.png").out
