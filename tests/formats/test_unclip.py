"""unCLIP and stable unCLIP beside stock diffusers: each stage after the other, from the same noise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from stock import stable_unclip, unclip
from stock.compare import Both, error, families
from stock.stages import exact, recipe_of, start, walked
from stock.unets import SIDE

import sfumato
from sfumato import Outside, SDEdit
from sfumato.formats import capabilities_of
from sfumato.guide import ClassifierFree, PerturbedAttention, StaticThreshold
from sfumato.picture import BadInput
from sfumato.sample import DDIM, DDPM
from sfumato.times import LinspaceGrid, TrailingGrid

PROMPT = "a red boat on the sea"
SIZE, SMALL = (SIDE, SIDE), (SIDE // 2, SIDE // 2)
BUILT = {
    "words": unclip.build,
    "picture": unclip.variations,
    "stable": stable_unclip.build,
    "stable picture": stable_unclip.variations,
}


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Both]:
    """family("words"): both pipelines of it."""

    def exactly(both: Both) -> None:
        for part in both.stock.components.values():
            if hasattr(part, "alphas_cumprod"):
                exact(part)

    return families(BUILT, tmp_path_factory, exactly)


@pytest.mark.parametrize("name", ["words", "picture"])
def test_words_or_a_picture_become_a_small_picture_and_a_large_one(
    family: Callable[[str], Both], name: str, picture: Pillow.Image
):
    both = family(name)
    *_, decoder, upsampler = both.pipe.stages
    assert (both.pipe.size, upsampler.scale) == (SIZE, 2)
    assert unclip.parity(both.stock, both.pipe, picture if name == "picture" else None) < 1e-5
    x, large, seen = start(decoder, SMALL), start(upsampler, SIZE), torch.randn(1, 3, *SMALL)
    painted, other = (walked(upsampler, large, recipe_of(upsampler), SIZE, each) for each in (seen, seen.roll(3, -1)))
    assert error(other, painted) > 1e-2, "the upsampler sees the small picture"
    told = {"images": [picture]} if name == "picture" else {}
    before = None if told else torch.randn(1, decoder.encoders[0].width)  # pyright: ignore
    guided, plain = (
        walked(decoder, x, recipe_of(decoder, "" if told else PROMPT, **told, **more), SMALL, before)
        for more in ({}, {"guidance": ()})
    )
    assert error(plain, guided) > 1e-2


def test_the_last_step_of_the_upsampler_has_a_network_of_its_own(family: Callable[[str], Both]):
    stage = family("words").pipe.stages[-1]
    asked: list[str] = []
    hooks = [
        network.register_forward_pre_hook(lambda *_, name=name: asked.append(name))
        for name, network in stage.networks.items()
    ]
    x = start(stage, SIZE)
    for times in (LinspaceGrid(), TrailingGrid()):
        walked(stage, x, recipe_of(stage, steps=7, times=times), SIZE, x)
    for hook in hooks:
        hook.remove()
    own = ["super_res_first"] * 6
    assert asked == [*own, "super_res_last", *own, "super_res_first"], "a walk that ends elsewhere has no such step"


def test_what_suits_each_stage_is_what_its_makers_do(family: Callable[[str], Both]):
    prior, decoder, upsampler = (stage.suits for stage in family("words").pipe.stages)
    assert (prior.steps, prior.guidance, prior.sampler) == (
        25,
        (ClassifierFree(4.0), StaticThreshold(limit=5.0)),
        DDPM(),
    )
    assert (decoder.steps, decoder.guidance) == (25, (ClassifierFree(8.0), StaticThreshold(limit=1.0)))
    assert decoder.sampler == DDPM(variance="learned")
    assert (upsampler.steps, upsampler.guidance, upsampler.times) == (7, (StaticThreshold(limit=1.0),), LinspaceGrid())


@pytest.mark.parametrize("name", ["stable", "stable picture"])
def test_stable_unclip_is_told_a_noised_embedding_beside_the_words(
    family: Callable[[str], Both], name: str, picture: Pillow.Image
):
    both = family(name)
    assert stable_unclip.parity(both.stock, both.pipe, picture if "picture" in name else None) < 1e-3
    decoder = both.pipe.stage
    x = start(decoder, SIZE)
    recipe = recipe_of(decoder, PROMPT, images=[picture] if "picture" in name else [], sampler=DDIM())
    one, other = (walked(decoder, x, recipe, SIZE, torch.randn(1, 32)) for _ in range(2))
    assert error(other, one) > 1e-2


@pytest.mark.parametrize("name", BUILT)
def test_pictures_and_edits_from_end_to_end(
    family: Callable[[str], Both], name: str, picture: Pillow.Image, mask: Pillow.Image
):
    both = family(name)
    pipe, stable = both.pipe, name.startswith("stable")
    assert capabilities_of(both.folder) == pipe.capabilities
    shown = {"images": [picture]} if "picture" in name else {}
    made = pipe(PROMPT, seed=1, steps=2, **shown)
    assert made.image.size == SIZE
    assert [each.stage for each in made.recipe.stages] == [
        *(["prior"] if not shown else []),
        *(["upscale"] if not stable else []),
    ]
    assert pipe("a dog", seed=1, steps=2, **shown).image.tobytes() != made.image.tobytes()
    edited = pipe(PROMPT, start=SDEdit(picture, 0.5), hold=Outside(mask), steps=2, **shown).image
    kept = np.asarray(mask) == 0
    assert np.array_equal(np.asarray(edited)[kept], np.asarray(picture)[kept])
    assert not np.array_equal(np.asarray(edited)[~kept], np.asarray(picture)[~kept])
    guided = {"guidance": [PerturbedAttention()], "steps": 1, **shown}
    if stable:
        assert pipe(PROMPT, **guided).image.size == SIZE
    else:
        with pytest.raises(BadInput, match="attention can't be directed"):
            pipe(PROMPT, **guided)
    if shown:
        with pytest.raises(BadInput, match="like another"):
            pipe(PROMPT, steps=1)


@pytest.mark.parametrize(
    ("name", "file", "changes", "said"),
    [
        ("words", "text_proj/config.json", {"time_embed_dim": 32}, "text_proj"),
        ("words", "text_proj/config.json", {"flavour": 1}, "flavour"),
        ("words", "decoder/config.json", {"in_channels": 4}, "decoder"),
        ("words", "decoder/config.json", {"class_embed_type": None}, "class_embed_type"),
        ("words", "super_res_last/config.json", {"out_channels": 5}, "super_res_last"),
        ("words", "super_res_first/config.json", {"sample_size": 24}, "super_res_first"),
        ("words", "super_res_scheduler/scheduler_config.json", {"flavour": 1}, "flavour"),
        ("words", "model_index.json", {"prior": [None, None]}, "prior"),
        ("picture", "model_index.json", {"image_encoder": ["transformers", "CLIPTextModel"]}, "image_encoder"),
        ("stable", "image_normalizer/config.json", {"embedding_dim": 16}, "image_normalizer"),
        ("stable", "unet/config.json", {"class_embed_type": "timestep"}, "class_embed_type"),
        ("stable", "model_index.json", {"prior_tokenizer": [None, None]}, "prior_tokenizer"),
        ("stable picture", "image_noising_scheduler/scheduler_config.json", {"beta_schedule": "x"}, "image_noising"),
    ],
)
def test_a_folder_that_does_not_fit_together_is_one_sentence(
    family: Callable[[str], Both], tmp_path: Path, name: str, file: str, changes: dict, said: str
):
    folder = Path(shutil.copytree(family(name).folder, tmp_path / "model"))
    (folder / file).write_text(json.dumps({**json.loads((folder / file).read_text()), **changes}))
    with pytest.raises(BadInput, match=said) as caught:
        sfumato.load(folder)
    assert "\n" not in str(caught.value)
