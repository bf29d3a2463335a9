"""The study of personalization: its subjects, and that it runs and is not done twice."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from sfumato import study
from sfumato.data import vignettes
from sfumato.data.subjects import PATTERNS, unseen_subject
from sfumato.picture import BadInput
from sfumato.study.personalization import RATES
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


@pytest.mark.slow
def test_it_runs_from_end_to_end_and_again_without_work(tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = ["subjects=1", "shots=2", "held=2", "steps=2", "batch=2", "each=1", "methods=[lora,textual-inversion]"]
    page = study.run("personalization", out=tmp_path / "out", settings=settings, model=str(tiny_model), progress=False)
    with open(tmp_path / "out" / "table.csv", newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"lora", "textual-inversion"}
    assert float(rows["lora"]["bytes"]) > float(rows["textual-inversion"]["bytes"])
    assert float(rows["textual-inversion"]["parameters"]) == 64
    assert "of the way from the class to the subject" in page.read_text()
    before = kept(tmp_path / "out")
    study.run("personalization", out=tmp_path / "out", settings=settings, model=str(tiny_model), progress=False)
    assert kept(tmp_path / "out") == before


def test_wrong_settings_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(BadInput, match="There is no method lorra"):
        study.run("personalization", out=tmp_path, settings=["methods=[lorra]"])
