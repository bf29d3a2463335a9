"""A stranger's method is one file: each file of docs/extending.md, used by its name from everywhere, and forgotten."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

import sfumato
from sfumato.cli.app import run_command
from sfumato.control import Control, ControlMap
from sfumato.data.dataset import DATA
from sfumato.edit import BoundHold, Composite, Hold, Start
from sfumato.element import Element, element
from sfumato.element.define import kinds_in
from sfumato.evaluate.metric import METRICS
from sfumato.formats import FORMATS
from sfumato.guide import ClassifierFree, Guidance
from sfumato.picture import BadInput
from sfumato.provenance import redo
from sfumato.recipe import Recipe, StageOptions
from sfumato.sample import DDIM, Sampler
from sfumato.study import STUDIES
from sfumato.train.method import METHODS
from sfumato.train.task import TASKS

ROOT = Path(__file__).parents[1]
FILES = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", (ROOT / "docs" / "extending.md").read_text(), re.DOTALL))
NAMES = {
    "my_sampler": (Sampler.registry, "two-looks"),
    "my_guidance": (Guidance.registry, "rescaled"),
    "my_start": (Start.registry, "blurred"),
    "my_hold": (Hold.registry, "mean-colour"),
    "my_control": (Control.registry, "lightness"),
    "my_map": (ControlMap.registry, "posterized"),
    "my_composite": (Composite.registry, "hard"),
    "my_format": (FORMATS, "mine"),
    "my_metric": (METRICS, "mean-error"),
    "my_study": (STUDIES, "circle"),
    "my_task": (TASKS, "line"),
    "my_data": (DATA, "discs"),
    "my_method": (METHODS, "bitfit"),
}


def taking() -> list[Any]:
    """Every field of an element that takes elements of a kind: the element, the field, the kind."""
    kinds = [base for base in Element.__subclasses__() if "registry" in vars(base) and list(base.registry)]
    makes = [made for base in kinds for made in base.registry.classes.values()]
    return [
        pytest.param(made, name, base, id=f"{made.__name__}-{name}")
        for made in (*makes, Recipe, StageOptions)
        for name, field in made.__pydantic_fields__.items()
        for base in kinds_in(field.annotation)
    ]


@pytest.mark.parametrize(("made", "field", "base"), taking())
def test_what_is_registered_later_is_taken_everywhere(made: Any, field: str, base: Any) -> None:
    def known() -> bool:
        """Whether the field takes the new kind, in a list or alone."""
        wrong = set()
        for value in ({"kind": "registered-later"}, [{"kind": "registered-later"}]):
            try:
                made.__pydantic_validator__.validate_json(json.dumps({field: value}))
            except ValidationError as error:
                wrong |= {each["type"] for each in error.errors() if each["loc"][0] == field}
        return "union_tag_invalid" not in wrong

    assert not known()
    element("registered-later")(type("RegisteredLater", (next(iter(base.registry.classes.values())),), {}))
    try:
        assert known()
    finally:
        base.registry.remove("registered-later")
    assert not known()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    y, x = np.mgrid[:32, :32]
    Image.fromarray(np.stack([x * 8, y * 8, (x + y) * 4], -1).astype(np.uint8)).save("sketch.png")
    mask = np.zeros((32, 32), np.uint8)
    mask[8:24, 8:16], mask[8:24, 16:24] = 255, 140
    Image.fromarray(mask).save("mask.png")
    return tmp_path


@pytest.fixture
def stranger(place: Path):
    """stranger("my_sampler"): the module of that file of the page, whose method is taken out again at the end."""
    had = []

    def load(name: str) -> Any:
        (place / f"{name}.py").write_text(FILES[name])
        importlib.invalidate_caches()
        had.append(name)
        return importlib.import_module(name)

    yield load
    for name in had:
        registry, known = NAMES[name]
        if known in registry:
            registry.remove(known)
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def pipe(tiny_model: Path) -> sfumato.Pipe:
    return sfumato.load(tiny_model)


def command(capfd, *arguments: object, status: int = 0) -> str:
    """What a command says on stderr."""
    capfd.readouterr()
    done = run_command([str(argument) for argument in arguments])
    said = capfd.readouterr().err
    assert done == status, said
    return said


def test_the_page_has_a_file_for_every_kind_of_thing():
    assert FILES.keys() == NAMES.keys()
    for name, text in FILES.items():
        assert len(text.splitlines()) <= 42, name


# what is said in Python (made of the stranger's class), and on the command line
ELEMENTS = {
    "my_sampler": ("sampler", lambda m: m.TwoLooks(0.4), ["generate", "a boat", "--sampler", "two-looks:where=0.4"]),
    "my_guidance": (
        "guidance",
        lambda m: (ClassifierFree(9.0), m.Rescaled(0.5)),
        ["generate", "a boat", "--guide", "cfg:scale=9", "--guide", "rescaled:amount=0.5"],
    ),
    "my_start": (
        "start",
        lambda m: m.Blurred("sketch.png", 0.5, 2.0),
        ["edit", "sketch.png", "a boat", "--start", "blurred:radius=2", "--strength", "0.5"],
    ),
    "my_hold": (
        "hold",
        lambda m: m.MeanColour(0.2),
        ["edit", "sketch.png", "a boat", "--hold", "mean-colour:until=0.2"],
    ),
    "my_control": (
        "controls",
        lambda m: (m.Lightness("sketch.png", 2.0),),
        ["generate", "a boat", "--control", "lightness:picture=sketch.png,weight=2"],
    ),
    "my_composite": (
        "composite",
        lambda m: m.HardEdge(200),
        ["edit", "sketch.png", "a boat", "--mask", "mask.png", "--composite", "hard:level=200"],
    ),
}


@pytest.mark.parametrize("name", ELEMENTS)
def test_an_element_is_used_by_name_everywhere_and_unknown_when_removed(name, stranger, pipe, tiny_model, place, capfd):
    field, made, words = ELEMENTS[name]
    registry, known = NAMES[name]
    line = [*words, "--model", tiny_model, "--seed", 3, "--steps", 3, "-o", "out.png"]
    assert known in command(capfd, *line, status=2)  # before it is there, its name is refused
    value = made(stranger(name))

    command(capfd, *line)
    recipe = sfumato.provenance.recipe_in("out.png")
    assert getattr(recipe, field) == value
    text = recipe.to_json()
    assert known in text
    assert sfumato.Recipe.from_json(text) == recipe

    here = pipe.run(replace(recipe, made=None))  # the same in Python
    assert here.image.tobytes() == Image.open("out.png").tobytes()
    plain = {"sampler": DDIM(), "guidance": (ClassifierFree(9.0),), "hold": None, "controls": (), "composite": "paste"}
    plain["start"] = sfumato.SDEdit("sketch.png", 0.5)
    assert pipe.run(replace(recipe, made=None, **{field: plain[field]})).image.tobytes() != here.image.tobytes()
    assert redo("out.png").identical
    command(capfd, "inspect", "out.png")

    with pytest.raises(BadInput, match="steps is 0"):
        sfumato.Recipe(steps=0)
    registry.remove(known)
    with pytest.raises(BadInput, match=f"{field}.* is of the unknown kind '{known}'") as caught:
        sfumato.Recipe.from_json(text)
    assert "\n" not in str(caught.value)
    assert f"{known!r} is unknown" in command(capfd, *line, status=2)
    assert known in command(capfd, "redo", "out.png", status=2)


def test_the_stranger_s_sampler_has_order_two(stranger):
    sampler = stranger("my_sampler").TwoLooks()
    from sfumato.condition import Condition
    from sfumato.denoise import Gaussian, bind
    from sfumato.noise import KeyedNoise
    from sfumato.sample import trajectory
    from sfumato.schedule import Cosine

    exact = Gaussian(Cosine(), torch.tensor([0.5, -1.0], dtype=torch.float64), 0.3)
    x = torch.tensor([[0.7, 0.4]], dtype=torch.float64)

    def error(steps: int) -> float:
        times = torch.linspace(0.9, 0.1, steps + 1, dtype=torch.float64)
        *_, last = trajectory(bind(exact, Condition.empty(1)), sampler, x, times, KeyedNoise([0]))
        return float((last.x - exact.flow(x, 0.9, 0.1)).abs().max())

    assert 3.3 < error(20) / error(40) < 4.7


def test_what_the_stranger_s_parts_promise(stranger, pipe, place):
    hold, composite, start = stranger("my_hold"), stranger("my_composite"), stranger("my_start")
    sketch = Image.open("sketch.png").convert("RGB")
    still = pipe("a boat", start=start.Blurred("sketch.png", 0.0, 0.0), steps=2, composite="none").image
    assert still.tobytes() == pipe("a boat", start=sfumato.SDEdit("sketch.png", 0.0), composite="none").image.tobytes()
    held = pipe("a boat", hold=hold.MeanColour(picture="sketch.png"), steps=2, composite="none")
    assert held.image.tobytes() != pipe("a boat", steps=2).image.tobytes()
    sharp = pipe("a boat", start=sfumato.SDEdit("sketch.png", 1.0), hold=sfumato.Outside("mask.png"),
                 composite=composite.HardEdge(200), steps=2).image  # fmt: skip
    same = (np.asarray(sharp) == np.asarray(sketch)).all(-1)
    white = np.asarray(Image.open("mask.png")) >= 200
    assert same[~white].all()
    assert not same[white].all()


def test_a_format_and_a_module_of_one_s_own(stranger, place, capfd):
    folder = place / "net"
    folder.mkdir()
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "MyPipeline"}))
    assert "no known family" in command(capfd, "generate", "--model", folder, "-o", "a.png", status=2)
    mine = stranger("my_format")
    torch.manual_seed(0)
    torch.save(mine.Net().state_dict(), folder / "net.pt")
    command(capfd, "generate", "--model", folder, "--steps", 3, "--seed", 1, "-o", "a.png")
    pipe = sfumato.load(folder)
    assert pipe(steps=3, seed=1).image.tobytes() == Image.open("a.png").tobytes()
    assert redo("a.png").identical
    edited = pipe(start=sfumato.SDEdit("sketch.png", 0.5), hold=sfumato.Outside("mask.png"), sampler="heun", steps=3)
    assert edited.image.size == (32, 32)
    FORMATS.remove("mine")
    with pytest.raises(BadInput, match="of no known family"):
        sfumato.load(folder)


def test_a_control_map(stranger, place, capfd):
    line = ["control", "sketch.png", "--as", "posterized:levels=3", "-o", "map.png"]
    assert "'posterized' is unknown" in command(capfd, *line, status=2)
    mine = stranger("my_map")
    command(capfd, *line)
    assert set(np.unique(np.asarray(Image.open("map.png")))) == {0, 127, 255}
    shown = sfumato.control.ControlNet("sketch.png", "net", map="posterized")
    assert shown.map == mine.Posterized()
    text = sfumato.Recipe(controls=(shown,)).to_json()
    assert sfumato.Recipe.from_json(text).controls == (shown,)
    ControlMap.registry.remove("posterized")
    with pytest.raises(BadInput, match="of the unknown kind 'posterized'"):
        sfumato.Recipe.from_json(text)


def test_a_metric(stranger, place, capfd):
    for name, shift in (("a", 0), ("b", 51)):
        (place / name).mkdir()
        for i in range(5):
            Image.new("RGB", (16, 16), (shift, 0, 0)).save(place / name / f"{i}.png")
    line = ["evaluate", "--pictures", "a", "--against", "b", "--metrics", "mean-error", "--json"]
    assert "the metric 'mean-error' is unknown" in command(capfd, *line, status=2)
    stranger("my_metric")
    capfd.readouterr()
    assert run_command(line) == 0, capfd.readouterr().err
    (found,) = json.loads(capfd.readouterr().out)["metrics"]
    assert found["value"] == pytest.approx(51 / 255 / 3)
    METRICS.remove("mean-error")
    assert "the metric 'mean-error' is unknown" in command(capfd, *line, status=2)


def test_a_study(stranger, place, capfd):
    assert "circle" in command(capfd, "study", "circle", status=2)
    stranger("my_study")
    command(capfd, "study", "circle", "--set", "count=5")
    assert (place / "studies" / "circle" / "table.csv").read_text().startswith("last\n1")
    STUDIES.remove("circle")
    assert "'circle' is unknown" in command(capfd, "study", "circle", status=2)


def test_a_training_task(stranger, place, capfd):
    Path("mine.yaml").write_text("task: line\nslope: 3\nsteps: 2\nbatch: 4\nprecision: float32\nthreads: 1\n")
    assert "task must be one of" in command(capfd, "train", "mine.yaml", status=2)
    stranger("my_task")
    command(capfd, "train", "mine.yaml", "-o", "run")
    assert "slope" in json.loads(Path("run/figures.json").read_text())
    assert "did you mean 'slope'" in command(capfd, "train", "mine.yaml", "--set", "slop=2", status=2)
    TASKS.remove("line")
    assert "task must be one of" in command(capfd, "train", "mine.yaml", status=2)


def test_a_method_of_personalization(stranger, place, capfd, tiny_model):
    (place / "photos").mkdir()
    Path("photos/a.png").write_bytes(Path("sketch.png").read_bytes())
    line = ["personalize", "photos", "--as", "zwx", "--method", "bitfit", "--model", str(tiny_model), "--steps", "1"]
    line += ["--set", "size=32", "--set", "preview.each=1", "--set", "preview.steps=1", "--set", "threads=1"]
    assert "method.kind: must be one of" in command(capfd, *line, status=2)
    stranger("my_method")
    command(capfd, *line)
    file = place / "runs" / "bitfit" / "export" / "bitfit.safetensors"
    painted = ["generate", "a zwx", "--model", str(tiny_model), "--size", "32", "--steps", "1", "--seed", "1"]
    command(capfd, *painted, "--lora", str(file), "-o", "a.png")
    command(capfd, *painted, "-o", "b.png")
    assert Path("a.png").read_bytes() != Path("b.png").read_bytes()
    METHODS.remove("bitfit")
    assert "method.kind: must be one of" in command(capfd, *line, status=2)


def test_a_data_source(stranger, place, capfd):
    lines = ["task: classifier", "data: {kind: discs, count: 30}", "network: {channels: [8], blocks: [1]}"]
    lines += ["held_back: 8", "steps: 2", "batch: 4", "precision: float32", "threads: 1"]
    Path("mine.yaml").write_text("\n".join(lines))
    unknown = (
        "data.kind: must be one of 'arrays', 'folder', 'instructions', 'kohya', 'tars', 'vignettes' (given: 'discs')"
    )
    assert unknown in command(capfd, "train", "mine.yaml", status=2)
    stranger("my_data")
    command(capfd, "train", "mine.yaml", "-o", "run")
    assert "accuracy_t0" in json.loads(Path("run/figures.json").read_text())
    assert "kind: discs\n  size: 16\n  count: 30\n" in Path("run/recipe.yaml").read_text()
    assert "goes on" not in command(capfd, "train", "mine.yaml", "-o", "run")  # the same recipe, read back
    assert "did you mean 'count'" in command(capfd, "train", "mine.yaml", "--set", "data.counts=2", status=2)
    assert "data.count: input should be greater than 0" in command(
        capfd, "train", "mine.yaml", "--set", "data.count=0", status=2
    )
    DATA.remove("discs")
    assert unknown in command(capfd, "train", "mine.yaml", status=2)


class Own(Sampler):
    """Not registered, and not even an element: somebody's own code."""

    def step(self, denoise, x, t, s, state, noise):
        return DDIM().step(denoise, x, t, s, state, noise)


class Changed(DDIM):
    """A registered sampler, changed: no longer what its parent's name says."""

    def step(self, denoise, x, t, s, state, noise):
        x, state = super().step(denoise, x, t, s, state, noise)
        return x * 0.9, state


class OwnGuidance(Guidance):
    def combine(self, current, outs, x, t):
        return current.moved(x0=current.x0 * 0.9)


class OwnHold(Hold):
    def bind(self, batch, start):
        return BoundHold(lambda x, s, noise: x * 0.9)


OWN = {
    "sampler": (Own(), {}, "Own"),
    "changed": (Changed(), {}, "Changed"),
    "guidance": ([OwnGuidance()], {}, "OwnGuidance"),
    "hold": (OwnHold(), {"start": "sketch.png"}, "OwnHold"),
}


@pytest.mark.parametrize("field", OWN)
def test_an_instance_that_has_no_name_runs_and_is_refused_by_redo(field, pipe, place, capfd):
    value, more, name = OWN[field]
    equal, field = field == "sampler", "sampler" if field == "changed" else field
    more = {"start": sfumato.SDEdit(more["start"], 0.5)} if more else {}
    result = pipe("a boat", steps=2, **{field: value}, **more)
    if equal:
        assert result.image.tobytes() == pipe("a boat", steps=2, sampler=DDIM()).image.tobytes()
    said = json.loads(result.recipe.to_json())[field]
    assert (said[0] if field == "guidance" else said) == {"kind": "opaque", "name": name}
    result.save("own.png")
    for again in (lambda: redo("own.png"), lambda: sfumato.Recipe.from_json(result.recipe.to_json())):
        with pytest.raises(BadInput, match=f"{field}.* was {name}, code of somebody's own") as caught:
            again()
        assert "\n" not in str(caught.value)
    assert name in command(capfd, "redo", "own.png", status=2)


def test_a_plugin_is_found_and_one_that_fails_is_a_warning(place):
    (place / "my_sampler.py").write_text(FILES["my_sampler"])
    (place / "broken.py").write_text("raise RuntimeError('out of order')\n")
    about = place / "strangers-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[sfumato.plugins]\nbroken = broken\nmine = my_sampler\n")
    code = (
        f"import sys, warnings\nsys.path.insert(0, {str(place)!r})\nimport sfumato\n"
        "with warnings.catch_warnings(record=True) as told:\n"
        "    warnings.simplefilter('always')\n"
        "    recipe = sfumato.Recipe('a boat', sampler='two-looks')\n"
        "assert sfumato.Recipe.from_json(recipe.to_json()) == recipe\n"
        "assert 'torch' not in sys.modules\n"
        "print([str(each.message) for each in told])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['the plugin broken (broken) could not be loaded: out of order']"


def test_register_takes_what_has_a_registry_and_refuses_the_rest(stranger):
    assert sfumato.register(DDIM) is DDIM
    for thing, said in ((Own, "decorate it"), (3, "give a metric"), (METRICS["fid"], "give the metric's name")):
        with pytest.raises(BadInput, match=said):
            sfumato.register(thing)
    stranger("my_metric")
    with pytest.raises(ValueError, match="called 'mean-error' already"):
        sfumato.register(METRICS["mean-error"], "mean-error")
