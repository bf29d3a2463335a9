"""Obedience: instructions with known answers, the floor, the truth, and `sfumato evaluate` of a model that obeys."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stock import instruct_pix2pix

from sfumato.cli.app import run_command
from sfumato.data.vignettes import instructions
from sfumato.evaluate.obedience import Case, scored


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [Case(instructions.edit(7, i), 64) for i in range(24)]


def test_a_case_says_what_changes_and_of_which_kind(cases):
    assert {case.kind for case in cases} == {"light", "style", "added", "removed", "another colour"}
    for case in cases:
        assert case.changed
        assert case.edit.before.with_attributes(**case.changed) == case.edit.after
        assert case.edit.everywhere == (case.kind in ("light", "style"))


def test_the_truth_does_all_that_was_asked_and_the_picture_before_does_nothing(cases):
    before, after = ([case.pictures[i] for case in cases] for i in range(2))
    truth = scored(cases, after, [case.edit.after.attributes for case in cases])
    floor = scored(cases, before, [case.edit.before.attributes for case in cases])
    assert (truth.asked.value, truth.others.value, truth.both.value, truth.apart.value) == (1, 1, 1, 0)
    assert (floor.asked.value, floor.others.value, floor.both.value, floor.apart.value) == (0, 1, 0, 0)
    local = sum(not case.edit.everywhere for case in cases)
    assert truth.apart.total == local < truth.asked.total == 24
    lighter = [Image.fromarray(np.asarray(picture) ^ 2) for picture in before]  # two levels off, everywhere
    spoiled = scored(cases, lighter, [case.edit.after.attributes | {"subject": "void"} for case in cases])
    assert (spoiled.asked.value, spoiled.others.value, spoiled.both.value) == (1, 0, 0)
    assert spoiled.apart.value == pytest.approx(2)


def test_the_command_asks_a_model_that_is_told_what_to_change(tmp_path: Path, capfd):
    instruct_pix2pix.build().save_pretrained(tmp_path / "model")
    line = ["evaluate", str(tmp_path / "model"), "--count", "3", "--steps", "1", "--sampler", "ddim", "--json"]
    assert run_command([*line, "-o", str(tmp_path / "out")]) == 0, capfd.readouterr().err
    report = json.loads(capfd.readouterr().out)
    assert set(report["parts"]) == {"floor", "ours", "ceiling", "truth"}
    assert report["parts"]["truth"]["apart"]["value"] == 0
    assert report["parts"]["floor"]["asked"]["value"] < report["parts"]["ours"]["apart"]["value"]
    assert sum(kind["total"] for kind in report["kinds"].values()) == 3
    assert report == json.loads((tmp_path / "out" / "report.json").read_text())
    assert Image.open(tmp_path / "out" / "sheet.png").width == 2 * (3 * 128 + 18) + 6
    assert run_command([*line[:-1], "--split", "held-out"]) == 0
    assert "instructions obeyed? 3 vignettes" in " ".join(capfd.readouterr().out.split())
    assert run_command(["evaluate", "mini", "--instructions", "--count", "1"]) == 2
    assert "mini looks at no picture while it paints" in capfd.readouterr().err
    assert run_command([*line, "--instructions", "--control", "canny:net=x"]) == 2
    assert "--instructions is an evaluation of its own" in capfd.readouterr().err
