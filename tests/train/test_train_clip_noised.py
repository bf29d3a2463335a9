"""The noised CLIP's task end to end on a tiny folder, and what guides with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sfumato import train
from sfumato.encode.clip import WAVES, load_clip, with_level
from sfumato.picture import BadInput
from sfumato.schedule import Discrete, Flow
from sfumato.train import recipe as r
from sfumato.train.tasks.clip_noised import NoisedClipRecipe

COLOURS = {"red": (220, 40, 40), "blue": (40, 60, 220), "green": (40, 180, 60)}
COMMON = "precision: float32\nthreads: 1\nworkers: 1\ndata: {kind: folder, path: DATA, size: 16}\n"
CLIP = """
task: clip
network:
  text: {width: 16, layers: 1, heads: 2}
  image: {width: 16, layers: 1, heads: 2}
  projection: 8
  length: 12
  vocabulary: 600
batch: 16
steps: 60
optimizer: {lr: 5.0e-3, warmup: 5}
"""
NOISED = """
task: clip-noised
clip: RUNS/clip/export
autoencoder: null
image: {width: 16, layers: 1, heads: 2}
patch: 8
batch: 16
steps: 60
optimizer: {lr: 5.0e-3, warmup: 5}
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of 48 plain pictures, a noised one of pixels, and one (hardly trained) of latents."""
    from diffusers import AutoencoderKL

    home = tmp_path_factory.mktemp("runs")
    data = home / "data"
    data.mkdir()
    lines = []
    for i in range(48):
        name = list(COLOURS)[i % 3]
        pixels = np.full((16, 16, 3), COLOURS[name], np.uint8)
        pixels[: 4 + i % 8, : 4 + i % 5] = 250
        Image.fromarray(pixels).save(data / f"{i}.png")
        lines.append(json.dumps({"file_name": f"{i}.png", "text": [f"a {name} picture", f"{name} paint"]}))
    (data / "metadata.jsonl").write_text("\n".join(lines))
    AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=4).save_pretrained(home / "vae")
    latents = NOISED.replace("null", "RUNS/vae").replace("patch: 8", "patch: 4").replace("steps: 60", "steps: 1")
    for name, text in {"clip": CLIP, "noised": NOISED, "latents": latents}.items():
        path = home / f"{name}.yaml"
        path.write_text((text + COMMON).replace("DATA", str(data)).replace("RUNS", str(home)))
        train.run(path, out=home / name)
    return home


def test_captions_keep_their_place_and_the_clean_clip_is_whole_again(runs):
    from transformers import CLIPModel, CLIPTextModel, CLIPVisionModelWithProjection

    export = runs / "noised" / "export"
    text = CLIPTextModel.from_pretrained(runs / "clip" / "export" / "text_encoder")
    image = CLIPVisionModelWithProjection.from_pretrained(runs / "clip" / "export" / "image_encoder")
    ids, pixels = torch.tensor([[1, 5, 9, 3]]), torch.rand(1, 3, 16, 16)
    for name in ("clip", "clip_noised"):
        assert str(runs) not in (export / name / "config.json").read_text()
        whole = CLIPModel.from_pretrained(export / name, dtype=torch.float32)
        expected = text(ids).last_hidden_state
        torch.testing.assert_close(whole.text_model(ids).last_hidden_state, expected, rtol=0.02, atol=0.02)
    clean = CLIPModel.from_pretrained(export / "clip", dtype=torch.float32)
    seen = clean.visual_projection(clean.vision_model(pixels).pooler_output)
    torch.testing.assert_close(seen, image(pixels).image_embeds, rtol=0.02, atol=0.02)


def test_it_tells_colours_apart_through_noise(runs):
    told = json.loads((runs / "noised" / "figures.json").read_text())
    assert told["recall_clean"] > 0.8
    assert told["recall_t0.3"] > 0.8
    clip = load_clip(runs / "noised" / "export" / "clip_noised")
    assert isinstance(clip.schedule, Discrete)
    text = torch.nn.functional.normalize(clip.text(["a red picture", "a blue picture"]), dim=-1)
    plain = torch.tensor([COLOURS["red"], COLOURS["blue"]]).float()[:, :, None, None] / 127.5 - 1
    t = torch.full((2,), 0.2, dtype=torch.float64)
    alpha, sigma = clip.schedule(t)
    noise = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    x = alpha[0].float() * plain.expand(-1, -1, 16, 16) + sigma[0].float() * noise
    likeness = torch.nn.functional.normalize(clip.noised(x, t), dim=-1) @ text.T
    assert likeness[0, 0] > likeness[0, 1]
    assert likeness[1, 1] > likeness[1, 0]


def test_the_tower_of_a_latent_model_sees_latents(runs):
    clip = load_clip(runs / "latents" / "export" / "clip_noised")
    assert clip.noise == {"schedule": {"kind": "squaredcos_cap_v2", "zero_terminal": False}, "channels": 4}
    assert clip.size == 16
    assert clip.noised(torch.zeros(2, 4, 16, 16), torch.tensor([0.1, 0.9])).shape == (2, 8)


def test_the_planes_say_the_level_and_the_picture_has_unit_scale():
    alpha, sigma = Flow()(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))
    planes = with_level(torch.ones(3, 2, 4, 4), alpha, sigma)
    assert planes.shape == (3, 2 + 2 * WAVES, 4, 4)
    assert planes[:, 0, 0, 0].tolist() == pytest.approx([1, 2**0.5, 1])
    assert planes[0, 2:, 1, 1].tolist() == pytest.approx([1] * WAVES + [0] * WAVES)
    assert planes[1, 2, 0, 0] == pytest.approx(0, abs=1e-6)  # alpha = sigma: phi is a quarter turn
    assert planes[2, 2, 0, 0] == pytest.approx(-1)


def test_the_shipped_recipe_is_sound_and_what_does_not_fit_is_refused(runs):
    shipped = r.load("mini-clip-noised")
    assert isinstance(shipped, NoisedClipRecipe)
    assert shipped.schedule.kind == "squaredcos_cap_v2"
    with pytest.raises(BadInput, match=r"data\.size must be at least 64"):
        train.run(runs / "noised.yaml", out=runs / "wrong", overrides=["clip=mini", "data.size=32"])
    with pytest.raises(BadInput, match="no CLIP in"):
        load_clip(runs)
    with pytest.raises(BadInput, match="sees noisy pictures"):
        load_clip(runs / "noised" / "export" / "clip_noised").image(torch.zeros(1, 3, 16, 16))
    with pytest.raises(BadInput, match="clean pictures alone"):
        _ = load_clip(runs / "noised" / "export" / "clip").schedule
