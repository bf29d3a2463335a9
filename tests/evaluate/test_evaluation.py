from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from sfumato import evaluate
from sfumato.data import vignettes
from sfumato.evaluate import evaluation as e
from sfumato.evaluate.attribute_report import attribute_table, captioned_sheet, wrap
from sfumato.evaluate.judge import Judge
from sfumato.evaluate.questions import questions
from sfumato.picture import BadInput
from sfumato.space import Pixel

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from random_model import TINY, build

SETTINGS = {"count": 5, "seed": 1_000_003, "steps": 3, "guidance": 5.0, "sampler": "ddim"}


@dataclass
class Oracle:
    """A model that paints exactly what the caption says: it looks the scene up and draws it."""

    wrong: bool = False
    name: str = "oracle"
    size: tuple[int, int] = (64, 64)
    engine: str = "eager"
    precision: str = "float32"
    stages: tuple = (SimpleNamespace(space=Pixel()),)
    asked: list = field(default_factory=list)

    def run(self, recipes):
        known = {q.caption: q.scene for split in e.SPLITS for q in questions(5, SETTINGS["seed"], split)}
        self.asked += recipes
        scenes = [known[recipe.prompt] for recipe in recipes]
        if self.wrong:
            scenes = [s.with_attributes(style="oil" if s["style"] == "flat" else "flat") for s in scenes]
        return SimpleNamespace(images=[Image.fromarray(vignettes.draw(scene, 64).image) for scene in scenes])


@pytest.fixture(scope="module")
def judge() -> Judge:
    torch.manual_seed(3)
    return Judge(vignettes.ATTRIBUTES, channels=(8, 8, 16), blocks=(1, 1, 1)).eval()


def test_a_model_that_paints_the_truth_reaches_the_ceiling(judge: Judge):
    """Whatever the judge thinks: with an autoencoder that loses nothing, picture, ceiling and truth score alike."""
    oracle = Oracle()
    found = e.evaluate(oracle, judge, **SETTINGS, bar=False)  # pyright: ignore[reportArgumentType]
    for part in found.splits.values():
        assert part.scores == part.ceiling == part.truth
        assert len(part.images) == 5
    assert found.autoencoder.value > 100
    assert [recipe.seed for recipe in oracle.asked] == 2 * [SETTINGS["seed"] + i for i in range(5)]
    assert {(r.steps, r.sampler.kind, r.guidance[0].scale) for r in oracle.asked} == {(3, "ddim", 5.0)}


def test_a_sampler_is_named_with_its_options(judge: Judge):
    oracle = Oracle()
    e.evaluate(oracle, judge, **{**SETTINGS, "sampler": "ddim:eta=1"}, bar=False)  # pyright: ignore[reportArgumentType]
    assert {(r.sampler.kind, r.sampler.eta) for r in oracle.asked} == {("ddim", 1.0)}


def test_another_picture_is_judged_otherwise(judge: Judge):
    right, wrong = (e.evaluate(Oracle(w), judge, **SETTINGS, bar=False) for w in (False, True))  # pyright: ignore[reportArgumentType]
    assert any(
        a != b
        for split in e.SPLITS
        for a, b in zip(right.splits[split].images, wrong.splits[split].images, strict=True)
    )
    assert wrong.splits["seen"].ceiling == right.splits["seen"].ceiling


def test_the_sheet_shows_what_is_missing(judge: Judge):
    part = e.evaluate(Oracle(), judge, **SETTINGS, bar=False).splits["seen"]  # pyright: ignore[reportArgumentType]
    page = captioned_sheet(part, count=4, columns=2, side=64)
    assert page.width == 2 * 74 + 10
    colours = page.getcolors(1 << 20) or []
    assert any(colour == (178, 34, 34) for _, colour in colours), "an untrained judge misses something, said in red"


def test_lines_are_broken_between_words():
    font = SimpleNamespace(getlength=len)
    assert wrap("a red boat on the sea", font, 10) == ["a red boat", "on the sea"]
    assert wrap("unbreakably long", font, 5) == ["unbreakably", "long"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("tiny"), shape=TINY)


def test_run_tells_writes_and_returns_one_report(model: Path, judge: Judge, tmp_path: Path, capsys):
    judge.save(tmp_path / "judge")
    options = {"count": 3, "steps": 2, "judge": tmp_path / "judge", "out": tmp_path / "out", "progress": False}
    found = evaluate.run(str(model), **options)
    assert "all stated" in capsys.readouterr().out
    assert found == {**json.loads((tmp_path / "out" / "report.json").read_text())}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.json", "seen.png", "held-out.png"}
    for split in ("seen", "held-out"):
        assert found["splits"][split]["captions"]["total"] == 3
    assert found["splits"]["seen"]["pairs"]["value"] is None
    assert found["splits"]["held-out"]["pairs"]["total"] >= 3
    evaluate.run(str(model), **{**options, "out": None}, json=True)
    again = json.loads(capsys.readouterr().out)
    assert {**again, "seconds": 0} == {**found, "seconds": 0}, "the same seed gives the same figures"


def test_bad_input_is_refused(model: Path, judge: Judge, tmp_path: Path):
    judge.save(tmp_path / "judge")
    options = {"judge": tmp_path / "judge", "progress": False}
    with pytest.raises(BadInput, match="count"):
        evaluate.run(str(model), count=0, **options)
    with pytest.raises(BadInput, match="sampler"):
        evaluate.run(str(model), count=1, sampler="best", **options)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="can't be written"):
        evaluate.run(str(model), count=1, steps=1, out=tmp_path / "file" / "deeper", **options)
    with pytest.raises(BadInput, match="judge"):
        evaluate.run(str(model), count=1, judge=tmp_path / "nowhere")


def test_the_table_has_a_row_for_each_attribute(judge: Judge):
    view = attribute_table(e.evaluate(Oracle(), judge, **SETTINGS, bar=False))  # pyright: ignore[reportArgumentType]
    assert view.row_count == len(vignettes.ATTRIBUTES) + 4
    assert len(view.columns) == 5
