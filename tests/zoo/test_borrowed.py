"""Built-in models that borrow parts of others are whole wherever they are asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sfumato
import sfumato.zoo
from sfumato.formats.folder import parts_of
from sfumato.model.networks import autoencoder_of
from sfumato.picture import BadInput
from sfumato.train.encodings import part
from sfumato.zoo import INDEX, ZOO, built_ins, place, shelves
from sfumato.zoo.borrowed import BORROWED, whole
from sfumato.zoo.files import stamp
from sfumato.zoo.find import find

LENT = [
    (name, json.loads((place(name) / BORROWED).read_text()))
    for name in built_ins()
    if (place(name) / BORROWED).exists()
]


@pytest.fixture
def models(tmp_path: Path, monkeypatch) -> Path:
    """two/ borrows a part of one/."""
    monkeypatch.setattr(sfumato.zoo, "shelves", lambda: [tmp_path])
    for name, parts in {"one": ("unet", "vae"), "two": ("unet",)}.items():
        for each in parts:
            (tmp_path / name / each).mkdir(parents=True)
            (tmp_path / name / each / "config.json").write_text(f'{{"of": "{name}"}}')
    (tmp_path / "two" / BORROWED).write_text('{"vae": "one"}')
    (tmp_path / "two" / INDEX).write_text("{}")
    return tmp_path


@pytest.mark.parametrize("links", [True, False])
def test_the_parts_are_beside_each_other_also_where_links_can_t_be_made(models, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "symlink", lambda *_: (_ for _ in ()).throw(OSError("not permitted")))
    folder = whole(models / "two")
    assert sorted(path.name for path in folder.iterdir()) == [INDEX, "unet", "vae"]
    assert [json.loads((folder / each / "config.json").read_text())["of"] for each in ("unet", "vae")] == ["two", "one"]
    assert folder.name == "two"
    assert whole(models / "one") == models / "one"


def test_a_change_of_a_borrowed_part_is_a_change_of_the_model(models):
    folder = whole(models / "two")
    before = stamp(folder)
    (models / "one" / "unet" / "config.json").write_text("{} ")
    assert stamp(folder) == before
    (models / "one" / "vae" / "config.json").write_text("{} ")
    assert stamp(folder) != before


@pytest.mark.parametrize(("name", "lent"), LENT, ids=[name for name, _ in LENT])
def test_a_built_in_model_has_every_part_that_its_index_names(name, lent):
    assert set(parts_of(find(name))) <= {path.name for path in find(name).iterdir()}
    for each, lender in lent.items():
        assert not (place(name) / each).exists()
        assert (find(name) / each).resolve() == place(lender) / each


def test_a_borrowed_part_is_named_where_it_lies_for_other_processes():
    assert part(Path("mini-inpaint"), "text_encoder", "").resolve() == ZOO / "mini" / "text_encoder"
    assert autoencoder_of("mini-inpaint") == place("mini") / "vae"
    assert sfumato.load("mini-inpaint", vae="mini-inpaint").vae == str(place("mini") / "vae")


def test_a_shelf_of_another_package_is_looked_on_too_and_named_where_it_is_missing(models, tmp_path, monkeypatch):
    other = tmp_path / "other" / "sfumato_zoo"
    (other / "three" / "unet").mkdir(parents=True)
    (other / "three" / INDEX).write_text("{}")
    (other / "three" / BORROWED).write_text('{"vae": "one"}')
    monkeypatch.setattr(sfumato.zoo, "shelves", lambda: [models, other])
    assert built_ins() == ["three", "two"]
    assert (find("three") / "vae").resolve() == models / "one" / "vae"
    monkeypatch.setattr("sfumato.zoo.find.shelves", lambda: [models])
    monkeypatch.setattr(sfumato.zoo, "shelves", lambda: [models])
    with pytest.raises(BadInput, match=r"no model called 'three'.*come with pip install \"sfumato\[zoo\]\""):
        find("three")


def test_a_package_brings_models_by_an_entry_point(tmp_path):
    (tmp_path / "more_models" / "four").mkdir(parents=True)
    (tmp_path / "more_models" / "four" / INDEX).write_text("{}")
    about = tmp_path / "more_models-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: more-models\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[sfumato.zoo]\nmore = more_models\ngone = not_installed_at_all\nnor = not_installed.inside\n"
    )
    code = "import sfumato.zoo as zoo; print(zoo.place('four')); print('mini' in zoo.built_ins())"
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    said = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == [str(tmp_path / "more_models" / "four"), "True"]


@pytest.mark.parametrize("shelf", shelves(), ids=lambda shelf: shelf.parent.name)
def test_a_registry_takes_the_package(shelf):
    """At most 60 MB in the wheel, which is smaller than its files are."""
    files = [path for path in shelf.parent.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 60e6
