"""FLUX.2 klein and dev: the latents of stock diffusers from words and from pictures, and its autoencoder's space."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from stock import flux2
from stock.compare import Both, error, shown, stock, walked

import sfumato
from sfumato import Inverted, Outside
from sfumato.formats import capabilities_of
from sfumato.formats.flux2 import shift
from sfumato.guide import ClassifierFree, Distilled
from sfumato.picture import BadInput
from sfumato.space.pixels import to_images, to_tensor

PROMPT = "make the hat red"
WIDTH, HEIGHT = flux2.SIZE
SIZE: dict[str, Any] = {"width": WIDTH, "height": HEIGHT}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both.of(flux2.build(), tmp_path_factory.mktemp("flux2") / "base")


@pytest.fixture(scope="module")
def distilled(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both.of(flux2.build(distilled=True), tmp_path_factory.mktemp("flux2") / "klein")


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Both:
    """As its makers save it, with what reads its words as a processor of words and pictures."""
    folder = tmp_path_factory.mktemp("flux2") / "dev"
    stock = flux2.build_dev()
    stock.save_pretrained(folder)
    index = json.loads((folder / "model_index.json").read_text())
    index["tokenizer"] = ["transformers", "PixtralProcessor"]
    (folder / "model_index.json").write_text(json.dumps(index))
    return Both(stock, folder, sfumato.load(folder))


def painted(seed: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def noise() -> torch.Tensor:
    return torch.randn(1, flux2.CHANNELS, HEIGHT // 4, WIDTH // 4, generator=torch.Generator().manual_seed(3))


def mine(pipe: sfumato.Pipe, x: torch.Tensor, guidance: list[Any], steps: int, **options: Any) -> torch.Tensor:
    """Over our own grid, as what the decoder is given."""
    return shown(pipe, walked(pipe, x, PROMPT, guidance=guidance, steps=steps, **options, **SIZE))


def test_the_latents_are_those_of_stock_diffusers(model: Both, distilled: Both):
    """Over our own grid, whose shift is that of as many steps; unguided and guided."""
    steps = 5  # not those that suit the distilled one
    assert flux2.parity(distilled.stock, distilled.pipe, steps) < 1e-5
    assert flux2.parity(model.stock, model.pipe, steps) < 1e-5
    asked = {"prompt": PROMPT, "latents": noise(), "num_inference_steps": steps, **SIZE}
    theirs = stock(distilled.stock, **asked)
    assert error(mine(distilled.pipe, noise() + 0.01, [], steps), theirs) > 1e-3, "the start shows"
    theirs = stock(model.stock, guidance_scale=4.0, **asked)
    assert error(mine(model.pipe, noise(), [ClassifierFree(2.0)], steps), theirs) > 2e-4, "guidance shows"


def flux2_mu(tokens: int, steps: int) -> float:
    from diffusers.pipelines.flux2.pipeline_flux2 import compute_empirical_mu

    return compute_empirical_mu(tokens, steps)


def test_dev_is_told_its_scale_and_gives_the_latents_of_stock_diffusers(dev: Both):
    asked: dict[str, Any] = {"image": [painted(1)], "prompt": PROMPT, "latents": noise(), **SIZE}
    few = [stock(dev.stock, guidance_scale=scale, num_inference_steps=4, **asked) for scale in (4.0, 5.0)]
    assert error(mine(dev.pipe, noise(), [Distilled(4.0)], 4, images=[painted(1)]), few[0]) < 1e-5
    assert error(*few) > 2e-4, "the scale that is told shows"
    assert capabilities_of(dev.folder) == dev.pipe.capabilities
    assert dev.pipe.stage.suits.guidance == (Distilled(4.0),)


@pytest.mark.parametrize(("tokens", "steps"), [(256, 4), (4096, 50), (4300, 28), (4301, 28), (9000, 4)])
def test_the_shift_is_black_forest_labs_fit(tokens: int, steps: int):
    assert shift(tokens, steps) == pytest.approx(flux2_mu(tokens, steps), rel=1e-12)


def test_the_pictures_that_are_looked_at_give_the_latents_of_stock_diffusers(distilled: Both):
    shown = [painted(1), painted(2)]
    theirs = stock(distilled.stock, image=shown[:1], prompt=PROMPT, latents=noise(), num_inference_steps=4, **SIZE)
    assert error(mine(distilled.pipe, noise(), [], 4, images=shown[:1]), theirs) < 1e-5
    assert error(mine(distilled.pipe, noise(), [], 4, images=[painted(3)]), theirs) > 2e-4, "the picture shows"
    theirs = stock(distilled.stock, image=shown, prompt=PROMPT, latents=noise(), num_inference_steps=4, **SIZE)
    assert error(mine(distilled.pipe, noise(), [], 4, images=shown), theirs) < 1e-5
    assert error(mine(distilled.pipe, noise(), [], 4, images=shown[::-1]), theirs) > 2e-4, "their order shows"


def test_a_picture_s_latents_are_those_of_stock_diffusers_and_come_back(model: Both):
    space, picture = model.pipe.stage.space, to_tensor([painted()])
    with torch.no_grad():
        theirs = model.stock._encode_vae_image(picture, generator=None)
        z = model.stock.vae.encode(picture).latent_dist.mean
        ours = space.encode(picture)
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(space.decode(ours), model.stock.vae.decode(z).sample)


def test_an_instruction_is_held_outside_a_mask_and_an_inverted_picture_comes_back(distilled: Both):
    picture, white = painted(), np.zeros((HEIGHT, WIDTH), np.uint8)
    white[9:40, 12:50] = 255
    hold = Outside(Image.fromarray(white))
    made = np.asarray(distilled.pipe(PROMPT, images=[picture], hold=hold, steps=2, **SIZE).image)
    assert np.array_equal(made[white == 0], np.asarray(picture)[white == 0])
    assert not np.array_equal(made[white != 0], np.asarray(picture)[white != 0])
    space = distilled.pipe.stage.space
    with torch.no_grad():
        truth = np.asarray(to_images(space.decode(space.encode(to_tensor([picture]))))[0]).astype(int)
    options = {"guidance": [], "sampler": "ddim", "steps": 6, **SIZE}
    starts = [Inverted(picture, 0.5, PROMPT, refine) for refine in (0, 20)]
    back = [np.asarray(distilled.pipe(PROMPT, start=start, **options).image) for start in starts]
    apart = [np.abs(each - truth).max() for each in back]
    assert apart[1] <= 1 < apart[0]


def test_what_can_be_told_is_read_from_json_alone(model: Both, distilled: Both):
    for each in (model, distilled):
        assert capabilities_of(each.folder) == each.pipe.capabilities
    assert distilled.pipe.stage.suits.steps == 4
    assert model.pipe.stage.suits.guidance == (ClassifierFree(4.0),)


def test_words_that_weigh_and_texts_beyond_the_window_are_refused(distilled: Both):
    with pytest.raises(BadInput, match="no weights"):
        distilled.pipe("a (red:1.3) hat", **SIZE)
    with pytest.raises(BadInput, match="at most 512"):
        distilled.pipe("a" * 600, **SIZE)


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("vae/config.json", {"patch_size": [1, 1]}, ("vae", "patch_size")),
        ("transformer/config.json", {"guidance_embeds": True}, ("transformer", "lacks weights")),
        ("text_encoder/config.json", {"num_hidden_layers": 20}, ("text_encoder",)),
        ("text_encoder/model.safetensors", None, ("text_encoder", "damaged")),
        ("model_index.json", {"text_encoder": ["transformers", "Qwen2Model"]}, ("text_encoder", "Qwen3ForCausalLM")),
    ],
)
def test_a_broken_folder_is_one_sentence(model: Both, tmp_path: Path, file: str, change: Any, words: tuple[str, ...]):
    folder = Path(shutil.copytree(model.folder, tmp_path / "model"))
    path = folder / file
    if change is None:
        path.write_bytes(path.read_bytes()[:3000])
    else:
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BadInput) as caught:
        sfumato.load(folder)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value), str(caught.value)
