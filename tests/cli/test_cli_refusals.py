"""Everything a user can do wrong: one sentence on stderr, nothing on stdout, exit 2, nothing written, no traceback."""

import io
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sfumato.picture import save_picture


def heavy() -> set[str]:
    return {"torch", "diffusers", "transformers", "skia"} & set(sys.modules)


def is_one_sentence(done, said: str) -> None:
    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines()[-1].startswith("sfumato: ")
    assert sum(line.startswith("sfumato: ") for line in done.err.splitlines()) == 1  # libtiff has words of its own
    assert "Traceback" not in done.err
    assert said in done.err


WRONG = [
    ("generate x --steps 0", "steps is 0: give a whole number from 1 to 1000"),
    ("generate x --steps many", "--steps"),
    ("generate x --stepps 3", "--steps"),
    ("generate x --sampler dpmp-2m", "did you mean 'dpmpp-2m'"),
    ("control sketch.png --as canny -o sketch.png", "sketch.png is also an input, which would be lost"),
    ("look-attention x --picture sketch.png -o sketch.png", "sketch.png is also an input, which would be lost"),
    ("generate x --control canny:picture=sketch.png -o ./sketch.png", "sketch.png is also an input, which would be"),
    ("generate x --region sketch.png:hat -o sketch.png", "sketch.png is also an input, which would be lost"),
    ("evaluate mini --split foo", "--split foo is unknown: accepted are seen, held-out, any"),
    ("evaluate mini -o sketch.png", "sketch.png is a file, and a folder is to be written there"),
    ("study swiss-roll -o sketch.png", "sketch.png is a file, and a folder is to be written there"),
    ("generate x --times karas", "did you mean 'karras'"),
    ("generate x --engine fast", "accepted are auto, compiled, eager, exact"),
    ("generate x --precision float12", "accepted are float32, bfloat16, float16, float8"),
    ("generate x --offload disk", "choose one of none, parts, layers"),
    ("generate x --device gpu", "There is no device called"),
    ("generate x --vae nowhere", "There is no autoencoder called"),
    ("generate x --tile 100", "tile is 100: give a multiple of 64"),
    ("generate x --guidance nan", "scale is nan"),
    ("generate (red:1000)", "gives 'red' the weight 1000: give weights from -100 to 100"),
    ("generate x --negative ((((red:50):50))", "gives 'red' the weight"),
    ("generate x --guide pga", "--guide 'pga' is unknown (did you mean 'pag'?)"),
    ("generate x --guide pag:scale=3 --guide apg:eat=1", "--guide apg: 'eat' is unknown (did you mean 'eta'?)"),
    ("edit sketch.png x --guide cfg:scale=many", "--guide cfg: scale is 'many': give a number"),
    ("generate x --sampler ddim:eta=2", "--sampler ddim: eta is 2.0: give a number from 0"),
    ("generate x --seed -1", "seed is -1"),
    ("generate x --seed 9223372036854775807 --count 2", "seed is 9223372036854775808"),
    ("generate x --count 0", "--count is 0"),
    ("generate x --count 1000000", "--count is 1000000"),
    ("generate x --size big", "--size 'big'"),
    ("generate x --size 102", "width is 102: give a multiple of 4"),
    ("generate x -o a.gif", ".png, .jpg, .jpeg or .webp"),
    ("generate x -o sketch.png/a.png", "not a folder"),
    ("generate x -o folder.png", "folder"),
    ("generate", "prompt"),
    ("genrate x", "generate"),
    ("edit sketch.png x --strength 1.5", "strength is 1.5: give a number from 0"),
    ("edit sketch.png x --start sdedit:strength=0.5 --strength 0.4", "strength is said beside it too: once is enough"),
    ("generate x --guidance 3 --guide cfg:scale=5", "the scale of the guidance classifier-free is given twice"),
    ("evaluate mini --lora x.safetensors", "--lora goes with --subject: say of which pictures"),
    ("evaluate mini --subject . --as x --class y --against z", "are two evaluations: leave one out"),
    ("edit sketch.png x --hold low-pass --composite poisson", "--composite poisson puts a part into the picture"),
    ("edit sketch.png x --composite poisson", "--composite poisson puts a part into the picture: give a --mask"),
    ("generate x --regional mixing", "--regional says how regions are painted, and there are none: give some"),
    ("edit none.png x", "none.png does not exist"),
    ("edit empty.png x", "empty.png is empty"),
    ("edit cut.png x", "cut.png is damaged or cut short"),
    ("edit cut.tif x", "cut.tif is damaged or cut short"),
    ("inspect cut.tif", "cut.tif is damaged or cut short"),
    ("edit . x", "folder"),
    ("edit huge.png x", "megapixels"),
    ("edit sketch.png x --mask small.png", "small.png is 8 x 8, but the picture is 32 x 32"),
    ("edit sketch.png x --mask clear.png", "transparent"),
    ("generate x --control canny:low=300,picture=sketch.png", "low is 300, above high, 200"),
    ("edit sketch.png x --composite glue", "accepted are decoder, latent, none, paste, poisson"),
    ("redo sketch.png", "holds no recipe"),
    ("redo none.png", "does not exist"),
    ("redo fake.png", "'stepps' is unknown in Recipe"),
    ("redo stranger.png", "neither built in nor a folder here"),
    ("inspect none.png", "does not exist"),
    ("inspect .", "model_index.json"),
    ("vignettes out --split sen", "did you mean 'seen'"),
    ("vignettes out --count 0", "--count is 0"),
    ("vignettes sketch.png", "is a file"),
    ("vignettes sheet.gif --grid", ".png, .jpg"),
    ("evaluate --steps 0", "steps is 0"),
    ("evaluate --count 0", "--count is 0"),
]


@pytest.fixture(scope="module")
def huge() -> bytes:
    """A PNG of 81 megapixels."""
    buffer = io.BytesIO()
    Image.new("1", (9000, 9000)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def files(home, sketch, huge):
    Image.new("L", (8, 8)).save(home / "small.png")
    Image.new("RGBA", (32, 32)).save(home / "clear.png")
    (home / "huge.png").write_bytes(huge)
    (home / "empty.png").touch()
    (home / "cut.png").write_bytes(sketch.read_bytes()[:-60])
    (home / "folder.png").mkdir()
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(buffer, "TIFF", compression="tiff_lzw")
    (home / "cut.tif").write_bytes(buffer.getvalue().replace(buffer.getvalue()[100:104], b"\xff\xff\xff\xff"))
    save_picture(Image.new("RGB", (8, 8)), home / "fake.png", recipe_json='{"stepps": 3}')
    save_picture(Image.new("RGB", (8, 8)), home / "stranger.png", recipe_json='{"model": "somebody/something"}')
    return sorted(home.rglob("*"))


@pytest.mark.parametrize(("command", "said"), WRONG)
def test_wrong_commands(cli, files, home, command, said):
    before = heavy()
    is_one_sentence(cli(*command.split()), said)
    knows = {"torch"} if "--device" in command else set()  # which devices there are
    assert heavy() - knows == before - knows, "refused only after something heavy was loaded"
    assert sorted(home.rglob("*")) == files


def test_a_prompt_of_ten_thousand_words(cli, home):
    is_one_sentence(cli("generate", "word " * 10_000), "prompt has 50,000 characters")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "said"), [WRONG[0], ("edit sketch.png x --strength 1.5", "strength"), ("redo fake.png", "stepps")]
)
def test_wrong_commands_in_a_process_of_their_own(process, files, command, said):
    is_one_sentence(process(*command.split()), said)


HELPS = """
import sys
sys.argv = ["sfumato"]
from sfumato.cli.app import run_command
for command in ([], *([name] for name in sys.stdin.read().split())):
    assert run_command([*command, "--help"]) == 0, command
heavy = {"torch", "diffusers", "transformers", "skia", "rich.progress"} & set(sys.modules)
assert not heavy, heavy
"""
COMMANDS = ["generate", "edit", "redo", "inspect", "models", "train", "vignettes", "evaluate"]


def test_help_of_every_command_loads_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-c", HELPS], input=" ".join(COMMANDS), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    for command in COMMANDS:
        assert f"sfumato {command} " in done.stdout


def test_help_names_what_the_recipe_accepts(cli):
    from sfumato.edit.palette import SEEN
    from sfumato.network.engine import Engine
    from sfumato.picture import WRITABLE
    from sfumato.recipe import written
    from sfumato.sample import Sampler
    from sfumato.times import TimeGrid

    shown = "".join(filter(lambda c: c not in " \n│", cli("edit", "--help").out))
    for names in (Sampler.registry, TimeGrid.registry, Engine.registry, SEEN, WRITABLE):
        assert f"{','.join(names)}" in shown
    for names in (written.holds(), written.starts(), written.inversions(), written.methods()):
        assert f"oneof{','.join(names)}" in shown
    wide = cli("edit", "--help").out
    assert "…" not in wide, "no example is cut"
    assert cli().status == 0
    assert "sfumato 0." in cli("--version").out


def test_an_unexpected_error_is_a_sentence_and_a_way_to_see_more(cli, monkeypatch):
    import sfumato.provenance

    def fail():
        raise RuntimeError("the\nsky fell")

    monkeypatch.setattr(sfumato.provenance, "known_models", fail)
    done = cli("models")
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "sfumato: unexpected RuntimeError: the?sky fell (run again with SFUMATO_DEBUG=1 to see where)\n"
    )
    monkeypatch.setenv("SFUMATO_DEBUG", "1")
    assert "Traceback" in cli("models").err


def test_a_broken_disk_anywhere_is_bad_input(cli, monkeypatch):
    import sfumato.provenance

    def fail():
        raise OSError(28, os.strerror(28), "some/file")

    monkeypatch.setattr(sfumato.provenance, "known_models", fail)
    is_one_sentence(cli("models"), f"some/file: {os.strerror(28)}")


def test_interruption_leaves_with_130(cli, monkeypatch):
    import sfumato.provenance

    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(sfumato.provenance, "known_models", interrupt)
    done = cli("models")
    assert (done.status, done.out) == (130, "")
    assert done.err == "sfumato: interrupted: nothing half-written is left behind\n"


def test_a_reader_that_leaves_hears_no_traceback():
    command = f"{sys.executable} -m sfumato --help | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


def test_full_disk(home, sketch):
    """`vignettes --grid` writes a picture larger than the limit on file sizes."""

    def limit():
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    command = [sys.executable, "-m", "sfumato", "vignettes", "sheet.png", "--grid", "--count", "4"]
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, preexec_fn=limit, env=env)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"sfumato: sheet.png can't be written: {os.strerror(27)}\n"
    assert [path.name for path in home.iterdir()] == ["sketch.png"]


def test_notes_are_said(cli, home, model):
    array = np.zeros((32, 32, 4), np.uint8)
    Image.fromarray(array).save(home / "clear.png")
    done = cli("edit", "clear.png", "x", "--strength", 0, "-o", "a.png", "--model", model)
    assert done.status == 0
    assert "sfumato: note: clear.png is partly transparent: it is laid on white\n" in done.err
