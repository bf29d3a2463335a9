"""Studies that measure: their pictures are the pipe's, their figures the instruments', in parts that are kept."""

import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from sfumato import study
from sfumato.evaluate.metrics import Moments, frechet, recall
from sfumato.guide import ClassifierFree, ClassifierGuidance, StaticThreshold
from sfumato.network.classifier import Classifier
from sfumato.picture import BadInput
from sfumato.study import guidance_table, trilemma
from sfumato.study import measured_samples as m
from sfumato.study.measured_samples import SamplingSetup, StampedName
from sfumato.study.pictures import recipe_for
from sfumato.study.study import Model

NAMES = ("boat", "cat", "Tree")


@pytest.fixture(scope="module")
def model(pixel_model, tmp_path_factory):
    """A model of classes with a classifier of its own, which guides it, and one that reads features."""
    folder = tmp_path_factory.mktemp("classes") / "model"
    shutil.copytree(pixel_model(channels=1), folder)
    torch.manual_seed(0)
    small = {"channels": 1, "widths": (8, 16), "blocks": (1, 1), "groups": 4}
    Classifier(NAMES, noise={"kind": "squaredcos_cap_v2"}, **small).save(folder / "classifier")
    Classifier(NAMES, **small).save(folder / "features")
    return folder


@pytest.fixture(scope="module")
def true(tmp_path_factory):
    path = tmp_path_factory.mktemp("true") / "pictures.npz"
    pictures = np.random.default_rng(0).integers(0, 256, (24, 16, 16), dtype=np.uint8)
    np.savez(path, x=pictures)
    return path


def silent(done, total):
    pass


TINY = {
    "guidance-table": ["count=20", "true=24", "scales=[2]", "steps=2", "ws=[0, 1]", "counts=[1, 2]", "resamples=3"],
    "trilemma": ["count=20", "true=24", "samplers=[ddim, heun]", "counts=[1, 2]", "resamples=3"],
}


@pytest.mark.parametrize("name", TINY)
def test_runs_from_end_to_end_and_again_without_work(tmp_path, model, true, name, monkeypatch):
    settings = [*TINY[name], f"against={true}:x"]
    page = study.run(name, model=str(model), out=tmp_path, settings=settings, progress=False)
    with open(tmp_path / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == {"guidance-table": 1 + 4 + 4, "trilemma": 1 + 4}[name]
    assert all(float(row["FID"]) >= 0 and float(row["FID low"]) <= float(row["FID"]) for row in rows)
    assert {row["pictures"] for row in rows[1:]} == {"20"}
    assert f"by the features of {model}" in page.read_text()
    monkeypatch.setattr(m, "sample_images", None)
    study.run(name, model=str(model), out=tmp_path, settings=settings, progress=False)


def test_a_model_of_words_is_compared_with_the_built_in_world(tmp_path, tiny_model):
    settings = ["count=20", "true=24", "ws=[0, 1]", "counts=[1]", "resamples=2"]
    page = study.run("guidance-table", model=str(tiny_model), out=tmp_path, settings=settings, progress=False)
    assert "vignettes-features" in page.read_text()
    assert not (tmp_path / "classifier.png").exists()


@pytest.mark.parametrize(
    "setup",
    [
        SamplingSetup(steps=3),
        SamplingSetup(guidance_scale=3.0, steps=3),
        SamplingSetup(classifier_scale=5.0, steps=3, sampler="ddpm"),
    ],
)
def test_pictures_are_those_of_the_recipe(model, setup):
    """The same pixels as the pipe makes of a recipe that says the same."""
    pipe = Model.named(str(model)).load()
    guidance = [ClassifierFree(setup.guidance_scale)] if setup.guidance_scale != 1 else []
    if setup.classifier_scale:
        guidance.append(ClassifierGuidance(setup.classifier_scale, interval=m.CLASSIFIER_INTERVAL))
    plain = replace(
        recipe_for(pipe, 1.0, steps=setup.steps), sampler=setup.sampler, guidance=(*guidance, StaticThreshold(1.0))
    )
    recipes = [replace(plain, label=n % 3, seed=m.SEED + n) for n in range(4)]
    mine = m.sample_images(pipe, setup, range(4), pipe.stage.denoiser)
    theirs = np.stack([np.asarray(image) for image in pipe.run(recipes).images])
    assert np.array_equal(mine, theirs)


def test_untold_pictures_do_not_depend_on_their_class(model):
    """Without a word about classes pictures are the same whatever is asked for; a classifier tells them apart."""
    pipe = Model.named(str(model)).load()
    denoiser = pipe.stage.denoiser
    plain = m.sample_images(pipe, SamplingSetup(False, steps=2), range(3), denoiser)
    recipe = replace(recipe_for(pipe, 1.0, steps=2), sampler="ddim", guidance=(StaticThreshold(1.0),))
    null = pipe.run([replace(recipe, seed=m.SEED + n) for n in range(3)])
    assert np.array_equal(plain, np.stack([np.asarray(image) for image in null.images]))
    guided = m.sample_images(pipe, SamplingSetup(False, classifier_scale=50.0, steps=2), range(3), denoiser)
    assert not np.array_equal(plain, guided)


def test_rows_are_counted(model):
    read = StampedName.named(str(model / "features"))
    arguments = {"model": Model.named(str(model)), "read": read, "first": 0, "count": 4}
    assert float(m.sample_and_read(silent, setup=SamplingSetup(steps=3), **arguments)["rows"]) == 3
    assert float(m.sample_and_read(silent, setup=SamplingSetup(guidance_scale=2.0, steps=3), **arguments)["rows"]) == 6
    assert float(m.sample_and_read(silent, setup=SamplingSetup(sampler="heun", steps=3), **arguments)["rows"]) == 5


def test_parts_make_one_set(model):
    """Pictures made in two cells and in one are the same, and so are their figures."""
    setup, source, read = SamplingSetup(steps=1), Model.named(str(model)), StampedName.named(str(model / "features"))
    whole = m.sample_and_read(silent, source, read, setup, 0, 20, batch=20)
    halves = [m.sample_and_read(silent, source, read, setup, first, 10, batch=20) for first in (0, 10)]
    draw = np.random.default_rng(1).normal
    true = {kind: draw(size=(30, rows.shape[1])) for kind, rows in whole.items() if kind.startswith("f.")}
    one = m.measured(silent, true, whole, resamples=4)
    two = m.measured(silent, true, *halves, resamples=4)
    assert one["fid"] == pytest.approx(two["fid"], rel=1e-4)
    rows = whole["f.pool"]
    assert one["fid"][0] == pytest.approx(frechet(Moments.of(rows), Moments.of(true["f.pool"])))
    assert one["recall"][0] == pytest.approx(float(recall(rows, true["f.pool"])[0]))
    assert int(two["count"]) == 20
    assert [cell.arguments["first"] for cell in m.parts("a", setup, source, read, 1200)] == [
        0,
        500,
        1000,
    ]


def test_absent_pictures_are_asked_for_in_a_sentence(model, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="--set against="):
        study.run("guidance-table", model=str(model), progress=False)
    with pytest.raises(BadInput, match="did you mean 'ddim'"):
        study.run("trilemma", model=str(model), settings=["samplers=[ddimm]"], progress=False)


def test_the_tables_have_the_rows_of_the_papers():
    rows = guidance_table.adm(guidance_table.GuidanceSettings(scales=(1.0, 10.0)))
    assert [(setup.conditional, setup.classifier_scale) for setup in rows.values()] == [
        (False, 0), (False, 1), (False, 10), (True, 0), (True, 1), (True, 10)
    ]  # fmt: skip
    strengths = guidance_table.cfg(guidance_table.GuidanceSettings())
    assert len(strengths) == 14 * 3
    assert strengths["w = 0.3, 8 steps"] == SamplingSetup(guidance_scale=1.3, sampler="ddim", steps=8)


def test_a_sampler_that_fails_is_not_drawn():
    lines = {"a": [{"fid": np.array([f, f, f])} for f in (9.0, 1.0)], "b": [{"fid": np.array([11.0, 11.0, 11.0])}]}
    assert list(trilemma.working(lines)) == ["a"]
    lines["b"][0]["fid"][:] = 10.0
    assert list(trilemma.working(lines)) == ["a", "b"]
