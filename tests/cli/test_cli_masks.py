"""Masks on the command line: shaped, cropped, extended; and what is wrong with them."""

import json

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageDraw

from sfumato.edit import Resample
from sfumato.provenance import recipe_in


def opened(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.fixture
def mask(home):
    mask = Image.new("L", (32, 32))
    ImageDraw.Draw(mask).rectangle((10, 12, 19, 21), fill=255)
    mask.save(home / "mask.png")
    return home / "mask.png"


@pytest.fixture
def wide(home):
    """A picture and a mask larger than the model's own size."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 110, 3), dtype=np.uint8)).save(home / "wide.png")
    mask = Image.new("L", (110, 70))
    ImageDraw.Draw(mask).rectangle((60, 30, 75, 44), fill=255)
    mask.save(home / "wide-mask.png")
    return home / "wide.png"


def edit(cli, model, *arguments):
    done = cli("edit", *arguments, "--model", model, "--steps", 2, "--seed", 3, "--json", "-o", "out.png")
    assert done.status == 0, done.err
    return json.loads(done.out)["pictures"][0], done.err


def test_a_mask_is_shaped_and_resampled_as_the_options_say(cli, model, sketch, mask):
    options = ["--grow", 2, "--feather", 3, "--dilate", 8, "--resample", "1x3"]
    edit(cli, model, sketch, "a boat", "--mask", mask, *options)
    hold = recipe_in("out.png").hold
    assert (hold.grow, hold.feather, hold.dilation, hold.resample) == (2, 3, 8, Resample(1, 3))
    changed = (opened("out.png") != opened(sketch)).any(-1)
    assert changed[9:25, 7:23].any()
    changed[12 - 5 : 22 + 5, 10 - 5 : 20 + 5] = False
    assert not changed.any()


def test_only_the_masked_part_changes_and_redo_makes_it_again(cli, model, wide):
    found, said = edit(cli, model, wide, "a boat", "--mask", "wide-mask.png", "--only-masked", "--margin", 4)
    assert (found["width"], found["height"]) == (110, 70)
    assert (found["recipe"]["width"], found["recipe"]["height"]) == (32, 32)
    assert said == ""
    inside = opened("wide-mask.png")[..., 0] == 255
    assert (opened("out.png")[~inside] == opened(wide)[~inside]).all()
    assert (opened("out.png")[inside] != opened(wide)[inside]).any()
    assert cli("redo", "out.png").err == "sfumato: identical\n"


def test_a_larger_part_is_scaled_and_said_to_be(cli, model, wide):
    _, said = edit(cli, model, wide, "a boat", "--mask", "wide-mask.png", "--only-masked", "--margin", 20)
    assert said == (
        "sfumato: note: the part around the mask is 56 x 56 and is edited at 32 x 32, which suits the model; "
        "--size chooses another\n"
    )
    inside = opened("wide-mask.png")[..., 0] == 255
    assert (opened("out.png")[~inside] == opened(wide)[~inside]).all()


def test_an_extended_picture_keeps_its_old_part(cli, model, sketch):
    edit(cli, model, sketch, "a boat", "--extend", "16,0,0,8", "--size", "48x40")
    made = opened("out.png")
    assert made.shape == (40, 48, 3)
    assert (made[:32, 16:] == opened(sketch)).all()
    assert recipe_in("out.png").start.strength == 0.9


def test_an_extended_photograph_keeps_its_author_and_density(cli, model, home):
    exif = Image.Exif()
    exif[ExifTags.Base.Copyright] = "(c) Ann"
    Image.new("RGB", (32, 32), "red").save(home / "photo.jpg", exif=exif, dpi=(300, 300))
    done = cli("edit", "photo.jpg", "a boat", "--extend", 8, "--model", model, "--steps", 1, "-o", "wide.jpg")
    assert done.status == 0, done.err
    made = Image.open("wide.jpg")
    assert made.size == (48, 48)
    assert made.getexif()[ExifTags.Base.Copyright] == "(c) Ann"
    assert made.info["dpi"] == (300, 300)
    assert cli("redo", "wide.jpg").status == 0


def test_an_extended_picture_may_begin_as_it_is_written(cli, model, sketch):
    edit(cli, model, sketch, "a boat", "--extend", 16, "--start", "sdedit:strength=0.5")
    assert recipe_in("out.png").start.strength == 0.5


def test_an_extended_picture_may_have_a_mask_too(cli, model, sketch, mask):
    edit(cli, model, sketch, "a boat", "--extend", 4, "--mask", mask, "--size", "40", "--strength", 0.5)
    changed = (opened("out.png")[4:36, 4:36] != opened(sketch)).any(-1)
    assert changed[12:22, 10:20].any()
    changed[12:22, 10:20] = False
    assert not changed.any()


@pytest.mark.parametrize("options", [[], ["--grow", 5, "--feather", 3], ["--only-masked"], ["--composite", "poisson"]])
def test_a_black_mask_is_the_identity_and_said(cli, model, wide, home, options):
    Image.new("L", (110, 70)).save(home / "black.png")
    _, said = edit(cli, model, wide, "a boat", "--mask", "black.png", *options)
    assert (opened("out.png") == opened(wide)).all()
    assert said == (
        "sfumato: note: the mask is black everywhere, so nothing is repainted; what is to change must be white\n"
    )


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16", "F"])
def test_a_mask_of_any_mode_is_the_same_mask(cli, model, sketch, mask, home, mode):
    edit(cli, model, sketch, "a boat", "--mask", mask)
    expected = opened("out.png")
    own = Image.open(mask)
    if mode == "I;16":
        own, name = Image.fromarray(np.asarray(own).astype(np.uint16) * 257), "mask-16.png"
    elif mode == "F":
        own, name = Image.fromarray(np.asarray(own).astype(np.float32) / 255), "mask-f.tif"
    else:
        own, name = own.convert(mode), "mask-other.png"
    own.save(home / name)
    edit(cli, model, sketch, "a boat", "--mask", name)
    assert (opened("out.png") == expected).all()


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 40)])
def test_a_picture_smaller_than_a_cell_is_edited_all_the_same(cli, model, home, size):
    Image.new("RGB", size, (200, 40, 90)).save(home / "dot.png")
    Image.new("L", size, 255).save(home / "dot-mask.png")
    found, said = edit(cli, model, "dot.png", "a boat", "--mask", "dot-mask.png")
    assert (found["width"], found["height"]) == size
    assert max(found["recipe"]["width"], found["recipe"]["height"]) == 32
    assert "is edited at" in said
    found, _ = edit(cli, model, "dot.png", "a boat", "--mask", "dot-mask.png", "--only-masked")
    assert (found["width"], found["height"]) == size
    found, _ = edit(cli, model, "dot.png", "a boat", "--extend", 8)
    assert (found["width"], found["height"]) == (size[0] + 16, size[1] + 16)


def test_a_picture_too_long_for_the_file_is_refused_before_it_is_painted(cli, model, home):
    Image.new("RGB", (17_000, 8)).save(home / "long.png")
    Image.new("L", (17_000, 8), 255).crop((0, 0, 16, 8)).resize((17_000, 8)).save(home / "hole.png")
    done = cli("edit", home / "long.png", "x", "--mask", home / "hole.png", "--model", model, "--steps", 1,
               "-o", "new.webp")  # fmt: skip
    assert done.status == 2
    assert ".webp holds at most 16383 pixels a side: save as .png" in done.err
    assert "painting" not in done.err
    assert not list(home.glob("new*"))


def test_a_rotated_photograph_takes_a_mask_of_its_upright_size(cli, model, home):
    """Orientation 6: stored 40 x 24, shown 24 x 40."""
    stored = Image.fromarray(np.random.default_rng(1).integers(0, 256, (24, 40, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    stored.save(home / "photo.jpg", exif=exif, quality=95)
    upright = np.rot90(opened("photo.jpg"), -1)
    mask = Image.new("L", (24, 40))
    ImageDraw.Draw(mask).rectangle((4, 5, 12, 16), fill=255)
    mask.save(home / "mask.png")

    edit(cli, model, "photo.jpg", "a boat", "--mask", "mask.png", "--only-masked")
    inside = np.asarray(mask) == 255
    made = opened("out.png")
    assert made.shape == (40, 24, 3)
    assert (made[~inside] == upright[~inside]).all()
    assert (made[inside] != upright[inside]).any()

    Image.new("L", (40, 24), 255).save(home / "lying.png")
    done = cli("edit", "photo.jpg", "a boat", "--mask", "lying.png", "--model", model)
    assert (done.status, done.out) == (2, "")
    assert "lying.png is 40 x 24, but the picture is 24 x 40: a mask must have the size of its picture" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--grow 4", "--grow is about a mask: give one with --mask"),
        ("--only-masked", "--only-masked is about a mask"),
        ("--resample 10x5", "--resample is about a mask"),
        ("--mask mask.png --margin 4", "--margin is about the part that --only-masked cuts out"),
        ("--mask mask.png --resample 10", "--resample '10' is no resampling: give STEPSxTIMES, as 10x5"),
        ("--mask mask.png --resample 0x5", "length is 0: give a whole number of steps from 1"),
        ("--mask mask.png --feather -1", "feather is -1"),
        ("--mask mask.png --grow nan", "grow is nan"),
        ("--extend wide", "--extend 'wide' is no border: give LEFT,TOP,RIGHT,BOTTOM"),
        ("--extend 1,2,3", "is no border"),
        ("--extend 0", "a picture is extended by 0, 0, 0, 0"),
        ("--extend 99999", "megapixels are made"),
        ("--extend 8 --hold low-pass", "holds what lies outside it and --hold something else"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(cli, sketch, mask, options, said):
    done = cli("edit", sketch, "a boat", *options.split())
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("sfumato: ")
    assert said in done.err
    assert done.err.count("\n") == 1
