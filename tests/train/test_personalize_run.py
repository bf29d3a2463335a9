"""How personalization runs: in buckets of like shape, in little memory, and measured on the way."""

from __future__ import annotations

import gc
import json
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from toy_personalize import SIZE, asked, task

from sfumato import train
from sfumato.picture import BadInput
from sfumato.train.tasks import personalize


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two squares and a wide one."""
    folder = tmp_path_factory.mktemp("photos")
    for i, size in enumerate(((40, 40), (40, 40), (90, 60))):
        pixels = np.random.default_rng(i).integers(0, 255, (size[1] // 5, size[0] // 5, 3), np.uint8)
        Image.fromarray(pixels).resize(size).save(folder / f"{i}.png")
    return folder


def test_a_run_in_buckets_that_is_broken_off_ends_in_the_same_file(tiny_model, photos, tmp_path, capsys):
    how = ("steps=4", "optimizer.schedule=constant", "prior={count: 2, steps: 1}", "every.sample=2")
    more = asked(tiny_model, photos, *how, "preview.features=vignettes-features")
    train.run("personalize", out=tmp_path / "one", overrides=more)
    told = capsys.readouterr().err
    assert "3 pictures, cut to 32 x 32 (2), 40 x 24 (1)" in told
    assert "time: about" in told
    assert "3 sample grids" in told
    assert "step" in told.splitlines()[-1], "which of them was best"
    train.run("personalize", out=tmp_path / "two", overrides=[*more, "steps=2"])
    train.run("personalize", out=tmp_path / "two", overrides=more)
    scalars = (tmp_path / "two" / "scalars.jsonl").read_text()
    measured = [line["step"] for line in map(json.loads, scalars.splitlines()) if "subject_fidelity" in line]
    assert measured == [0, 2, 4]
    assert (tmp_path / "two" / "fidelity.png").is_file()
    files = [(tmp_path / run / "export" / "lora.safetensors").read_bytes() for run in ("one", "two")]
    assert files[0] == files[1]


@pytest.mark.parametrize("way", ["lora", "bottleneck", "{kind: dreambooth}"])
def test_checkpointing_gives_the_same_gradients(tiny_model, photos, tmp_path, way):
    """What is computed again on the way back is computed with the learner in its place."""
    found = []
    for more in ("false", "true"):
        each = task(tmp_path, tiny_model, photos, f"method={way}", f"checkpointing={more}")
        with torch.no_grad():  # not where it begins, at nothing
            for i, weight in enumerate(each.network.parameters()):
                weight += 0.01 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(i))
        each(np.arange(2), 0, torch.Generator().manual_seed(1))[0].backward()
        found.append({name: weight.grad for name, weight in each.network.named_parameters()})
        assert each.stage.networks["unet"].is_gradient_checkpointing == (more == "true")
    plain, again = found
    assert plain.keys() == again.keys()
    assert any(grad is not None and float(grad.abs().max()) > 0 for grad in plain.values())
    for name, grad in plain.items():
        torch.testing.assert_close(again[name], grad, rtol=1e-5, atol=1e-8)


def test_a_text_encoder_that_is_not_taught_is_gone(tiny_model, photos, tmp_path, monkeypatch):
    held, real = [], personalize.load

    def noted(*args: Any, **options: Any) -> Any:
        pipe = real(*args, **options)
        held.append(weakref.ref(pipe.stage.networks["text_encoder"]))
        return pipe

    monkeypatch.setattr(personalize, "load", noted)
    frozen, taught = (
        task(tmp_path, tiny_model, photos, f"method={way}", "dropout=0.5") for way in ("lora", "textual-inversion")
    )
    gc.collect()
    assert [ref() is None for ref in held] == [True, False]
    assert taught.stage.networks.keys() - frozen.stage.networks.keys() == {"text_encoder"}
    losses = [frozen(np.arange(2), 4, torch.Generator().manual_seed(2))[0]]
    frozen.stage = replace(frozen.stage, encoders=taught.stage.encoders)  # which reads words as they come
    frozen._read.clear()
    losses.append(frozen(np.arange(2), 4, torch.Generator().manual_seed(2))[0])
    torch.testing.assert_close(*losses, rtol=1e-6, atol=0)
    assert frozen.grids()["samples"].shape == (SIZE, SIZE, 3)


def test_pictures_of_several_shapes_are_learnt_in_buckets(tiny_model, photos, tmp_path, capsys):
    """An upright photograph is turned by its EXIF, a broken file is left out and said, and every shape is learnt beside
    the class, which is square."""
    folder, exif = tmp_path / "shapes", Image.Exif()
    folder.mkdir()
    exif[0x0112] = 6
    Image.new("RGB", (96, 64), (200, 30, 60)).save(folder / "turned.jpg", exif=exif)
    Image.new("RGB", (96, 60), (20, 130, 60)).save(folder / "wide.png")
    (folder / "square.png").write_bytes((photos / "0.png").read_bytes())
    (folder / "broken.png").write_bytes((photos / "1.png").read_bytes()[:90])
    found = task(tmp_path, tiny_model, folder, "prior={count: 1, steps: 1}")
    shapes = {part.names[0]: part.pictures.shape[1:3] for part in found.pictures.parts}
    assert shapes == {"turned": (40, 24), "square": (32, 32), "wide": (24, 40)}
    assert [latents.shape[-2:] for latents in found.latents] == [(20, 12), (16, 16), (12, 20)]
    assert "cut to 24 x 40 (1), 32 x 32 (1), 40 x 24 (1) (up to 10 % of a picture is lost)" in found.about()[0]
    told = capsys.readouterr().err
    assert "1 of 4 pictures can't be read and are left out" in told
    assert "broken.png" in told
    for number in range(3):
        rows = found.batch(0, number, 2)
        loss, _ = found(rows, number, torch.Generator().manual_seed(number))
        loss.backward()
    assert all(each.grad is not None for each in found.network.parameters())
    assert found.grids()["shown"].shape[0] == 40


def test_what_is_refused_before_it_begins_leaves_no_folder(photos, tmp_path):
    with pytest.raises(BadInput, match="no model called 'nowhere'"):
        train.run("personalize", out=tmp_path / "run", overrides=asked("nowhere", photos))
    assert not (tmp_path / "run").exists()
