"""Fidelity to a subject: cosines with known answers, and a model that was taught what it is measured by."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import sfumato
from sfumato.adapt import Embedding
from sfumato.adapt.write import write_words
from sfumato.cli.app import run_command
from sfumato.evaluate.features.extractor import Extractor
from sfumato.evaluate.forgetting import forgetting
from sfumato.evaluate.subject_fidelity import alike, cosines, each_other, subject_fidelity
from sfumato.evaluate.subject_fidelity import photographs as shown
from sfumato.picture import BadInput

COLOURS = Extractor("colours", "mean colour", lambda x: {"pool": x.mean((2, 3)) + 1}, "0" * 16)
NAMED = {"red": [2.0, 1.0, 1.0], "green": [1.0, 2.0, 1.0]}


def test_cosines_have_known_answers():
    a = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    root = math.sqrt(0.5)
    assert cosines(a, a) == pytest.approx(np.array([[1, 0, root], [0, 1, root], [root, root, 1]]))
    assert alike(a[:1], a).value == pytest.approx((1 + root) / 3)
    assert each_other(a).value == pytest.approx((0 + root + root) / 3)
    assert each_other(np.repeat(a[:1], 4, 0)).value == pytest.approx(1)
    assert math.isnan(each_other(a[:1]).value)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        Image.new("RGB", (40, 30), (200 - 10 * i, 30, 40)).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def word(tiny_model, tmp_path):
    """A learned word that is far from all that the model knows."""
    table = sfumato.load(tiny_model).stage.networks["text_encoder"].get_input_embeddings().weight  # type: ignore[operator]
    path = tmp_path / "word.safetensors"
    write_words(path, "zwx", {"text_encoder": 30 * table[:2].detach()}, {})
    return path


def test_a_picture_that_cannot_be_read_is_left_out_as_in_training(photos, capsys):
    (photos / "broken.jpg").write_bytes(b"no picture")
    assert [each.size for each in shown(photos, (32, 32))] == [(32, 32)] * 3
    assert "left out: " in capsys.readouterr().err
    for path in photos.glob("?.png"):
        path.unlink()
    with pytest.raises(BadInput, match="broken"):
        shown(photos, (32, 32))


def test_what_was_taught_is_painted_and_the_class_is_not_touched_by_a_word(tiny_model, photos, word):
    pipe = sfumato.load(tiny_model)
    options = {"templates": ("a {}", "the {}"), "each": 2, "steps": 2, "guidance": 3.0}
    found = subject_fidelity(pipe, photos, "zwx", "boat", COLOURS, adapters=[Embedding(word)], **options)
    figures = found.figures
    assert figures["subject"].value != figures["floor"].value
    assert figures["prior"].value == pytest.approx(figures["floor"].value, abs=1e-3), "words change no other words"
    assert figures["diversity"].value == pytest.approx(figures["diversity before"].value, abs=1e-3)
    assert figures["nearest"].value >= figures["subject"].value
    assert figures["ceiling"].value > 0.99
    assert "prompt" not in figures
    with pytest.raises(BadInput, match="--class is missing"):
        subject_fidelity(pipe, photos, "zwx", "", COLOURS)


def test_the_command_prints_a_table_and_leaves_a_report(tiny_model, photos, word, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ["evaluate", str(tiny_model), "--subject", "photos", "--as", "zwx", "--class", "boat"]
    line += ["--count", "1", "--steps", "1"]
    assert run_command(line) == 2
    assert "Nothing was taught" in capsys.readouterr().err
    assert run_command([*line, "--embedding", str(word), "-o", "out"]) == 0
    assert "is it there" in capsys.readouterr().out
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {"subject", "floor", "ceiling", "prior"} <= told["figures"].keys()
    assert told["features"] == "vignettes-features"
    assert torch.isfinite(torch.tensor([each["value"] for each in told["figures"].values()])).all()


def test_what_is_forgotten_has_known_answers():
    """Features are the mean colour, texts are colours: one picture stays, and one turns to another."""
    reads = replace(COLOURS, words=lambda said: torch.tensor([NAMED[each] for each in said]))
    before = [Image.new("RGB", (8, 8), (255, 127, 127)), Image.new("RGB", (8, 8), (127, 255, 127))]
    after = [before[0], before[0]]
    found = forgetting(before, after, ["red", "green"], COLOURS, reads)
    a, b = np.array([2.0, 0.996, 0.996]), np.array([0.996, 2.0, 0.996])
    turned = a @ b / (a @ a)
    assert found["kept"].value == pytest.approx((1 + turned) / 2, abs=1e-3)
    assert found["base before"].value == pytest.approx(1, abs=1e-3)
    assert found["base"].value == pytest.approx((1 + turned) / 2, abs=1e-3)
    assert forgetting(before, before, ["red", "green"], COLOURS)["kept"].value == pytest.approx(1)
