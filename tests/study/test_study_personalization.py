"""The study of personalization: its subjects, and that it runs and is not done twice."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from sfumato import study
from sfumato.data import vignettes
from sfumato.data.subjects import PATTERNS, unseen_subject
from sfumato.element.name_and_options import name_and_options
from sfumato.picture import BadInput
from sfumato.study.personalization import RATES, WAYS, PersonalizationSettings, _rates, cells
from sfumato.study.study import Model
from sfumato.train.method import METHODS


def kept(folder):
    return {path.name: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}


def test_subjects_are_the_same_for_a_number_and_keep_their_clothes():
    subject = unseen_subject(3)
    pictures = subject.pictures(3)
    assert np.array_equal(pictures, unseen_subject(3).pictures(3))
    assert np.array_equal(pictures[1:], subject.pictures(2, skip=1))
    for picture in pictures:
        for colour in (*subject.colours, subject.paint):
            assert (picture == colour).all(-1).any()
    assert not np.array_equal(pictures[0], pictures[1])
    plain = vignettes.draw(next(subject._scenes()), 64, truth=False).image
    assert not any((plain == colour).all(-1).any() for colour in subject.colours)
    assert {unseen_subject(n).pattern for n in range(8)} == set(PATTERNS)
    assert {unseen_subject(n).kind for n in range(8)} == {"woman", "man"}


def test_it_tells_of_every_method_that_there_is():
    assert RATES.keys() == METHODS.keys()
    assert {name_and_options(way)[0] for way in WAYS} == set(METHODS)


def test_a_way_with_options_is_trained_at_its_methods_rate():
    assert _rates("lora:dora=true", "mini") == _rates("lora", "mini")
    with pytest.raises(BadInput, match="no method lora2"):
        cells(PersonalizationSettings(methods=("lora2:dora=true",)), Model("mini", "0"))


@pytest.mark.slow
def test_it_runs_from_end_to_end_and_again_without_work(tiny_model, tmp_path, monkeypatch, few_steps):
    monkeypatch.chdir(tmp_path)
    settings = ["subjects=2", "shots=2", "held=2", "steps=2", "batch=2", "each=1", "methods=[lora,textual-inversion]"]
    page = study.run("personalization", out=tmp_path / "out", settings=settings, model=str(tiny_model), progress=False)
    with open(tmp_path / "out" / "table.csv", newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"lora", "textual-inversion"}
    assert float(rows["lora"]["bytes"]) > float(rows["textual-inversion"]["bytes"])
    assert float(rows["textual-inversion"]["parameters"]) == 64
    text = page.read_text()
    assert "of the way from the class to the subject" in text
    assert "The thesis expects lora &gt; textual-inversion in fidelity" in text
    assert float(rows["lora"]["learnt low"]) <= float(rows["lora"]["learnt"]) <= float(rows["lora"]["learnt high"])
    assert 0 < float(rows["lora"]["kept"]) <= 1 + 1e-6
    assert float(rows["textual-inversion"]["kept"]) == pytest.approx(1, abs=1e-3), "a word changes no other words"
    assert rows["lora"]["base before"] == rows["textual-inversion"]["base before"]
    before = kept(tmp_path / "out")
    study.run("personalization", out=tmp_path / "out", settings=settings, model=str(tiny_model), progress=False)
    assert kept(tmp_path / "out") == before


def test_ones_own_pictures_are_the_subject(tmp_path):
    """One subject, called and classed as said, under a hash of what its files hold; elsewhere than on the built-in
    models the thesis' rates."""
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (40, 30), (200, 30, 40)).save(photos / "a.png")

    def asked(**more):
        s = PersonalizationSettings(photos=str(photos), word="zwx cup", methods=("lora", "dreambooth"), **more)
        return [cell.arguments["subject"] for cell in cells(s, Model("mini", "0"))[1:]]

    first, second = asked(kind="cup")
    assert first == second
    assert (first["word"], first["kind"], first["photos"]) == ("zwx cup", "cup", str(photos))
    Image.new("RGB", (40, 30), (20, 30, 40)).save(photos / "a.png")
    assert asked(kind="cup")[0]["hash"] != first["hash"]
    with pytest.raises(BadInput, match="say what they show one of, as --set kind=woman"):
        asked()
    assert _rates("lora", "mini") == {"optimizer.lr": RATES["lora"]}
    assert _rates("lora", "sd15") == {"optimizer.lr": 1e-4, "optimizer.schedule": "cosine"}
    assert _rates("textual-inversion", "sd15") == {"optimizer.lr": 5e-4, "optimizer.schedule": "constant"}


def test_wrong_settings_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(BadInput, match="There is no method lorra"):
        study.run("personalization", out=tmp_path, settings=["methods=[lorra]"])
