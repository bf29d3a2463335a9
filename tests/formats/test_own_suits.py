"""What a folder says of how its model is best painted: the faces fill it into the recipes that they make."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import sfumato
from sfumato.formats import capabilities_of
from sfumato.guide import ClassifierFree
from sfumato.picture import BadInput
from sfumato.recipe import intent
from sfumato.sample import Heun


@pytest.fixture
def folder(tiny_model, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "own"))


def say(folder: Path, said: object) -> None:
    (folder / "sfumato.json").write_text(json.dumps(said))


def test_what_a_folder_says_stands_where_nothing_is_said(folder) -> None:
    plain = sfumato.load(folder).recipes("a boat")[0]
    say(folder, {"guidance": [{"kind": "classifier-free", "scale": 2.5}], "sampler": "heun", "steps": 7})
    pipe = sfumato.load(folder)
    (recipe,) = pipe.recipes("a boat")
    assert (recipe.guidance, recipe.sampler, recipe.steps) == ((ClassifierFree(2.5),), Heun(), 7)
    assert recipe.times == plain.times
    assert pipe.capabilities.suits == capabilities_of(folder).suits == pipe.stage.suits
    faces = intent.generate("a boat", model=str(folder), tells=capabilities_of(folder))
    assert (faces.guidance, faces.steps) == (recipe.guidance, 7)
    assert pipe.recipes("a boat", steps=3, guidance=[])[0].steps == 3


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"steps": 0}, "sfumato.json: steps is 0: give a whole number"),
        ({"stepz": 4}, "sfumato.json says stepz: read are guidance, sampler, times, steps"),
        ({"guidance": [{"kind": "nope"}]}, "unknown kind 'nope'"),
        ({"guidance": [{"kind": "auto", "model": "owner/name"}]}, "owner/name"),
        ([], "can't be read as JSON"),
    ],
)
def test_what_is_not_understood_is_refused(folder, said, why: str) -> None:
    say(folder, said)
    for read in (capabilities_of, sfumato.load):
        with pytest.raises(BadInput, match=why):
            read(folder)
