"""The recipes' tasks end to end on a tiny folder: autoencoder, then CLIP, then U-Net, then stock diffusers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image

from sfumato import train
from sfumato.picture import BadInput
from sfumato.train import checkpoint

COLOURS = {"red": (220, 40, 40), "blue": (40, 60, 220), "green": (40, 180, 60)}
AUTOENCODER = """
task: autoencoder
data: {kind: folder, path: DATA, size: 16}
network: {channels: [16, 16], groups: 4}
batch: 8
steps: 150
optimizer: {lr: 1.0e-2, warmup: 5}
ema: {decay: 0.9}
"""
CLIP = """
task: clip
data: {kind: folder, path: DATA, size: 16}
network:
  text: {width: 16, layers: 1, heads: 2}
  image: {width: 16, layers: 1, heads: 2}
  projection: 8
  length: 12
  vocabulary: 600
batch: 16
steps: 80
optimizer: {lr: 5.0e-3, warmup: 5}
"""
UNET = """
task: diffusion
data: {kind: folder, path: DATA, size: 16}
autoencoder: RUNS/autoencoder/export
text_encoder: RUNS/clip/export
network: {channels: [16, 32], attention: [false, true], heads: [1, 2], groups: 8}
batch: 8
steps: 12
preview: {prompts: [a red picture], each: 2, steps: 2}
every: {log: 1, save: 5}
"""
COMMON = "precision: float32\nthreads: 1\nworkers: 1\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty plain pictures with a brighter corner, their colours as captions."""
    home = tmp_path_factory.mktemp("world")
    lines = []
    for i in range(60):
        name = list(COLOURS)[i % 3]
        pixels = np.full((16, 16, 3), COLOURS[name], np.uint8)
        pixels[: 4 + i % 8, : 4 + i % 5] = 250
        Image.fromarray(pixels).save(home / f"{i}.png")
        lines.append(json.dumps({"file_name": f"{i}.png", "text": [f"a {name} picture", f"{name} paint"]}))
    (home / "metadata.jsonl").write_text("\n".join(lines))
    return home


@pytest.fixture(scope="module")
def runs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("runs")
    for name, text in {"autoencoder": AUTOENCODER, "clip": CLIP, "unet": UNET}.items():
        train.run(write(home, name, text, folder), out=home / name)
    return home


def write(home: Path, name: str, text: str, data: Path) -> Path:
    path = home / f"{name}.yaml"
    path.write_text(text.replace("DATA", str(data)).replace("RUNS", str(home)) + COMMON)
    return path


def figures(run: Path) -> dict[str, float]:
    return json.loads((run / "figures.json").read_text())


def test_the_autoencoder_learns_and_its_latents_have_unit_variance(runs):
    from diffusers import AutoencoderKL

    told = figures(runs / "autoencoder")
    assert told["psnr"] > 18
    vae = AutoencoderKL.from_pretrained(runs / "autoencoder" / "export" / "vae")
    assert vae.config.scaling_factor == pytest.approx(1 / told["latent_std"])
    assert vae.config.block_out_channels == [16, 16]


def test_clip_tells_colours_apart_and_loads_as_stock_parts(runs):
    from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

    export = runs / "clip" / "export"
    assert figures(runs / "clip")["image_to_text_recall_1"] > 0.8
    tokenizer = CLIPTokenizer.from_pretrained(export / "tokenizer")
    whole = CLIPModel.from_pretrained(export / "clip")
    text = CLIPTextModel.from_pretrained(export / "text_encoder")
    image = CLIPVisionModelWithProjection.from_pretrained(export / "image_encoder")
    ids = tokenizer(["a red picture", "blue"], padding="max_length", return_tensors="pt").input_ids
    assert ids.shape == (2, 12)
    assert text.config.eos_token_id == tokenizer.eos_token_id != 2
    torch.testing.assert_close(text(ids).pooler_output, whole.text_model(ids).pooler_output)
    ends = (ids == tokenizer.eos_token_id).int().argmax(1)
    torch.testing.assert_close(text(ids).pooler_output, text(ids).last_hidden_state[torch.arange(2), ends])
    pixels = torch.zeros(1, 3, 16, 16)
    expected = whole.visual_projection(whole.vision_model(pixels).pooler_output)
    torch.testing.assert_close(image(pixels).image_embeds, expected)


def test_the_exported_folder_is_a_stock_pipeline_that_draws_what_the_preview_draws(runs):
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    from sfumato.train import recipe as r
    from sfumato.train import rng
    from sfumato.train.task import Place, to_pixels
    from sfumato.train.tasks.diffusion import DiffusionTask

    export = runs / "unet" / "export"
    pipe = StableDiffusionPipeline.from_pretrained(export)
    pipe.set_progress_bar_config(disable=True)
    assert isinstance(pipe.scheduler, DDIMScheduler)
    assert pipe.safety_checker is None
    recipe = r.load(runs / "unet.yaml")
    task = DiffusionTask(recipe, Place(runs / "unet", runs / "cache"))
    task.network.load_state_dict(pipe.unet.state_dict())
    with torch.no_grad():
        ours = to_pixels(task.draw(["a red picture"], 1, 4, 3.0, 0))[0]
    noise = torch.randn((1, 4, 8, 8), generator=rng.generator(0, "preview", 0))
    theirs = pipe("a red picture", latents=noise, num_inference_steps=4, guidance_scale=3.0, height=16, width=16)
    difference = np.abs(ours.astype(int) - np.asarray(theirs.images[0]).astype(int))
    assert difference.max() <= 1


def test_every_exported_file_is_below_sixteen_mebibytes(runs):
    files = [path for path in (runs / "unet" / "export").rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} >= {"unet", "vae", "text_encoder", "tokenizer", "scheduler"}
    assert max(path.stat().st_size for path in files) < 16 * 2**20


def test_a_run_is_the_same_in_one_go_or_in_two(runs, folder):
    recipe = write(runs, "again", UNET, folder)
    train.run(recipe, out=runs / "again", overrides=["steps=5", "optimizer.schedule=constant"])
    assert checkpoint.newest(runs / "again" / "checkpoints").name == "step-00000005"  # type: ignore[union-attr]
    train.run(recipe, out=runs / "again", overrides=["optimizer.schedule=constant"])
    train.run(recipe, out=runs / "once", overrides=["optimizer.schedule=constant"])
    one, two = (checkpoint.read(runs / name / "checkpoints" / "step-00000012") for name in ("again", "once"))
    assert all(torch.equal(one.ema[k], two.ema[k]) for k in one.ema)


def test_decoder_only_keeps_the_encoder_to_the_bit(runs, folder):
    from diffusers import AutoencoderKL

    recipe = write(runs, "decoder", AUTOENCODER, folder)
    begin = f"begin={runs / 'autoencoder' / 'export'}"
    train.run(recipe, out=runs / "decoder", overrides=[begin, "decoder_only=true", "steps=3"])
    old, new = (AutoencoderKL.from_pretrained(runs / n / "export" / "vae") for n in ("autoencoder", "decoder"))
    assert old.config.scaling_factor == new.config.scaling_factor
    x = torch.rand(1, 3, 16, 16)
    assert torch.equal(old.encode(x).latent_dist.mean, new.encode(x).latent_dist.mean)
    z = torch.rand(1, 4, 8, 8)
    assert not torch.equal(old.decode(z).sample, new.decode(z).sample)


def test_latents_that_follow_another_s_are_gone_on_with_by_its_unet(runs, folder):
    """An autoencoder of cells twice as large and two channels more, and a U-Net that answers as before at step 0."""
    from diffusers import AutoencoderKL, UNet2DConditionModel

    text = AUTOENCODER.replace("[16, 16]", "[16, 16, 16], latent_channels: 6").replace("size: 16", "size: 32")
    recipe = write(
        runs, "aligned", text + f"align: {{model: {runs / 'autoencoder' / 'export'}, weight: 0.5}}\n", folder
    )
    train.run(recipe, out=runs / "aligned", overrides=["steps=80"])
    told = figures(runs / "aligned")
    vae: Any = AutoencoderKL.from_pretrained(runs / "aligned" / "export" / "vae")
    assert told["latent_apart"] < 0.2, "of a variance of 1"
    assert told["psnr"] > 18
    assert vae.config.scaling_factor == 1
    pictures = [
        torch.from_numpy(np.array(Image.open(path).resize((32, 32), 0))) for path in sorted(folder.glob("*.png"))
    ]
    x = torch.stack(pictures).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        z = vae.encode(x).latent_dist.mean
        torch.testing.assert_close(z[:, 4:].mean((0, 2, 3)), torch.zeros(2), atol=0.3, rtol=0)
        torch.testing.assert_close(z[:, 4:].std((0, 2, 3)), torch.ones(2), atol=0.3, rtol=0)
        assert (vae.decode(z).sample.clamp(-1, 1) - x).square().mean() < 4 * 10 ** (-told["psnr"] / 10) * 1.5

    unet = write(
        runs, "larger", UNET.replace("size: 16", "size: 32").replace("RUNS/autoencoder", "RUNS/aligned"), folder
    )
    begin = [f"begin={runs / 'unet' / 'export'}", "steps=1", "optimizer.lr=1e-12", "ema.decay=0"]
    train.run(unet, out=runs / "larger", overrides=begin)
    both = [UNet2DConditionModel.from_pretrained(runs / name / "export" / "unet") for name in ("unet", "larger")]
    old, new = cast(list[Any], both)
    x, words = torch.randn(1, 6, 8, 8), torch.randn(1, 12, 16)
    with torch.no_grad():
        before, now = old(x[:, :4], 500, words).sample, new(x, 500, words).sample
    torch.testing.assert_close(now[:, :4], before, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(now[:, 4:], torch.zeros(1, 2, 8, 8), atol=1e-4, rtol=0)
    with pytest.raises(BadInput, match="it needs more channels"):
        train.run(recipe, out=runs / "narrow", overrides=["network.latent_channels=4"])


def test_a_unet_goes_on_from_a_trained_one(runs, folder):
    from diffusers import UNet2DConditionModel

    recipe = write(runs, "further", UNET, folder)
    begin = f"begin={runs / 'unet' / 'export'}"
    train.run(recipe, out=runs / "further", overrides=[begin, "steps=1", "optimizer.lr=1e-12", "ema.decay=0"])
    old, new = (UNet2DConditionModel.from_pretrained(runs / n / "export" / "unet") for n in ("unet", "further"))
    torch.testing.assert_close(old.conv_in.weight, new.conv_in.weight)
    with pytest.raises(BadInput, match="has another shape than 'network' says"):
        train.run(recipe, out=runs / "other", overrides=[begin, "network.layers=2"])


def test_what_is_worn_seldom_comes_more_often():
    from sfumato.data import vignettes
    from sfumato.data.world import Vignettes, order

    data = Vignettes(count=60, repeat={"mask": 3, "hat": 2})
    scenes = [vignettes.scene(0, i) for i in range(60)]
    expected = [3 if s["mask"] != "none" else 2 if s["hat"] != "none" else 1 for s in scenes]
    assert {1, 2, 3} == set(expected)
    assert np.bincount(order(data, 60)).tolist() == expected
    assert order(Vignettes(count=60), 60).tolist() == list(range(60))
    with pytest.raises(ValueError, match="there is no attribute 'shoes'"):
        Vignettes(repeat={"shoes": 2})


def test_refusals_before_anything_is_trained(runs, folder, tmp_path):
    clip = write(tmp_path, "clip", CLIP, folder)
    with pytest.raises(BadInput, match=r"holds a run of another recipe \(different: batch\)"):
        train.run(clip, out=runs / "clip", overrides=["batch=4"])
    with pytest.raises(BadInput, match="holds a run at step-00000080"):
        train.run(clip, out=runs / "clip", resume=False)
    lost = write(tmp_path, "unet", UNET, folder)
    with pytest.raises(BadInput, match=r"there is no vae in .*: train it first with 'sfumato train mini-autoencoder'"):
        train.run(lost, out=tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="can't be written"):
        train.run(clip, out=tmp_path / "file" / "run")


def test_a_shipped_recipe_whose_parts_are_not_there_is_foretold(tmp_path, capsys, monkeypatch):
    """README's `sfumato train mini-unet --dry-run`: what it begins as and is encoded by may yet have to be trained."""
    monkeypatch.chdir(tmp_path)
    small = [
        "batch=2",
        "data.size=32",
        "data.count=4",
        "network={channels: [16, 16], attention: [false, true], heads: [1, 1]}",
    ]
    train.run("mini-unet", dry_run=True, overrides=small)
    said = capsys.readouterr().out
    assert "# its parts aren't trained yet: measured with those of the built-in miniature" in said
    assert "begin: runs/mini64-unet/export" in said
    with pytest.raises(
        BadInput,
        match="there is no vae in runs/mini-autoencoder/export: train it first with 'sfumato train mini-autoencoder'",
    ):
        train.run("mini-unet", overrides=small)


def test_a_dry_run_tells_and_keeps_nothing(runs, folder, tmp_path, capsys):
    train.run(write(tmp_path, "dry", AUTOENCODER, folder), dry_run=True)
    told = capsys.readouterr().out
    assert "# parameters: " in told
    assert "# steps: 150 of 8 pictures: 1,200 pictures" in told
    assert "# time: about " in told
    assert "latent_channels: 4" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dry.yaml"]
