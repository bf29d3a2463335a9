"""vignettes, models, train and evaluate: what the commands hand on."""

import json
from pathlib import Path

import numpy as np

from sfumato.picture import open_picture


def test_vignettes_are_written(cli, home):
    done = cli("vignettes", "world", "--count", 2, "--size", 32, "--seed", 3)
    assert (done.status, done.out) == (0, "world\n")
    lines = [json.loads(line) for line in (home / "world" / "metadata.jsonl").read_text().splitlines()]
    assert [line["file_name"] for line in lines] == ["000000.png", "000001.png"]
    assert (home / "world" / "depth" / "000001.png").exists()
    assert cli("vignettes", "bare", "--count", 1, "--size", 32, "--no-truth").status == 0
    assert sorted(path.name for path in (home / "bare").iterdir()) == ["000000.png", "metadata.jsonl"]


def test_a_grid_is_one_picture(cli, home):
    found = json.loads(
        cli("vignettes", "sheet.png", "--grid", "--count", 4, "--size", 32, "--columns", 2, "--json").out
    )
    assert found["path"] == "sheet.png"
    assert np.asarray(open_picture("sheet.png")).std() > 10
    assert [path.name for path in home.iterdir()] == ["sheet.png"]


def test_models_lists_built_in_ones_and_the_hub_s_cache(cli, home, model, monkeypatch):
    import huggingface_hub.constants

    import sfumato.zoo

    cache = home / "hub"
    snapshot = cache / "models--somebody--something" / "snapshots" / "abc"
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(model, target_is_directory=True)
    (cache / "models--no--pipeline").mkdir()
    zoo = home / "zoo"
    zoo.mkdir()
    (zoo / "tiny").symlink_to(model, target_is_directory=True)
    (zoo / "broken").mkdir()
    (zoo / "broken" / "model_index.json").write_text("{")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(sfumato.zoo, "shelves", lambda: [zoo])
    found = json.loads(cli("models", "--json").out)["models"]
    assert [(m["name"], m["origin"]) for m in found] == [
        ("broken", "built in"),
        ("tiny", "built in"),
        ("somebody/something", "from the Hub"),
    ]
    assert "model_index.json can't be read" in found[0]["error"]
    assert found[1]["parameters"] == sum(part["parameters"] for part in found[1]["parts"].values()) > 0
    assert [line.split()[0] for line in cli("models").out.splitlines()] == ["broken", "tiny", "somebody/something"]


def test_train_hands_on_its_options(cli, monkeypatch):
    import sfumato.train

    seen = {}
    monkeypatch.setattr(sfumato.train, "run", lambda path, **options: seen.update(path=path, **options))
    assert cli("train", "a.yaml", "--no-resume", "--dry-run", "--set", "a=1", "--set", "b.c=2", "-o", "run").status == 0
    assert seen == {
        "path": Path("a.yaml"), "out": Path("run"), "dry_run": True, "resume": False, "overrides": ["a=1", "b.c=2"]
    }  # fmt: skip


def test_train_refuses_a_recipe_that_is_not_there(cli):
    done = cli("train", "none.yaml")
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)


def test_evaluate_hands_on_its_options(cli, monkeypatch):
    import sfumato.evaluate

    seen = {}
    monkeypatch.setattr(
        sfumato.evaluate, "run", lambda model, **options: seen.update(model=model, **options), raising=False
    )
    assert cli("evaluate", "mini", "--count", 8, "--seed", 3, "--guidance", 2, "--json").status == 0
    given = {"model": "mini", "count": 8, "seed": 3, "steps": 20, "guidance": 2.0, "out": None, "json": True}
    assert seen | given == seen
