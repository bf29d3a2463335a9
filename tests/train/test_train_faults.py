"""What must not cost a run: kills while files are written, damaged files, two at once, too little memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from toy_training import Toy, last, loop

from sfumato import train
from sfumato.data.lock import lock
from sfumato.picture import BadInput
from sfumato.train import checkpoint
from sfumato.train.loop import Stopped

POINTS = "task: points\ndata: {count: 500}\nnetwork: {width: 16, depth: 1}\nbatch: 50\nthreads: 1\n"
POINTS += "preview: {count: 40, steps: 2}\nevery: {save: 2}\noptimizer: {warmup: 2}\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Trains points in a blink; `run("steps=4", ...)`; answers the run's folder."""
    monkeypatch.setattr("sfumato.train.tasks.points.HELD_BACK", 50)
    path = tmp_path / "mine.yaml"
    path.write_text(POINTS)

    def go(*overrides: str, **options: Any) -> Path:
        train.run(path, out=tmp_path / "run", overrides=["steps=4", *overrides], **options)
        return tmp_path / "run"

    return go


@pytest.mark.parametrize("text", ["", "task: judge\nx: ["])
def test_a_damaged_recipe_yaml_costs_nothing_for_the_checkpoint_has_it(run, text):
    folder = run()
    (folder / "recipe.yaml").write_text(text)
    run("steps=6")
    assert yaml.safe_load((folder / "recipe.yaml").read_text())["steps"] == 6
    with pytest.raises(BadInput, match=r"another recipe \(different: batch\)"):
        run("batch=20")


def test_a_kill_while_recipe_yaml_is_written_leaves_the_old_one(run, monkeypatch):
    folder = run()
    before = (folder / "recipe.yaml").read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", killed)
        with pytest.raises(Stopped):
            run("steps=6")
    assert (folder / "recipe.yaml").read_bytes() == before
    run("steps=6")


def test_when_all_checkpoints_are_damaged_it_refuses_and_names_them(run):
    folder = run()
    for path in checkpoint.steps(folder / "checkpoints"):
        (path / "network.safetensors").write_bytes(b"")
    with pytest.raises(BadInput, match=r"all checkpoints in .* are damaged \(step-00000004, step-00000002\)") as caught:
        run()
    assert "remove them to begin anew" in str(caught.value)
    shutil.rmtree(folder / "checkpoints")
    run()


def test_walking_back_is_said_and_what_was_damaged_goes(run, capsys):
    folder = run("steps=6")
    (folder / "checkpoints" / "step-00000006" / "info.json").unlink()
    run("steps=7", "every.save=5")
    said = capsys.readouterr().err
    assert "step-00000006 damaged: going back to step-00000004" in said
    assert [path.name for path in checkpoint.steps(folder / "checkpoints")] == ["step-00000005", "step-00000007"]


@pytest.mark.parametrize("manifest", ["[]", "{}", '"x"', "[" * 5000, '{"info.json": 3}', '{"../x": "y"}', "\udcff"])
def test_a_manifest_that_is_none_makes_a_checkpoint_invalid(tmp_path, manifest):
    loop(tmp_path, steps=4).run()
    path = tmp_path / "checkpoints" / "step-00000004"
    (path / "manifest.json").write_bytes(manifest.encode("utf-8", "surrogateescape"))
    assert not checkpoint.valid(path)


def test_two_trainings_in_one_folder_are_one_too_many(run, tmp_path):
    code = (
        f"import sys, time; sys.path[:0] = {sys.path!r}\nfrom pathlib import Path\nfrom sfumato.data.lock import lock"
    )
    code += f"\nwith lock(Path({str(tmp_path / 'run' / '.lock')!r})): print('in', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "in\n"
    with pytest.raises(BadInput, match=rf"another training \(process {other.pid}\) is at work in .*: wait for it"):
        run()
    other.kill()
    other.wait()
    run()
    with lock(tmp_path / "run" / ".lock"):
        pass  # a run that is over lets go


def test_other_surroundings_and_a_moved_end_are_said(run, capsys):
    run()
    capsys.readouterr()
    run()
    assert "in other surroundings" not in capsys.readouterr().err
    threads = torch.get_num_threads()
    try:
        folder = run("threads=2", "steps=6")
        said = capsys.readouterr().err
        assert "goes on in other surroundings (threads 1 -> 2): not to the same bits" in said
        assert "the end of this run has moved (steps 4 -> 6), and with it the cosine" in said
    finally:
        torch.set_num_threads(threads)
    info = checkpoint.info(folder / "checkpoints" / "step-00000006")
    assert {"threads", "processes", "precision", "device", "torch", "recipe"} <= info.keys()


def test_another_number_of_threads_is_said_where_the_recipe_leaves_it_open(tmp_path, capsys):
    loop(tmp_path, steps=4, threads=None).run()
    path = tmp_path / "checkpoints" / "step-00000004"
    info = json.loads((path / "info.json").read_text()) | {"threads": 64, "torch": "1.0"}
    (path / "info.json").write_text(json.dumps(info))
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["info.json"] = checkpoint._sha256(path / "info.json")
    (path / "manifest.json").write_text(json.dumps(manifest))
    assert loop(tmp_path, steps=4, threads=None).restore()
    said = capsys.readouterr().err
    assert f"threads 64 -> {torch.get_num_threads()}" in said
    assert "torch 1.0 -> " in said
    assert "not to the same bits" in said


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    ],
    ids=lambda e: type(e).__name__,
)
def test_too_little_memory_is_one_sentence(run, monkeypatch, capsys, error):
    def forward(self, indices, step, generator):
        raise error

    monkeypatch.setattr("sfumato.train.tasks.points.PointsTask.forward", forward)
    with pytest.raises(Stopped) as caught:
        run()
    assert caught.value.code == 1
    assert "not enough memory for a step of this recipe: take a smaller batch" in capsys.readouterr().err


def test_another_error_is_not_taken_for_memory(run, monkeypatch):
    def forward(self, indices, step, generator):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr("sfumato.train.tasks.points.PointsTask.forward", forward)
    with pytest.raises(RuntimeError, match="shapes differ"):
        run()


class Cut(Toy):
    """Dies while it exports, after one file."""

    def finish(self, export: Path) -> dict[str, float]:
        (export / "part").mkdir()
        (export / "part" / "a.txt").write_text("new")
        raise OSError(28, "No space left on device")


class Parts(Toy):
    def finish(self, export: Path) -> dict[str, float]:
        (export / "part").mkdir()
        (export / "part" / "a.txt").write_text("new")
        return {}


def test_an_export_is_whole_or_the_one_before(tmp_path):
    (tmp_path / "export" / "part").mkdir(parents=True)
    (tmp_path / "export" / "part" / "a.txt").write_text("old")
    (tmp_path / "export" / "README.md").write_text("mine")
    with pytest.raises(OSError, match="No space"):
        loop(tmp_path, Cut(), steps=4).run()
    assert (tmp_path / "export" / "part" / "a.txt").read_text() == "old"
    again = loop(tmp_path, Parts(), steps=4)
    again.restore()
    again.run()
    assert (tmp_path / "export" / "part" / "a.txt").read_text() == "new"
    assert (tmp_path / "export" / "README.md").read_text() == "mine"
    assert not list(tmp_path.glob(".export*"))


def test_the_journal_tells_each_step_once_and_whole_lines_alone(tmp_path):
    loop(tmp_path, steps=20).run()
    path = tmp_path / "scalars.jsonl"
    path.write_text(path.read_text() + '{"step": 25, "lo')
    shutil.rmtree(tmp_path / "checkpoints" / "step-00000020")
    again = loop(tmp_path, steps=20)
    again.restore()
    assert again.step == 16
    again.run()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [5, 10, 15, 20]
    assert last(tmp_path).step == 20
