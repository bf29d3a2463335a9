"""DeepFloyd IF's stages beside stock diffusers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from stock import deepfloyd_if, deepfloyd_if_upscale, stable_diffusion_upscale
from stock.compare import Both, error
from stock.deepfloyd_if import LARGE, NEGATIVE, SMALL, SUITED, WORDS, painted
from stock.edits import array, edits_keep_and_return, half, photo
from torch import Tensor

import sfumato
from sfumato import StageOptions
from sfumato.condition import Text
from sfumato.edit import Noise, Outside, PromptToPrompt, SDEdit
from sfumato.formats import capabilities_of
from sfumato.guide import ClassifierFree, PerturbedAttention
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import DDPM
from sfumato.times import TrailingGrid


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both.of(deepfloyd_if.build(), tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both.of(deepfloyd_if_upscale.build(), tmp_path_factory.mktemp("second"))


def test_the_first_stage_paints_as_the_stock_pipeline(first: Both):
    assert deepfloyd_if.parity(first.stock, first.pipe) < 1e-3
    theirs = painted(first.stock)
    assert error(first.ran("a cat", negative=NEGATIVE, **SUITED)[1], theirs) > 0.1
    bare = first.ran(WORDS, negative=NEGATIVE, **SUITED | {"guidance": [ClassifierFree(7.0)]})[1]
    assert error(bare, theirs) > 0.1, "thresholding acts"


def test_the_second_stage_enlarges_as_the_stock_pipeline(second: Both):
    assert deepfloyd_if_upscale.parity(second.stock, second.pipe) < 1e-3
    small = photo((SMALL, SMALL))
    theirs = painted(second.stock, image=small)
    assert error(second.ran(WORDS, negative=NEGATIVE, images=[photo((SMALL, SMALL), 1)], **SUITED)[1], theirs) > 0.1
    assert error(painted(second.stock, image=small, noise_level=100), theirs) > 1e-2
    larger = photo((5 * SMALL, 5 * SMALL))
    made = [larger, larger.resize((SMALL, SMALL), Image.Resampling.LANCZOS)]
    assert torch.equal(*(second.ran(WORDS, images=[each], **SUITED)[1] for each in made))
    with pytest.raises(BadInput, match="larger"):
        second.pipe(WORDS, steps=1)


def test_their_makers_settings_are_what_suits_them(first: Both, second: Both, tmp_path: Path):
    for both, steps, scale, largest in ((first, 100, 7.0, 1.5), (second, 50, 4.0, 1.0)):
        suits = both.pipe.stage.suits
        threshold: Any = suits.guidance[1]
        assert (suits.steps, suits.guidance[0]) == (steps, ClassifierFree(scale))
        assert (threshold.percentile, threshold.largest) == (0.95, largest)
        assert suits.sampler == DDPM("learned")
        assert capabilities_of(both.folder) == both.pipe.capabilities
    folder = changed(first.folder, tmp_path, "scheduler/scheduler_config.json", timestep_spacing="trailing")
    assert sfumato.load(folder).stage.suits.times == TrailingGrid()


def test_words_are_read_small_and_the_network_sees_the_filling(first: Both):
    stage = first.pipe.stage
    text = stage.encode(first.pipe.recipes("A CAT", steps=1)).get(Text)
    with torch.no_grad():
        embeds = first.stock.encode_prompt("a cat", do_classifier_free_guidance=False)[0]
    assert text is not None
    assert text.mask is None
    torch.testing.assert_close(text.embeds, embeds, rtol=0, atol=1e-5)
    with pytest.raises(BadInput, match="at most 76"):
        first.pipe("a cat " * 40, steps=1)


def test_every_edit_works_on_the_first_stage(first: Both):
    edits_keep_and_return(first.pipe, (SMALL, SMALL))


def test_the_second_stage_holds_what_is_outside_a_mask(second: Both):
    size = (LARGE, LARGE)
    picture, mask = photo(size), half(size)
    said: dict[str, Any] = {"images": [photo((SMALL, SMALL))], "steps": 2}
    made = second.pipe(WORDS, start=SDEdit(picture, 0.6), hold=Outside(mask, picture), **said).image
    kept = array(mask)[..., 0] == 0
    assert (array(made)[kept] == array(picture)[kept]).all()
    assert (array(made)[~kept] != array(picture)[~kept]).any()


def test_attention_to_words_and_picture_at_once_is_not_directed(first: Both):
    for asked in ({"guidance": [PerturbedAttention()]}, {"attention": PromptToPrompt("a dog")}):
        with pytest.raises(BadInput, match="can't be directed"):
            first.pipe("a cat", steps=1, **asked)


@pytest.fixture(scope="module")
def third(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both.of(stable_diffusion_upscale.build(), tmp_path_factory.mktemp("third"))


@pytest.fixture(scope="module")
def cascade(first: Both, second: Both, third: Both) -> sfumato.Pipe:
    return sfumato.load(f"{first.folder} + {second.folder} + {third.folder}")


THIRD = StageOptions("upscale 2", [ClassifierFree(5.0)], "ddim", "trailing", 4)


def test_the_cascade_paints_as_the_stock_pipelines_one_after_the_other(
    first: Both, second: Both, third: Both, cascade: sfumato.Pipe, monkeypatch: pytest.MonkeyPatch
):
    from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_upscale

    assert [stage.name for stage in cascade.stages] == ["picture", "upscale", "upscale 2"]
    assert cascade.size == (2 * LARGE, 2 * LARGE)
    ends: list[Tensor] = []
    space = cascade.stages[2].space
    decode = space.decode
    monkeypatch.setattr(space, "decode", lambda x: (ends.append(x), decode(x))[1])
    stages = [StageOptions("upscale", steps=4), THIRD]
    made = cascade(WORDS, negative=NEGATIVE, steps=4, seed=3, stages=stages)
    assert made.image.size == cascade.size
    noise = KeyedNoise([3])
    large = painted(second.stock, stage="upscale", image=painted(first.stock))
    shown = noise(torch.zeros(1, 3, LARGE, LARGE), "low resolution")
    monkeypatch.setattr(pipeline_stable_diffusion_upscale, "randn_tensor", lambda *_, **__: shown)
    theirs = third.stock(
        WORDS, image=large, latents=noise(torch.zeros_like(ends[-1]), "upscale 2", "start"), noise_level=20,
        guidance_scale=5.0, negative_prompt=NEGATIVE, num_inference_steps=4, output_type="latent",
    ).images  # fmt: skip
    assert error(ends[-1], theirs) < 1e-3
    other = cascade("a cat", negative=NEGATIVE, steps=4, seed=3, stages=stages)
    assert (array(other.image) != array(made.image)).any()


def test_what_is_held_stays_to_the_byte_through_the_cascade(cascade: sfumato.Pipe):
    picture, mask = photo(cascade.size), half(cascade.size)
    kept = array(mask)[..., 0] == 0
    stages = [StageOptions("upscale", steps=2), THIRD]
    for start, hold in ((SDEdit(picture, 0.6), None), (Noise(), Outside(mask, picture))):
        made = array(cascade(WORDS, start=start, hold=hold, steps=2, stages=stages).image)
        assert hold is None or (made[kept] == array(picture)[kept]).all()
        assert (made[~kept] != array(picture)[~kept]).any()
    assert cascade(WORDS, start=SDEdit(picture, 0.0), steps=2).image.tobytes() == picture.tobytes()
    with pytest.raises(BadInput, match="reference picture"):
        cascade(WORDS, images=[picture], steps=1)


def changed(folder: Path, to: Path, file: str, **changes: Any) -> Path:
    copy = Path(shutil.copytree(folder, to / "model"))
    (copy / file).write_text(json.dumps({**json.loads((copy / file).read_text()), **changes}))
    return copy


@pytest.mark.parametrize(
    ("stage", "file", "changes", "said"),
    [
        ("first", "model_index.json", {"text_encoder": [None, None]}, "text_encoder"),
        ("first", "model_index.json", {"_class_name": "IFSuperResolutionPipeline"}, "image_noising_scheduler"),
        ("first", "unet/config.json", {"addition_embed_type": None}, "add_embedding"),
        ("first", "unet/config.json", {"encoder_hid_dim": 32}, "unet .* has weights of other shapes"),
        ("first", "unet/config.json", {"flavour": 1}, "flavour"),
        ("first", "scheduler/scheduler_config.json", {"variance_type": "learned"}, "learned_range"),
        ("first", "scheduler/scheduler_config.json", {"_class_name": "EDMEulerScheduler"}, "EDMEulerScheduler"),
        ("second", "model_index.json", {"_class_name": "IFPipeline"}, "image_noising_scheduler"),
        ("second", "unet/config.json", {"class_embed_type": None}, "class_embedding"),
        ("second", "image_noising_scheduler/scheduler_config.json", {"flavour": 1}, "image_noising_scheduler"),
    ],
)
def test_a_folder_that_does_not_fit_together_is_one_sentence(
    request: pytest.FixtureRequest, tmp_path: Path, stage: str, file: str, changes: dict, said: str
):
    folder = changed(request.getfixturevalue(stage).folder, tmp_path, file, **changes)
    with pytest.raises(BadInput, match=said) as caught:
        sfumato.load(folder)
    assert "\n" not in str(caught.value)


def test_a_part_that_is_missing_or_cut_short_is_named(first: Both, tmp_path: Path):
    folder = Path(shutil.copytree(first.folder, tmp_path / "model"))
    shutil.move(folder / "text_encoder", tmp_path)
    with pytest.raises(BadInput, match="text_encoder"):
        sfumato.load(folder)
    shutil.move(tmp_path / "text_encoder", folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(BadInput, match="unet") as caught:
        sfumato.load(folder)
    assert "\n" not in str(caught.value)
