"""Pictures against a reference: what must come out, what is kept, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as nf
from PIL import Image

from sfumato.condition import Condition
from sfumato.data import vignettes
from sfumato.denoise import GaussianMixture, Prediction, bind
from sfumato.evaluate import compare, feature_cache, model_samples
from sfumato.evaluate.features import features
from sfumato.evaluate.likelihood import variational_bound
from sfumato.evaluate.metric import METRICS, FeatureSets
from sfumato.evaluate.metrics import Moments, frechet
from sfumato.evaluate.pictures import Pictures
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput, read_metadata
from sfumato.recipe.capabilities import Capabilities
from sfumato.recipe.prompt import parse
from sfumato.schedule import VPLinear
from sfumato.space import Pixel
from sfumato.space.pixels import to_images
from sfumato.times import grid

SIZE = 32


@pytest.fixture(scope="module")
def drawn() -> torch.Tensor:
    """48 vignettes in [-1, 1]."""
    rows = [vignettes.draw(vignettes.scene(8, i), 64, truth=False).image for i in range(48)]
    return torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2).float() / 127.5 - 1


def save(images, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        image.save(folder / f"{i:03d}.png")
    return folder


@pytest.fixture(scope="module")
def folder(drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(to_images(nf.avg_pool2d(drawn[:24], 2)), tmp_path_factory.mktemp("sets") / "true")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, reference: Path | str, **options):
    given = {"features": ["vignettes-features"], "resamples": 4} | options
    return compare.compare_and_report(None, str(reference), folder=folder, **given)


def values(report) -> dict[str, float]:
    return {each["name"]: each["value"] for each in report["metrics"]}


def test_a_folder_against_itself(folder: Path, home: Path, capsys):
    report = run(folder, folder, out=home / "out")
    found = values(report)
    assert found["fid"] == pytest.approx(0, abs=1e-4)
    assert found["sfid"] == pytest.approx(0, abs=1e-3)
    assert found["precision"] == found["recall"] == found["coverage"] == 1
    assert (found["psnr"], found["ssim"]) == (120, pytest.approx(1))
    assert found["density"] >= 1
    assert {each["features"] for each in report["metrics"]} == {"vignettes-features", "pixels"}
    assert report["features"][0]["fingerprint"] == features("vignettes-features").fingerprint
    assert "vignettes-features" in capsys.readouterr().out
    assert json.loads((home / "out" / "report.json").read_text()) == report


def test_the_page_needs_nothing_else(folder: Path, home: Path):
    run(folder, folder, out=home / "out")
    text = (home / "out" / "report.html").read_text()
    assert text.count("data:image/png;base64,") == 3, "samples of both sets, and nearest neighbours"
    assert "<svg" in text
    assert "http" not in text.split("<body>")[1]
    assert "vignettes-features" in text
    assert "FID is far too high" in text, "24 pictures and 160 features"


def test_captions_are_asked_for_as_they_stand():
    stage = SimpleNamespace(capabilities=Capabilities(text=True))
    reference = Pictures("flags", 1, (8, 8), "0" * 16, lambda i: Image.new("RGB", (8, 8)), lambda i: "flag (red) [old]")
    asking = model_samples.SampleSettings(2, "ddim", 1.0, 0)
    say, _ = model_samples.conditions(SimpleNamespace(stage=stage, capabilities=stage.capabilities), asking, reference)
    assert parse(say(3)["prompt"]) == ((("flag (red) [old]", 1.0),),)


def test_nearest_neighbours_of_a_set_in_itself_are_its_own(folder: Path):
    made = compare.picture_set(str(folder), None, 100)
    rows = feature_cache.features_of(features("vignettes-features"), made, feature_cache.cache(), 8)
    sets = FeatureSets(rows, rows, np.ones((1, len(made))), lambda kind: Moments.of(rows[kind]))
    near = compare.nearest_of(sets)
    assert [row[0] for row in near] == list(range(8))
    assert {len(row) for row in near} == {5}


def distance(extract, made: torch.Tensor, true: Moments) -> float:
    return frechet(Moments.of(torch.cat([extract(part)["pool"] for part in made.split(32)]).numpy()), true)


def test_the_built_in_features_know_better_from_worse(drawn):
    """The further pictures are blurred or noised, and the more classes are missing, the larger the distance."""
    extract = features("vignettes-features")
    true = Moments.of(torch.cat([extract(part)["pool"] for part in drawn.split(32)]).numpy())

    def blurred(times: int) -> torch.Tensor:
        x = drawn
        for _ in range(times):
            x = nf.avg_pool2d(nf.pad(x, (1,) * 4, mode="replicate"), 3, 1)
        return x

    noise = torch.randn(drawn.shape, generator=torch.Generator().manual_seed(0))
    subjects = [vignettes.scene(8, i)["subject"] for i in range(48)]
    order = sorted(set(subjects), key=subjects.count)

    def without(count: int) -> torch.Tensor:
        return drawn[[i for i, subject in enumerate(subjects) if subject not in order[:count]]]

    ways: dict[str, list[torch.Tensor]] = {
        "blur": [blurred(n) for n in (1, 3)],
        "noise": [(drawn + s * noise).clamp(-1, 1) for s in (0.1, 0.4)],
        "missing": [without(n) for n in (5, len(order) - 1)],
    }
    for way, rows in ways.items():
        found = [0.0, *(distance(extract, x, true) for x in rows)]  # 0 of the pictures themselves
        assert found == sorted(found), (way, found)
        assert found[-1] > found[0] + 1


class Painter:
    """A model of pixels that paints vignette `seed`, and counts what it is asked for."""

    engine, precision, size, name = "eager", "float32", (SIZE, SIZE), "mini"

    def __init__(self, vocabulary: Capabilities, stop: int | None = None):
        denoiser = GaussianMixture(VPLinear(), torch.zeros(1, 1, 8, 8), 0.25)
        encode: Callable = lambda recipes: None  # noqa: E731
        self.capabilities = vocabulary
        self.stage = SimpleNamespace(capabilities=vocabulary, space=Pixel(), denoiser=denoiser, encode=encode)
        self.asked: list = []
        self.stop = stop

    def resolve(self, recipe):
        return self.stage.capabilities.fitted(recipe)

    def run(self, recipes):
        if self.stop is not None and len(self.asked) >= self.stop:
            raise KeyboardInterrupt
        self.asked += recipes
        images = [Image.fromarray(vignettes.draw(vignettes.scene(1, r.seed), SIZE, truth=False).image) for r in recipes]
        return SimpleNamespace(images=images, recipes=recipes)


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch):
    """What is painted is looked at, and not the page about it."""
    monkeypatch.setattr(compare, "write_comparison", lambda *_: None)

    def use(painter: Painter) -> Painter:
        monkeypatch.setattr(compare, "loaded", lambda model: painter)
        return painter

    return use


def paints(home: Path, **options):
    given = {"count": 12, "most": 8, "batch": 4, "seed": 3, "resamples": 0, "metrics": ["fid"], "out": home / "out"}
    return compare.compare_and_report("mini", "vignettes", **(given | options))


def test_a_model_is_told_the_reference_s_captions(painter, home: Path):
    model = painter(Painter(Capabilities(text=True)))
    report = paints(home)
    captions = [vignettes.scene(3, i, "seen").captions[0] for i in range(8)]
    assert [recipe.prompt for recipe in model.asked] == captions + captions[:4]
    assert [recipe.seed for recipe in model.asked] == [3 + i for i in range(12)]
    assert report["settings"]["conditions"] == model_samples.CAPTIONS
    assert report["against"] == {"name": "vignettes (world 3, seen)", "count": 8}
    assert "recipe" in read_metadata(model_samples.picture_path(home / "out", 0))


def test_classes_come_in_turn_or_one_alone(painter, home: Path):
    model = painter(Painter(Capabilities(text=False, classes=("cat", "dog", "eel"), none=3)))
    report = paints(home)
    assert [recipe.label for recipe in model.asked] == [0, 1, 2] * 4
    assert report["settings"]["conditions"] == model_samples.CLASSES
    model.asked.clear()
    paints(home, label="dog", out=home / "dogs")
    assert {recipe.label for recipe in model.asked} == {"dog"}
    with pytest.raises(BadInput, match="no class of this model"):
        paints(home, label="cow", out=home / "cows")


def test_a_stopped_run_goes_on_where_it_was(painter, home: Path):
    painter(Painter(Capabilities(text=True), stop=8))
    with pytest.raises(KeyboardInterrupt):
        paints(home)
    stamps = {path.name: path.stat().st_mtime_ns for path in (home / "out" / "pictures").iterdir()}
    assert len(stamps) == 8
    whole = painter(Painter(Capabilities(text=True)))
    first = paints(home)
    assert [recipe.seed for recipe in whole.asked] == [11, 12, 13, 14]
    assert all((home / "out" / "pictures" / name).stat().st_mtime_ns == at for name, at in stamps.items())
    again = painter(Painter(Capabilities(text=True), stop=0))
    assert values(paints(home)) == values(first), "nothing is painted twice"
    assert not again.asked


def test_pictures_of_other_settings_are_not_mixed(painter, home: Path):
    painter(Painter(Capabilities(text=True)))
    paints(home)
    for changed, what in (({"steps": 3}, "steps"), ({"guidance": 2.0}, "guidance"), ({"split": "any"}, "captions")):
        with pytest.raises(BadInput, match=rf"another evaluation \({what} differs\)"):
            paints(home, **changed)
    picture = model_samples.picture_path(home / "out", 0)
    whole = picture.read_bytes()
    picture.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"000000\.png"):
        paints(home)
    picture.write_bytes(whole)
    for damage in ("[", "[1]", ""):
        (home / "out" / model_samples.SETTINGS).write_text(damage)
        with pytest.raises(BadInput, match=r"settings\.json is damaged"):
            paints(home)
    (home / "out" / model_samples.SETTINGS).unlink()
    with pytest.raises(BadInput, match="without settings"):
        paints(home)


def test_features_of_a_reference_are_kept(folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch):
    first = run(folder, folder, out=home / "a")
    monkeypatch.setattr(compare.Pictures, "batch", lambda *_: pytest.fail("the pictures are read again"))
    again = run(folder, folder, out=home / "a", metrics=["fid", "kid", "recall"])
    assert values(again) == {name: values(first)[name] for name in ("fid", "kid", "recall")}
    assert list((home / "home" / "cache" / "features").glob("*/moments-pool.npz"))


def test_other_pictures_or_other_features_are_computed_anew(folder: Path, drawn, home: Path):
    first, second = (compare.picture_set(str(folder), size, 100) for size in (None, (16, 16)))
    extract = features("vignettes-features")
    rows = [feature_cache.features_of(extract, each, home / "kept", 8)["pool"] for each in (first, second)]
    assert not np.allclose(*rows)
    other = features("mini/image_encoder")
    assert len({feature_cache.key_of(e, each) for e in (extract, other) for each in (first, second)}) == 4
    assert feature_cache.features_of(other, first, home / "kept", 8)["pool"].shape == (24, 128)


def test_intervals_hold_the_figure_and_stay_where_the_measure_can_be(folder: Path, drawn, home: Path):
    other = save(to_images(nf.avg_pool2d(drawn[28:48], 2)), home / "other")
    report = run(other, folder, out=home / "out", resamples=20)
    assert len(report["metrics"]) == 8, "no pairs: the folders have other numbers of pictures"
    for each in report["metrics"]:
        low, high = METRICS[each["name"]].within
        assert low <= each["low"] <= each["value"] <= each["high"] <= high
        assert each["total"] == 20
    without = run(other, folder, out=home / "out", resamples=0)
    assert values(without) == values(report)
    assert {each["low"] for each in without["metrics"]} == {None}


def test_bits_are_the_bound_s(painter, home: Path, folder: Path):
    model = painter(Painter(Capabilities(text=False)))
    stage = model.stage
    stage.denoiser = GaussianMixture(VPLinear(), torch.zeros(1, 3, SIZE, SIZE), 0.25)
    stage.encode = lambda recipes: Condition.empty(len(recipes))
    report = compare.compare_and_report(
        "mini", str(folder), count=6, most=6, seed=3, steps=10, metrics=["bits-per-dim"], resamples=0,
        out=home / "out",
    )  # fmt: skip
    true = compare.picture_set(str(folder), (SIZE, SIZE), 6)
    denoise = bind(stage.denoiser, Condition.empty(6))
    noise = KeyedNoise([3 + i for i in range(6)])
    want = variational_bound(denoise, true.batch(range(6)), grid("uniform", 10, VPLinear()), noise).total
    assert values(report)["bits-per-dim"] == pytest.approx(float(want.mean()), rel=1e-9)
    assert report["metrics"][0]["features"] == "bound, 10 steps"
    assert 0 < float(want.mean()) < math.inf
    stage.space = SimpleNamespace(factor=4)
    with pytest.raises(BadInput, match="needs a model of pixels"):
        compare.compare_and_report(
            "mini", str(folder), count=6, most=6, seed=3, steps=10, metrics=["bits-per-dim"], resamples=0,
            out=home / "out",
        )  # fmt: skip


class Sure:
    """A Gaussian's exact denoiser that says its variance: beta tilde."""

    def __init__(self, data: GaussianMixture):
        self.data, self.schedule = data, data.schedule

    def __call__(self, x, t, condition):
        p = self.data(x, t, condition)
        return Prediction(p.x, p.x0, p.eps, p.alpha, p.sigma, fraction=torch.zeros_like(x))


def test_bits_are_those_of_the_variance_that_the_model_learned_on_levels(painter, home: Path):
    """A grey model that says its variance, on coloured pictures: the bound walks with that variance, and what is coded
    are the 256 levels of the luma, as Pillow rounds it to them."""
    model = painter(Painter(Capabilities(text=False)))
    stage = model.stage
    data = GaussianMixture(VPLinear(), torch.zeros(1, 1, SIZE, SIZE), 0.25)
    stage.space, stage.denoiser = Pixel(1), Sure(data)
    stage.encode = lambda recipes: Condition.empty(len(recipes))
    rng = np.random.default_rng(2)
    colours = [Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)) for _ in range(6)]
    folder = save(colours, home / "colours")
    report = compare.compare_and_report(
        "mini", str(folder), count=6, most=6, seed=3, steps=10, metrics=["bits-per-dim"], resamples=0,
        out=home / "out",
    )  # fmt: skip
    grey = np.stack([np.asarray(image, np.float64) @ [0.299, 0.587, 0.114] for image in colours])
    x0 = torch.from_numpy(np.round(grey)[:, None] / 127.5 - 1).float()
    denoise, noise = bind(data, Condition.empty(6)), KeyedNoise([3 + i for i in range(6)])
    bits = {
        variance: float(
            variational_bound(denoise, x0, grid("uniform", 10, VPLinear()), noise, variance=variance).total.mean()
        )
        for variance in ("small", "large")
    }
    assert values(report)["bits-per-dim"] == pytest.approx(bits["small"], rel=1e-6)
    assert abs(bits["small"] - bits["large"]) > 0.02


def test_a_damaged_cache_counts_as_nothing_and_is_named(folder: Path, home: Path, capfd, monkeypatch):
    """Of features and moments: what was changed or cut is said and made again, and the figures stay."""
    monkeypatch.setattr(compare, "write_comparison", lambda *_: None)
    options = {"out": home / "a", "metrics": ["fid"], "resamples": 0}
    first = values(run(folder, folder, **options))
    kept = home / "home" / "cache" / "features"
    files = sorted(path for path in kept.rglob("*") if path.name in ("pool.npy", "moments-pool.npz"))
    assert len(files) == 2
    for path in files:
        whole = path.read_bytes()
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 0x10]) + whole[middle + 1 :]
        for damage in (flipped, whole[:middle], b"", whole[:40]):
            path.write_bytes(damage)
            capfd.readouterr()
            assert values(run(folder, folder, **options)) == first
            said = capfd.readouterr().err
            assert "damaged" in said
            assert str(path.parent) in said
            assert path.read_bytes() == whole


def test_what_cannot_be_measured_is_said(folder: Path, home: Path):
    few = save(to_images(torch.zeros(3, 3, 16, 16)), home / "few")
    small = save(to_images(torch.zeros(6, 3, 8, 8)), home / "small")
    for options, said in {
        (folder, folder, "metrics", ("fud",)): "the metric .fud. is unknown",
        (folder, folder, "metrics", ("clip-score",)): "features that read words",
        (folder, folder, "metrics", ("bits-per-dim",)): "a model instead of --pictures",
        (folder, folder, "metrics", ("lpips",)): "LPIPS needs weights",
        (small, small, "metrics", ("ssim",)): "windows of 11 x 11",
        (folder, small, "metrics", ("psnr",)): "pairs",
        (few, folder, "metrics", ()): "at least 5",
        (folder, home / "nowhere", "metrics", ()): "There is no folder",
        (folder, folder, "features", ("resnet",)): "no features called",
        (folder, folder, "count", 2): "--count is 2",
        (folder, folder, "most", 2): "--reference is 2",
        (folder, folder, "batch", 0): "--batch is 0",
        (folder, folder, "resamples", -1): "--resamples is -1",
    }.items():
        made, true, name, value = options
        pairs_or_model = value in {("bits-per-dim",), ("lpips",), ("ssim",), ("psnr",)}
        with pytest.raises(BadInput, match=said) as refusal:
            run(made, true, **{"features": ()} if pairs_or_model else {}, **{name: value}, out=home / "out")
        assert "\n" not in str(refusal.value)


def test_the_usual_features_are_never_replaced(folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SFUMATO_INCEPTION", raising=False)
    with pytest.raises(BadInput, match="needs its weights"):
        run(folder, folder, features=(), out=home / "out")
    assert compare.extractors_of([], (), "vignettes")[0].name == "vignettes-features"


def test_pairs_need_no_features_and_no_number_of_pictures(folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SFUMATO_INCEPTION", raising=False)
    one, other = (save([Image.new("RGB", (16, 16), (level,) * 3)], home / str(level)) for level in (100, 151))
    report = run(one, other, features=(), metrics=("psnr", "ssim"), out=home / "out")
    assert values(report)["psnr"] == pytest.approx(20 * math.log10(255 / 51), abs=1e-4)
    assert (report["features"], report["pictures"]["count"]) == ([], 1)
    assert "Nearest" not in (home / "out" / "report.html").read_text()
    with pytest.raises(BadInput, match="at least 5"):
        run(one, other, metrics=("psnr", "fid"), out=home / "out")
    with pytest.raises(BadInput, match="psnr is taken of no features"):
        run(one, other, metrics=("psnr",), out=home / "out")
