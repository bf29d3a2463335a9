"""Adherence: floor, ours and ceiling of controls, and `sfumato evaluate --control`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sfumato.cli.app import run_command
from sfumato.control import ControlNet
from sfumato.control.maps import Canny, Depth
from sfumato.data import vignettes
from sfumato.evaluate.adherence import Drawn, fid_of, kind_of, measure_adherence, rows_of
from sfumato.evaluate.map_metrics import same_attributes as same
from sfumato.evaluate.model_samples import SampleSettings
from sfumato.picture import BadInput
from sfumato.recipe.written import controlled


@pytest.fixture(scope="module")
def fresh(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ControlNet as it is before its training: its zero convolutions are zero."""
    from diffusers import ControlNetModel, UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(tiny_model / "unet")
    torch.manual_seed(0)
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16))
    net.save_pretrained(place := tmp_path_factory.mktemp("fresh") / "net")
    return place


def test_a_network_that_was_never_trained_is_the_floor(fresh: Path, tiny_model: Path, tmp_path, capfd):
    asked = ["evaluate", tiny_model, "--control", f"canny:net={fresh},thick=20", "--count", 5, "--steps", 1]
    assert run_command([str(each) for each in asked]) == 2
    assert "'thick' is unknown: accepted are" in capfd.readouterr().err
    asked[3] = f"canny:net={fresh},low=20,high=60"
    line = [*asked, "--sampler", "ddim", "--weights", "0,1.5", "-o", tmp_path / "out", "--json"]
    assert run_command([str(each) for each in line]) == 0, capfd.readouterr().err
    report = json.loads(capfd.readouterr().out)
    assert [(row["map"], row["metric"]) for row in report["adherence"]] == [
        ("canny", "edge-f1"),
        ("canny", "edge-f1-2"),
    ]
    for row in report["adherence"]:
        assert row["floor"] == row["ours"] == row["x 0"] == row["x 1.5"]  # to the last digit: the pictures are the same
        assert row["estimator"]["value"] == 1  # Canny is its own truth
        assert row["floor"]["value"] < 1
        assert row["closed"] in (0, None)
    assert report["fid"]["floor"] == report["fid"]["ours"] > 0
    assert report == json.loads((tmp_path / "out" / "report.json").read_text())
    assert Image.open(tmp_path / "out" / "sheet.png").size == (6 * 134 + 6, 5 * 134 + 6)
    assert Image.open(tmp_path / "out" / "weights.png").width == 960


@dataclass
class Obedient:
    """A pipe that paints the true picture wherever it is shown a map, and nothing elsewhere."""

    true: dict[int, Image.Image]
    name: str = "obedient"
    size: tuple[int, int] = (32, 32)
    engine: str = "eager"
    precision: str = "float32"

    class capabilities:
        text = False

    @property
    def stages(self) -> Any:
        from sfumato.space import Pixel

        return [type("Stage", (), {"space": Pixel()})]

    def run(self, recipes: list[Any]) -> Any:
        blank = Image.new("RGB", self.size, "grey")
        images = [self.true[recipe.seed] if any(c.weight for c in recipe.controls) else blank for recipe in recipes]
        return type("Result", (), {"images": images})


def test_a_network_that_obeys_is_the_ceiling():
    scenes = [vignettes.scene(9, i) for i in range(6)]
    true = {9 + i: Drawn.of(scene, 32).picture for i, scene in enumerate(scenes)}
    makers = [controlled("canny:net=F"), controlled("t2i-adapter:map=softedge-classical,net=F,weight=0.5")]
    kinds = [maker(true[9]).map for maker in makers]
    sampling = SampleSettings(1, "ddim", 1.0, 9)
    found = measure_adherence(Obedient(true), makers, kinds, count=6, split="seen", sampling=sampling)  # type: ignore[arg-type]
    assert [row.map for row in found.rows] == ["canny", "canny", "softedge-classical", "softedge-classical"]
    for row in found.rows:
        assert row.closed == pytest.approx(1)
        assert row.figures["ours"] == row.figures["ceiling"] == row.figures["estimator"]
        assert row.figures["floor"].value < row.figures["ceiling"].value
    assert abs(found.fid["ours"]) < 1e-3 < found.fid["floor"]
    assert [len(row) for row in found.shown] == [5] * 6
    again = measure_adherence(
        Obedient(true),
        makers[:1],
        kinds[:1],
        count=6,
        split="seen",
        sampling=sampling,
        weights=(0, 0.5, 1.5),  # type: ignore[arg-type]
    )
    figures = again.rows[0].figures
    assert figures["x 0"] == figures["floor"] != figures["x 0.5"] == figures["x 1.5"] == figures["ours"]
    assert abs(again.fid["x 1.5"]) < 1e-3 < again.fid["x 0"]
    assert [len(row) for row in again.shown] == [7] * 6


def test_an_image_prompt_is_measured_by_what_its_picture_is_of():
    scenes = [vignettes.scene(9, i) for i in range(4)]
    drawn = [Drawn.of(scene, 64) for scene in scenes]
    pipe, asked = Obedient({9 + i: each.picture for i, each in enumerate(drawn)}, size=(64, 64)), []
    paint = pipe.run
    pipe.run = lambda recipes: (asked.extend(recipes), paint(recipes))[1]  # type: ignore[method-assign]
    pipe.capabilities = type("Wordy", (), {"text": True})  # type: ignore[assignment, misc]
    maker = controlled("ip-adapter:net=F,blocks=up.1")
    kind = kind_of(maker(drawn[0].picture))
    sampling = SampleSettings(1, "ddim", 1.0, 9)
    found = measure_adherence(pipe, [maker], [kind], count=4, split="seen", sampling=sampling)  # type: ignore[arg-type]
    rows = {row.metric: row.figures for row in found.rows}
    assert list(rows) == ["attributes", *(f"attribute-{name}" for name in vignettes.ATTRIBUTES)]
    assert rows["attributes"]["ours"] == rows["attributes"]["ceiling"] == rows["attributes"]["estimator"]
    assert rows["attributes"]["floor"].value < 0.5 < 0.9 < rows["attributes"]["ours"].value
    assert {recipe.prompt for recipe in asked} == {""}  # words would say what the picture is to say
    assert [bool(recipe.controls) for recipe in asked] == [False] * 4 + [True] * 4
    shown = [row[1] for row in found.shown]
    assert all(np.array_equal(np.asarray(a), b.vignette.image) for a, b in zip(shown, drawn, strict=True))
    of_all = np.array([scenes[0].attributes[name] for name in vignettes.ATTRIBUTES])
    there = int((of_all != "none").sum())
    assert same(of_all, of_all).tolist() == [there, there]
    other = np.where(np.arange(len(of_all)) == 0, "?", of_all)
    assert same(other, of_all).tolist() == [there - 1, there]
    assert same(other, of_all, ("subject",)).tolist() == [0, 1]


def test_what_is_read_is_compared_with_the_truth_that_was_shown():
    drawn = [Drawn.of(vignettes.scene(3, i), 48) for i in range(2)]
    truth = [Depth().truth(each) for each in drawn]
    assert np.allclose(truth[0], 1 - drawn[0].vignette.depth)
    rank, error = rows_of(Depth(), {"ours": truth, "floor": truth[::-1]}, truth)
    assert (rank.metric, error.metric) == ("depth-rank", "depth-error")
    assert rank.figures["ours"].value == pytest.approx(1)
    assert error.figures["ours"].value == pytest.approx(0, abs=1e-6)
    assert rank.figures["floor"].value < 1
    lines, contours = drawn[0].lines, drawn[0].contours
    assert contours.any()
    assert (lines | ~contours).all()  # every contour is a line
    assert np.isnan(fid_of([drawn[0].picture], [drawn[0].picture]))


def test_controls_as_they_are_written_for_an_evaluation():
    image = Image.new("RGB", (8, 8))
    assert controlled("depth:net=F,weight=0.8")(image) == ControlNet(image, "F", 0.8, map="depth")
    assert controlled("depth")(image) == ControlNet(image, map="depth")  # the model's built-in one
    assert controlled("controlnet:map=canny:low=1,net=F")(image).map == Canny(low=1)
    for text, said in (
        ("controlnet", "say what it is shown, as map=depth"),
        ("controlnet:net=F", "say what it is shown, as map=depth"),
        ("ip-adapter:net=F,map=depth", "'map' is unknown"),
        ("depht:net=F", "is unknown"),
    ):
        with pytest.raises(BadInput, match=said):
            controlled(text)(image)


def test_refusals(capfd):
    assert run_command(["evaluate", "mini", "--control", "depth:net=F", "--against", "vignettes"]) == 2
    assert "--control and --against are two evaluations" in capfd.readouterr().err
    assert run_command(["evaluate", "mini", "--control", "t2i-adapter:map=normal"]) == 2  # before anything is painted
    assert (
        "The model mini has no t2i_adapter/ of its own: name the folder of one in the control" in capfd.readouterr().err
    )
    assert run_command(["evaluate", "mini", "--weights", "0,1"]) == 2
    assert "--weights goes with --control" in capfd.readouterr().err
    assert run_command(["evaluate", "mini", "--control", "depth:net=F", "--weights", "much"]) == 2
    assert "--weights is 'much': give numbers from 0 to 10, as 0,0.5,1,1.5" in capfd.readouterr().err
    assert run_command(["evaluate", "mini", "--control", "depht:net=F"]) == 2
    assert "did you mean 'depth'" in capfd.readouterr().err
