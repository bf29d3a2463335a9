"""Personalization: what is learnt is what the file does, the base stays as it was, and other tools read the files."""

from __future__ import annotations

import random
import re
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import warm
from PIL import Image
from toy_personalize import SIZE, asked, task

import sfumato
from sfumato import train
from sfumato.adapt import Embedding, LoRA, adapters_in, open_file
from sfumato.adapt.families import FAMILIES, Family, adapted
from sfumato.formats.convert_adapter import convert_adapter
from sfumato.model.adapted import adapted as with_adapters
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.train.method import METHODS

WAYS: dict[str, str] = {
    "lora": "lora",
    "locon, dora and texts": "{kind: lora, dora: true, convolutions: true, text: true, alpha: 4, rank: 6}",
    "loha": "loha:convolutions=true",
    "lokr": "{kind: lokr, convolutions: true, text: true}",
    "textual-inversion": "{kind: textual-inversion, vectors: 2}",
    "pivotal-tuning": "pivotal-tuning",
    "hypernetwork": "hypernetwork",
    "bottleneck": "bottleneck",
    "side-tuning": "{kind: side-tuning, width: 16}",
    "dreambooth": "{kind: dreambooth, text: true, export: float32}",
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures of one thing: a green disc on grounds of several colours."""
    folder = tmp_path_factory.mktemp("photos")
    y, x = np.mgrid[:40, :40]
    for i in range(3):
        pixels = np.full((40, 40, 3), (60 + 60 * i, 90, 200 - 50 * i), np.uint8)
        pixels[(y - 20) ** 2 + (x - 16 - 4 * i) ** 2 < 100] = (30, 220, 60)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> Any:
    """The model's stage, of which nothing is ever trained."""
    return sfumato.load(tiny_model).stage


def answer(stage: Any) -> torch.Tensor:
    """What a stage's network says of fixed noise and of words that name the subject."""
    x = torch.randn(2, stage.space.channels, SIZE // 8, SIZE // 8, generator=torch.Generator().manual_seed(1))
    condition = stage.encode([Recipe(prompt=words) for words in ("a zwx boat", "the zwx boat at sea")])
    with torch.no_grad():
        return stage.denoiser.output(x, torch.tensor([0.2, 0.7], dtype=torch.float64), condition)


def taught(learner: Any, found: Any, steps: int, lr: float = 2e-2) -> list[float]:
    """Steps of Adam, and the loss before and after, measured on the same noise."""

    def measured() -> float:
        with torch.no_grad():
            return float(found(np.arange(3).repeat(4), 0, torch.Generator().manual_seed(5))[0])

    before, adam = measured(), torch.optim.Adam(learner.parameters(), lr)
    for step in range(steps):
        adam.zero_grad()
        loss, _ = found(np.arange(3), step, torch.Generator().manual_seed(step))
        loss.backward()
        adam.step()
    return [before, measured()]


@pytest.mark.parametrize("way", WAYS)
def test_it_changes_nothing_then_learns_and_its_file_does_what_was_learnt(tiny_model, base, photos, tmp_path, way):
    found = task(tmp_path, tiny_model, photos, f"method={WAYS[way]}")
    learner, networks = found.network, found.stage.networks
    stage = found.stage if learner.reads else base  # whose text encoder is still there
    before = {name: {k: v.clone() for k, v in n.state_dict().items()} for name, n in networks.items()}
    if "inversion" not in way and "pivotal" not in way:  # whose word is another from the beginning
        at_first, plain = answer(with_adapters(stage, (learner,))), answer(stage)
        torch.testing.assert_close(at_first, plain, rtol=0, atol=2e-5 if "dora" in way else 0)

    first, last = taught(learner, found, 12, 1e-3 if way == "dreambooth" else 2e-2)
    assert last < 0.97 * first

    export = tmp_path / "export"
    export.mkdir()
    learner.save(export)
    learnt = answer(with_adapters(stage, (learner,)))
    if way == "dreambooth":
        assert torch.equal(answer(sfumato.load(export).stage), learnt)
        trained = {"unet", "text_encoder"}
    else:
        assert torch.equal(answer(with_adapters(base, tuple(adapters_in(export, allow_pickle=True)))), learnt)
        trained = set()
    for name, network in networks.items():
        same = all(torch.equal(before[name][k], v) for k, v in network.state_dict().items())
        assert same == (name not in trained), name


def test_every_method_is_tried_here():
    assert set(METHODS) == {re.split("[:,}]", text.removeprefix("{kind: "))[0] for text in WAYS.values()}


@pytest.mark.parametrize("family", [name for name, each in FAMILIES.items() if type(each).fresh is not Family.fresh])
@pytest.mark.parametrize("shape", [(12, 8), (6, 9), (8, 4, 3, 3), (5, 7, 1, 1)])
def test_every_family_begins_with_no_change(family, shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    fresh = FAMILIES[family].fresh(weight, 2, torch.Generator().manual_seed(1))
    assert FAMILIES[family].complete(fresh)
    delta = adapted(FAMILIES[family], fresh, weight)
    assert delta is not None
    assert delta.shape == weight.shape
    assert float(delta.abs().max()) == 0


def test_a_killed_run_goes_on_to_the_same_file(tiny_model, photos, tmp_path):
    """Killed by the system at whatever step and wherever in it."""
    more = asked(tiny_model, photos, "method={kind: lora, text: true}", "steps=4", "prior={count: 2, steps: 1}")
    more = [each.replace("save: 2", "save: 1") for each in more]
    train.run("personalize", out=tmp_path / "one", overrides=more)
    with warm.start(Path(__file__).with_name("toy_personalize.py"), tmp_path / "two", *more) as program:
        deadline = time.monotonic() + 120
        while not (tmp_path / "two" / "checkpoints" / "step-00000001").exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(random.Random().random() * 0.1)
        program.kill()
        assert program.wait() == -signal.SIGKILL
    assert not (tmp_path / "two" / "export").exists()
    train.run("personalize", out=tmp_path / "two", overrides=more)
    files = [tmp_path / run / "export" / "lora.safetensors" for run in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert "loss_class" in (tmp_path / "one" / "scalars.jsonl").read_text()


def test_stock_diffusers_reads_what_is_written(tiny_model, photos, tmp_path):
    pytest.importorskip("peft")
    from diffusers import StableDiffusionPipeline

    exports = {}
    for way, method in {"lora": "{kind: lora, alpha: 4}", "textual-inversion": "textual-inversion"}.items():
        found = task(tmp_path, tiny_model, photos, f"method={method}")
        taught(found.network, found, 3)
        exports[way] = tmp_path / way
        exports[way].mkdir()
        found.network.save(exports[way])
    pipe: Any = StableDiffusionPipeline.from_pretrained(tiny_model, safety_checker=None)
    pipe.load_textual_inversion(exports["textual-inversion"] / "embedding.safetensors")
    ours = Embedding(exports["textual-inversion"] / "embedding.safetensors").bind({"text_encoder": pipe.text_encoder})
    token = pipe.tokenizer.convert_tokens_to_ids("zwx boat")
    table = pipe.text_encoder.get_input_embeddings().weight
    assert torch.equal(table[token].detach(), ours.words["zwx boat"][0][0].detach())

    other = convert_adapter(open_file(exports["lora"] / "lora.safetensors"), tmp_path / "peft.safetensors", "diffusers",
                            tiny_model)  # fmt: skip
    pipe.load_lora_weights(exports["lora"], weight_name="lora.safetensors")
    x, words = torch.randn(2, 4, 8, 8), torch.randn(2, 5, pipe.unet.config.cross_attention_dim)
    stage: Any = with_adapters(sfumato.load(tiny_model).stage, (LoRA(exports["lora"] / "lora.safetensors"),))
    with torch.no_grad():
        theirs = pipe.unet(x, torch.tensor([500, 500]), words).sample
        with stage.denoiser.adaptation.painting(0.5):
            mine = stage.networks["unet"](x, torch.tensor([500, 500]), words).sample
        pipe.unload_lora_weights()
        pipe.load_lora_weights(tmp_path, weight_name=other.name)
        again = pipe.unet(x, torch.tensor([500, 500]), words).sample
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mine, again, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["method=lorra"], "method.kind: must be one of .*'lora'"),
        (["method.rank=0"], "method.rank: input should be greater than or equal to 1"),
        (["prior={count: 2}", "kind=''"], "say which, as kind: woman"),
        (["captions=['a photo']"], r"name the subject as \{\}"),
        (["model=fashion"], "give one that takes a prompt"),
        (["data.path=nowhere"], "there is no folder nowhere"),
        (["method={kind: hypernetwork, structure: [1, 2]}"], "begins and ends with 1"),
    ],
)
def test_wrong_recipes_are_refused_in_a_sentence(tiny_model, photos, tmp_path, more, words):
    with pytest.raises(BadInput, match=words):
        train.run("personalize", out=tmp_path / "run", overrides=asked(tiny_model, photos, *more))


def test_a_step_in_which_nobody_says_the_word_leaves_it_as_it_is(tiny_model, photos, tmp_path):
    found = task(tmp_path, tiny_model, photos, "method=textual-inversion", "dropout=1.0")
    loss, _ = found(np.arange(3), 0, torch.Generator().manual_seed(1))
    loss.backward()
    assert all(not weight.grad.any() for weight in found.network.parameters())


def test_a_word_that_no_caption_says_cannot_be_learnt(tiny_model, photos, tmp_path):
    for i in range(3):
        Image.new("RGB", (40, 40), (60 * i, 0, 0)).save(tmp_path / f"{i}.png")
        (tmp_path / f"{i}.txt").write_text("a green disc")
    with pytest.raises(BadInput, match="no caption says 'zwx boat', the word that is to be learnt"):
        task(tmp_path / "a", tiny_model, tmp_path, "method=textual-inversion")
    task(tmp_path / "b", tiny_model, tmp_path, "method=lora")


def test_masks_go_by_whole_names(tiny_model, photos, tmp_path):
    masks = tmp_path / "masks"
    with pytest.raises(BadInput, match="masks: there is no folder"):
        task(tmp_path, tiny_model, photos, f"masks={masks}")
    masks.mkdir()
    Image.new("L", (40, 40), 255).save(masks / "0.2.png")
    with pytest.raises(BadInput, match=r"has no picture called as one of those that are learnt, as 0\.png"):
        task(tmp_path, tiny_model, photos, f"masks={masks}")
    (masks / "0.json").write_text("{}")
    left = np.zeros((40, 40), np.uint8)
    left[:, :20] = 255
    Image.fromarray(left).save(masks / "0.png")
    found = task(tmp_path, tiny_model, photos, f"masks={masks}")
    assert (float(found.counts[0][0, 0, 0, 0]), float(found.counts[0][0, 0, 0, -1])) == (1, 0)
    assert "1 with a mask" in found.about()[0]


@pytest.mark.parametrize(("activation", "last"), [("linear", "linear.1"), ("relu", "linear.2")])
def test_a_hypernetwork_counts_its_layers_as_a1111_does(tiny_model, photos, tmp_path, activation, last):
    """Its list of modules holds the activations too, where there are any; widths are cut down to whole numbers."""
    method = f"method={{kind: hypernetwork, structure: [1, 1.51, 1], activation: {activation}}}"
    found = task(tmp_path, tiny_model, photos, method).network
    tensors, _ = next(iter(found._layers().values()))
    assert {name.rpartition(".")[0] for name in tensors} == {"linear.0", last}
    width = found.widths[0]
    assert tensors["linear.0.weight"].shape == (int(1.51 * width), width)


def test_the_loss_is_taken_where_a_mask_is_white(tiny_model, photos, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    left = np.zeros((40, 40), np.uint8)
    left[:, :20] = 255
    Image.fromarray(left).save(masks / "0.png")
    Image.fromarray(np.full((40, 40), 255, np.uint8)).save(masks / "1.png")
    plain, masked = (
        task(tmp_path, tiny_model, photos),
        task(tmp_path, tiny_model, photos, f"masks={masks}", "flip=true"),
    )
    rows = [np.array([i]) for i in range(3)]
    one, other = (
        [float(each(row, 0, torch.Generator().manual_seed(7))[0].detach()) for row in rows] for each in (plain, masked)
    )
    assert one[0] != other[0]
    assert one[1:] == other[1:], "white everywhere, or no mask: as without"
    (counts,) = masked.counts
    assert counts.shape == (6, 1, 16, 16)
    assert counts[0, 0].round().tolist() == [[1] * 8 + [0] * 8] * 16
    assert counts[3, 0].round().tolist() == [[0] * 8 + [1] * 8] * 16
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(masks / "1.png")
    with pytest.raises(BadInput, match="black everywhere"):
        task(tmp_path, tiny_model, photos, f"masks={masks}")


def test_it_says_what_it_will_do_before_it_does_it(tiny_model, photos, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (photos / "1.txt").write_text("a boat of mine, a zwx boat")
    try:
        train.run("personalize", dry_run=True, overrides=asked(tiny_model, photos, "method.rank=2"))
    finally:
        (photos / "1.txt").unlink()
    told = capsys.readouterr().out
    assert "3 pictures, cut to 32 x 32, 1 of them with captions of their own." in told
    trained = sum(p.numel() for p in task(tmp_path, tiny_model, photos, "method.rank=2").network.parameters())
    assert f"lora trains {trained:,} numbers" in told
    assert "time: about" in told
    assert not (tmp_path / "runs").exists()


def test_one_photo_is_enough_and_may_be_mirrored(tiny_model, photos, tmp_path):
    one = tmp_path / "one"
    one.mkdir()
    (one / "a.png").write_bytes((photos / "1.png").read_bytes())
    found = task(tmp_path, tiny_model, one, "flip=true")
    assert len(found) == 2
    (part,) = found.pictures.parts
    assert np.array_equal(part.pictures[0][:, ::-1], part.pictures[1])


def test_what_a_caption_gives_a_side_is_not_mirrored(tiny_model, photos, tmp_path):
    folder, masks = tmp_path / "sided", tmp_path / "masks"
    folder.mkdir()
    masks.mkdir()
    for i in range(2):
        (folder / f"{i}.png").write_bytes((photos / f"{i}.png").read_bytes())
    (folder / "0.txt").write_text("a zwx boat on the left")
    left = np.zeros((40, 40), np.uint8)
    left[:, :20] = 255
    Image.fromarray(left).save(masks / "1.png")
    found = task(tmp_path, tiny_model, folder, "flip=true", f"masks={masks}")
    (part,), (counts,) = found.pictures.parts, found.counts
    assert len(found) == len(counts) == 3
    assert np.array_equal(part.pictures[1][:, ::-1], part.pictures[2])
    assert torch.equal(counts[1].flip(-1), counts[2])
