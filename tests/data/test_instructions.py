"""Edits of the built-in world: one attribute changes and is said, and all else stays, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from sfumato.data import vignettes as v
from sfumato.data import world
from sfumato.data.vignettes.draw import paint
from sfumato.data.vignettes.instructions import REACH, edit, pictures, touched
from sfumato.data.vignettes.vocabulary import LIGHTS, SEMANTIC

EDITS = [edit(0, i) for i in range(150)]
SKY = [SEMANTIC[name] for name in ("sky", "sun or moon", "cloud")]


def changed(one) -> str:
    """The one attribute that is another."""
    before, after = one.before.attributes, one.after.attributes
    (name,) = [name for name in before if before[name] != after[name]]
    return name


def classes(scene) -> np.ndarray:
    painter = paint(scene, 64)
    return np.array([thing.semantic for thing in painter.things])[painter.labels[..., 0]]


def test_an_instruction_names_what_changes():
    kinds = {changed(one) for one in EDITS}
    assert kinds == {"color", "jacket", "hat", "scarf", "mask", "glasses", "headset", "light", "style"}
    for one in EDITS:
        name = changed(one)
        assert len(set(one.instructions)) == 3
        assert one.everywhere == (name in ("light", "style"))
        value = one.after[name]
        thing = one.before["subject"] if name == "color" else name
        for said in one.instructions:
            if not one.everywhere:
                assert thing in said
                assert value in ("none", "yes") or value in said
            if value == "none":
                assert said.startswith(("remove", "take off", "without"))
        assert not v.held_out(one.before)
        assert not v.held_out(one.after)


def test_edits_are_a_function_of_seed_and_index_and_of_their_split():
    assert [edit(0, i) for i in range(5)] == EDITS[:5]
    assert edit(1, 3) != EDITS[3]
    for i in range(5):
        one = edit(0, i, "held-out")
        assert v.held_out(one.before)
        assert v.held_out(one.after)


@pytest.mark.parametrize("style", ["flat", "oil", "watercolour", "pencil sketch", "starry night"])
def test_beyond_a_brush_s_reach_of_what_changes_every_pixel_stays(style):
    local = [one for one in EDITS if not one.everywhere and one.before["style"] == style][:5]
    assert local
    for one in local:
        before, after = pictures(one, 64)
        flat, other = (paint(scene, 64).pixels[..., :3] for scene in (one.before, one.after))
        differs, there = (before != after).any(-1), touched(one, 64)
        assert differs[(flat != other).any(-1)].mean() > 0.6  # it is painted
        assert not differs[~there].any()
        assert 0 < there.mean() < 0.7
        assert np.array_equal(before, v.draw(one.before, 64, False).image)
        redrawn = v.draw(one.after, 64, False).image
        assert np.array_equal(after[there], redrawn[there])
        if style == "flat":  # which needs no mending: no die is thrown once more
            assert np.array_equal(after, redrawn)


def test_what_is_put_on_changes_the_person_alone():
    """The flat picture's changes lie where the person is, before or after."""
    worn = [one for one in EDITS if changed(one) in ("hat", "scarf", "mask", "glasses", "headset", "jacket")]
    assert len(worn) > 20
    person = [SEMANTIC[n] for n in ("skin", "hair", "clothes", "jacket", "hat", "scarf", "mask", "glasses", "headset")]
    for one in worn[:20]:
        flat, other = (paint(scene, 64).pixels[..., :3] for scene in (one.before, one.after))
        here = np.isin(classes(one.before), person) | np.isin(classes(one.after), person)
        around = ndimage.binary_dilation(here, iterations=2)  # outlines are strokes, and their edges soft
        assert not ((flat != other).any(-1) & ~around).any(), one.instructions


def test_another_light_leaves_every_thing_below_the_sky_where_it_is():
    """In a town too, where lamps throw the houses' dice: lights that light none are asked for by day alone."""
    relit = [one for one in EDITS if changed(one) == "light"]
    assert len(relit) > 20
    for one in relit:
        first, second = classes(one.before), classes(one.after)
        sky = np.isin(first, SKY) & np.isin(second, SKY)
        assert (first == second)[~sky].all(), one.instructions
    town = next(s for s in (v.scene(0, i) for i in range(200)) if s["place"] == "town" and s["light"] == "day")
    day, night = (classes(town.with_attributes(light=light)) for light in ("day", "night"))
    assert (day != night).mean() > 0.01  # why
    assert {one.after["light"] for one in relit} == set(LIGHTS)


def test_another_style_is_the_same_scene():
    for one in [one for one in EDITS if changed(one) == "style"][:10]:
        first, second = (paint(scene, 48) for scene in (one.before, one.after))
        assert np.array_equal(first.pixels, second.pixels)
        assert (pictures(one, 48)[0] != pictures(one, 48)[1]).any()


def test_what_is_asked_of_scenes_changes_no_picture_of_the_world():
    """Arrays that were drawn before edits were known are still theirs."""
    assert "instructions.py" in world.NOT_DRAWING
    assert REACH * 64 >= 2
