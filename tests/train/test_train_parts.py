"""Checkpoints, caches, averages, tokens, sources: each alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from sfumato import train
from sfumato.data import array_cache, dataset, folder, vignettes
from sfumato.data.folder import Folder
from sfumato.data.vignettes import scene
from sfumato.data.world import Vignettes
from sfumato.evaluate.judge import Judge
from sfumato.picture import BadInput
from sfumato.train import checkpoint
from sfumato.train.degraded import jpeg
from sfumato.train.ema import Ema
from sfumato.train.encodings import encoded
from sfumato.train.recipe import validate
from sfumato.train.task import TASKS, Place


def state(step: int) -> checkpoint.State:
    weights = {"w": torch.full((3,), float(step))}
    return checkpoint.State(step, weights, weights, {"state": {}, "param_groups": []}, {"seconds": 1.5})


class TestCheckpoint:
    def test_round_trip(self, tmp_path):
        checkpoint.write(tmp_path, state(7), keep=2)
        back = checkpoint.read(tmp_path / "step-00000007")
        assert (back.step, back.info) == (7, {"seconds": 1.5})
        assert torch.equal(back.network["w"], state(7).network["w"])

    def test_only_the_last_are_kept(self, tmp_path):
        for step in (1, 2, 10, 11):
            checkpoint.write(tmp_path, state(step), keep=2)
        assert [path.name for path in checkpoint.steps(tmp_path)] == ["step-00000010", "step-00000011"]
        checkpoint.write(tmp_path, state(12), keep=1)
        assert [path.name for path in tmp_path.iterdir()] == ["step-00000012"]

    @pytest.mark.parametrize("name", ["network.safetensors", "optimizer.pt", "info.json", "manifest.json"])
    def test_one_flipped_or_missing_file_makes_it_invalid(self, tmp_path, name):
        path = checkpoint.write(tmp_path, state(1), keep=9)
        checkpoint.write(tmp_path, state(2), keep=9)
        victim = tmp_path / "step-00000002" / name
        victim.write_bytes(victim.read_bytes()[:-2])
        assert checkpoint.newest(tmp_path) == path
        victim.unlink()
        assert checkpoint.newest(tmp_path) == path

    def test_what_a_killed_writer_left_is_swept(self, tmp_path):
        (tmp_path / ".writing-step-00000001-4711").mkdir()
        checkpoint.write(tmp_path, state(2), keep=2)
        assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]

    def test_a_failure_leaves_nothing_half_written(self, tmp_path, monkeypatch):
        checkpoint.write(tmp_path, state(1), keep=1)

        def full(*_args, **_options):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(torch, "save", full)
        with pytest.raises(checkpoint.CheckpointError, match=r"No space left on device.*earlier ones are intact"):
            checkpoint.write(tmp_path, state(2), keep=1)
        assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
        assert checkpoint.newest(tmp_path) is not None

    def test_an_empty_folder_has_none(self, tmp_path):
        assert checkpoint.newest(tmp_path / "nowhere") is None


class TestCache:
    SHAPE = {"squares": ((2,), np.int64)}  # noqa: RUF012

    def squares(self, spans, stop_after=99):
        for count, (a, b) in enumerate(spans):
            if count == stop_after:
                raise KeyboardInterrupt
            self.asked.append(a)
            yield a, {"squares": np.stack([np.arange(a, b) ** 2] * 2, 1)}

    def test_an_interrupted_array_goes_on_and_a_whole_one_is_never_computed_again(self, tmp_path):
        self.asked: list[int] = []
        with pytest.raises(KeyboardInterrupt):
            array_cache.arrays(tmp_path, "t", "k", self.SHAPE, lambda s: self.squares(s, 2), 10, chunk=3)
        assert self.asked == [0, 3]
        got = array_cache.arrays(tmp_path, "t", "k", self.SHAPE, self.squares, 10, chunk=3)["squares"]
        assert self.asked == [0, 3, 6, 9]
        assert got[:, 1].tolist() == [i * i for i in range(10)]
        array_cache.arrays(tmp_path, "t", "k", self.SHAPE, self.squares, 10, chunk=3)
        assert self.asked == [0, 3, 6, 9]

    def test_a_torn_line_of_the_journal_counts_for_nothing(self, tmp_path):
        self.asked = []
        with pytest.raises(KeyboardInterrupt):
            array_cache.arrays(tmp_path, "t", "k", self.SHAPE, lambda s: self.squares(s, 1), 40, chunk=3)
        with (tmp_path / "t-k" / "done").open("a") as file:
            file.write("3")  # of 39
        got = array_cache.arrays(tmp_path, "t", "k", self.SHAPE, self.squares, 40, chunk=3)["squares"]
        assert got[:, 0].tolist() == [i * i for i in range(40)]

    def test_a_lost_array_is_computed_anew(self, tmp_path):
        self.asked = []
        with pytest.raises(KeyboardInterrupt):
            array_cache.arrays(tmp_path, "t", "k", self.SHAPE, lambda s: self.squares(s, 2), 10, chunk=3)
        (tmp_path / "t-k" / "squares.npy").unlink()
        got = array_cache.arrays(tmp_path, "t", "k", self.SHAPE, self.squares, 10, chunk=3)["squares"]
        assert got[:, 0].tolist() == [i * i for i in range(10)]

    def test_lines_are_computed_once(self, tmp_path):
        assert array_cache.lines(tmp_path, "t", "k", lambda: iter([["é"], ["b"]])) == [["é"], ["b"]]
        assert array_cache.lines(tmp_path, "t", "k", lambda: iter([])) == [["é"], ["b"]]


class TestEma:
    def test_constant_weights_stay_and_a_jump_fades_at_the_decay(self):
        network = nn.Linear(1, 1, bias=False)
        torch.nn.init.constant_(network.weight, 2.0)
        ema = Ema(network, 0.5)
        ema.update(network, 1000)
        assert float(ema.shadow["weight"]) == 2.0
        torch.nn.init.constant_(network.weight, 0.0)
        for k in range(1, 4):
            ema.update(network, 1000)
            assert float(ema.shadow["weight"]) == pytest.approx(2.0 * 0.5**k)

    def test_warm_up_rates(self):
        ema = Ema(nn.Linear(1, 1), 0.99)
        assert [ema.rate(s) for s in (0, 8, 10**6)] == [0.1, 0.5, 0.99]

    def test_the_warm_up_forgets_the_random_start(self):
        network = nn.Linear(1, 1, bias=False)
        torch.nn.init.constant_(network.weight, 10.0)
        ema = Ema(network, 0.999)
        torch.nn.init.constant_(network.weight, 0.0)
        ema.update(network, 0)
        assert float(ema.shadow["weight"]) == pytest.approx(10 * 1 / 10)
        ema.update(network, 1)
        assert float(ema.shadow["weight"]) == pytest.approx(10 * 1 / 10 * 2 / 11)

    def test_applied_puts_the_own_tensors_back(self):
        network = nn.Linear(2, 2)
        ema = Ema(network, 0.9)
        with torch.no_grad():
            network.weight.add_(1)
        own = network.weight.data
        with ema.applied(network):
            assert torch.equal(network.weight, ema.shadow["weight"])
            assert not torch.equal(network.weight, own)
        assert network.weight.data_ptr() == own.data_ptr()


class TestTokens:
    def test_clips_format_and_words_of_the_captions_become_one_token(self, tmp_path):
        from transformers import CLIPTokenizer

        from sfumato.formats.write import save_tokenizer
        from sfumato.train.tokens import encode, train_tokenizer

        captions = ["a red lighthouse at night", "a blue lighthouse by the sea"] * 20
        save_tokenizer(train_tokenizer(captions, 700, 16), tmp_path)
        tokenizer = CLIPTokenizer.from_pretrained(tmp_path)
        assert tokenizer.tokenize("A  RED lighthouse") == ["a</w>", "red</w>", "lighthouse</w>"]
        vocabulary = json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8"))
        assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
        assert len(vocabulary) <= 700
        assert (tmp_path / "merges.txt").read_text(encoding="utf-8").startswith("#version: 0.2\n")
        ids = encode(tokenizer, ["", "snowman ☃ " * 40, "a red"])
        begin, end = vocabulary["<|startoftext|>"], vocabulary["<|endoftext|>"]
        assert ids.shape == (3, 16)
        assert ids[:, 0].tolist() == [begin] * 3
        assert ids[0, 1:].tolist() == [end] * 15
        assert int(ids[1, -1]) == end
        assert end not in ids[1, :-1].tolist()


class TestSource:
    def test_drawn_pictures_are_the_worlds_own_in_any_number_of_processes(self, tmp_path):
        from sfumato.data import vignettes

        data = Vignettes(seed=3, first=5, count=4, size=32, split="any")
        train, test = data.open(2, tmp_path, workers=1)
        assert (len(train), len(test)) == (4, 2)
        for i in range(4):
            scene = vignettes.scene(3, 5 + i, "any")
            assert np.array_equal(train.pictures[i], vignettes.draw(scene, 32, truth=False).image)
            assert train.captions[i] == list(scene.captions)
        assert test.captions[0] == list(vignettes.scene(3, 9, "any").captions)
        batch = train.batch(np.array([2]))
        assert batch.shape == (1, 3, 32, 32)
        assert torch.equal(((batch + 1) * 127.5).round().byte()[0].permute(1, 2, 0), torch.tensor(train.pictures[2]))

    def test_captions_from_text_files_and_from_metadata(self, tmp_path):
        for name in ("b.png", "a.png", "c.png"):
            Image.new("RGB", (4, 4)).save(tmp_path / name)
        (tmp_path / "a.txt").write_text("first\n\nsecond\n")
        found = folder.entries(tmp_path)
        assert [entry.path.name for entry in found] == ["a.png", "b.png", "c.png"]
        assert [entry.captions("text") for entry in found] == [["first", "second"], [""], [""]]
        rows = [{"file_name": "c.png", "say": "one"}, {"file_name": "a.png", "say": ["two", "three"]}]
        (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
        found = folder.entries(tmp_path)
        assert [entry.path.name for entry in found] == ["c.png", "a.png"]
        assert [entry.captions("say") for entry in found] == [["one"], ["two", "three"]]

    def test_refusals(self, tmp_path):
        with pytest.raises(BadInput, match="there is no folder"):
            folder.entries(tmp_path / "nowhere")
        with pytest.raises(BadInput, match="holds no pictures"):
            folder.entries(tmp_path)
        table = tmp_path / "metadata.jsonl"
        for line, said in {
            '{"file": 1}': "line 1 is no JSON object",
            '{"file_name": "x.png"}': "which isn't there",
        }.items():
            table.write_text(line)
            with pytest.raises(BadInput, match=said):
                folder.entries(tmp_path)
        table.unlink()
        Image.new("RGB", (4, 4)).save(tmp_path / "only.png")
        with pytest.raises(BadInput, match="training needs at least two"):
            Folder(kind="folder", path=tmp_path, size=16).open(8, tmp_path / "cache", 1)

    def test_the_middle_square_is_taken(self, tmp_path):
        pixels = np.zeros((10, 30, 3), np.uint8)
        pixels[:, 10:20] = 200
        path = tmp_path / "wide.png"
        Image.fromarray(pixels).save(path)
        assert dataset.square(path, 10).min() == 200


def test_parts_of_a_data_set_are_told_apart_by_their_rows():
    """Encodings are kept under a set's key: those of other pictures must not be taken for its own."""
    whole = dataset.Dataset(np.zeros((4, 2, 2, 3), np.uint8), [[""]] * 4, "key")
    keys = {whole.part(rows, "train").key for rows in (slice(3), slice(1, 4), np.array([0, 1, 2]), np.array([0, 2, 1]))}
    assert len(keys) == 3
    assert whole.part(slice(2), "train").key != whole.part(slice(2), "test").key


def test_what_is_kept_goes_by_the_number_type_that_it_was_computed_in(tmp_path):
    def kept(low: bool) -> list[list[float]]:
        value = 2.0 if low else 1.0
        place = Place(tmp_path, tmp_path, low=low)
        return encoded(place, "a", "a", ("key",), lambda i, j: torch.full((j - i, 1), value), 3, 2).tolist()

    assert [kept(low) for low in (False, True, False)] == [[[1.0]] * 3, [[2.0]] * 3, [[1.0]] * 3]


def test_no_rows_are_computed_by_nobody(tmp_path):
    found = array_cache.arrays(tmp_path, "a", "key", {"x": ((2,), np.uint8)}, lambda spans: [], 0)
    assert found["x"].shape == (0, 2)


@pytest.mark.parametrize("task", ["judge", "map", "layout"])
def test_what_is_known_of_a_scene_is_not_known_of_it_after_an_instruction(tmp_path, task):
    network = "network: {kind: depth}, loss: {kind: depth}, " if task == "map" else ""
    recipe = tmp_path / "a.yaml"
    recipe.write_text(f"{{task: {task}, {network}data: {{kind: instructions, count: 4, size: 16}}}}")
    with pytest.raises(BadInput, match="vignettes"):
        train.run(recipe, out=tmp_path / "run")


def test_pictures_that_are_to_come_more_often_do_in_every_task(tmp_path):
    data = {"kind": "vignettes", "count": 20, "size": 16, "repeat": {"hat": 5}}
    with_hats = sum(scene(0, i)["hat"] != "none" for i in range(20))
    for told in ({"task": "autoencoder", "network": {"channels": [16]}}, {"task": "judge", "held_back": 2}):
        recipe = validate({**told, "data": data, "workers": 1})
        task = TASKS[recipe.task](recipe, Place(tmp_path / "run", tmp_path / "cache"))
        assert len(task) == 20 + 4 * with_hats
        epoch = task.batch(0, 0, len(task))
        assert np.bincount(epoch).max() == 5
        assert set(epoch.tolist()) == set(range(20))


def test_a_judge_is_exported_in_the_type_that_was_asked_for(tmp_path):
    judge = Judge(vignettes.ATTRIBUTES)
    judge.save(tmp_path, torch.float32)
    assert {each.dtype for each in load_file(tmp_path / "model.safetensors").values()} <= {torch.float32, torch.int64}
    assert all(torch.equal(a, b) for a, b in zip(judge.parameters(), Judge.load(tmp_path).parameters(), strict=True))


def test_a_link_that_leads_nowhere_is_a_picture_that_cannot_be_read(tmp_path, capsys):
    home = tmp_path / "pictures"
    home.mkdir()
    Image.new("RGB", (16, 16)).save(home / "a.png")
    (home / "b.png").symlink_to(home / "nowhere.png")
    found, _ = Folder(kind="folder", path=home, size=16).open(0, tmp_path / "cache", 1)
    assert len(found) == 1
    assert "1 of 2 pictures can't be read and are left out" in capsys.readouterr().err


@pytest.mark.parametrize("said", ['{"a": 1}', "[null]", "true"])
def test_a_caption_that_is_no_text_is_refused(tmp_path, said):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    (tmp_path / "metadata.jsonl").write_text(f'{{"file_name": "a.png", "text": {said}}}')
    with pytest.raises(BadInput, match="give a text, or a list of texts"):
        Folder(kind="folder", path=tmp_path, size=16).open(0, tmp_path / "cache", 1)


def test_grey_pictures_are_made_worse_in_grey():
    grey = torch.linspace(-1, 1, 64).reshape(1, 8, 8)
    worse = jpeg(grey, 90)
    assert worse.shape == grey.shape
    assert (worse - grey).abs().max() < 0.1


def test_the_judge_is_trained_from_ground_truth(tmp_path: Path):
    from sfumato import train

    recipe = tmp_path / "judge.yaml"
    lines = ["task: judge", "data: {kind: vignettes, seed: 9, count: 16, size: 32, split: any}", "batch: 8", "steps: 2"]
    recipe.write_text("\n".join([*lines, "held_back: 8", "threads: 1", "workers: 1", "precision: float32"]))
    train.run(recipe, out=tmp_path / "run")
    judge = Judge.load(tmp_path / "run" / "export" / "judge")
    assert len(judge.predict(torch.zeros(1, 3, 32, 32))) == 1
    told = json.loads((tmp_path / "run" / "figures.json").read_text())
    assert {f"accuracy_{name}" for name in judge.attributes} <= told.keys()
    with pytest.raises(BadInput, match=r"data\.kind must be vignettes"):
        train.run(recipe, out=tmp_path / "other", overrides=["data={kind: folder, path: .}"])
