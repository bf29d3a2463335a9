"""Classifier and CLIP guidance asked for by a recipe: networks from folders, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import sfumato
from sfumato import BadInput, ClassifierFree, ClassifierGuidance, ClipGuidance, Recipe
from sfumato.encode.clip import WAVES, load_clip
from sfumato.network.classifier import Classifier
from sfumato.space.pixels import to_tensor

NAMES = ("boat", "cat", "Tree")


@pytest.fixture(scope="module")
def painter(tiny_model, tmp_path_factory) -> Path:
    """The tiny latent model with a CLIP of clean pictures and one of noisy latents beside it, of random weights."""
    from transformers import CLIPConfig, CLIPModel, CLIPTextModel, CLIPTokenizer, CLIPVisionConfig

    folder = tmp_path_factory.mktemp("painter") / "model"
    shutil.copytree(tiny_model, folder)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    text = CLIPTextModel.from_pretrained(folder / "text_encoder").config.to_dict()
    for name, size, channels in (("clip", 24, 3), ("clip_noised", 16, 4 + 2 * WAVES)):
        torch.manual_seed(1)
        tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
        image = CLIPVisionConfig(**tower, num_channels=channels, image_size=size, patch_size=8)
        config = CLIPConfig(text_config=text, vision_config=image.to_dict(), projection_dim=8)
        if name == "clip_noised":
            config.noise = {"schedule": {"kind": "squaredcos_cap_v2"}, "channels": 4}
        network = CLIPModel(config)
        network.visual_projection.weight.data.mul_(20)
        network.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="module")
def pipe(painter):
    return sfumato.load(painter)


def drawn(pipe, *guidance, **options):
    options = {"steps": 4, "sampler": "ddim", "seed": 3, **options}
    return pipe("a red boat" if pipe.capabilities.text else "", guidance=guidance, **options)


def likeness(painter: Path, image) -> float:
    clip = load_clip(painter / "clip")
    picture = torch.nn.functional.interpolate(to_tensor([image]), (24, 24), mode="bilinear", antialias=True)
    return float(torch.cosine_similarity(clip.image(picture), clip.text(["a red boat"])))


@pytest.mark.parametrize("through", ["x0", "network"])
def test_a_clean_clip_finds_the_guided_picture_more_like_its_caption(pipe, painter, through):
    plain = drawn(pipe, ClassifierFree(2.0))
    for cutouts in (1, 3):
        guided = drawn(pipe, ClassifierFree(2.0), ClipGuidance(3.0, through, interval=(0.0, 0.9), cutouts=cutouts))
        assert likeness(painter, guided.image) > likeness(painter, plain.image) + 0.01


def test_a_noised_clip_changes_the_picture_and_redo_makes_it_again(pipe):
    guided = drawn(pipe, ClipGuidance(3.0))
    assert np.asarray(guided.image).tolist() != np.asarray(drawn(pipe).image).tolist()
    again = pipe.run(Recipe.from_json(guided.recipe.to_json()))
    assert again.recipe.made.pixels == guided.recipe.made.pixels


def test_each_picture_of_a_batch_climbs_to_its_own_caption(pipe):
    recipes = [drawn(pipe, ClipGuidance(3.0, "x0", interval=(0.0, 0.9)), steps=2, seed=s).recipe for s in (1, 2)]
    recipes[1] = sfumato.recipe.Recipe.from_json(recipes[1].to_json().replace("a red boat", "a blue house"))
    together = pipe.run(recipes).images
    for image, recipe in zip(together, recipes, strict=True):
        difference = np.asarray(image).astype(int) - np.asarray(pipe.run(recipe).image).astype(int)
        assert abs(difference).max() <= 1
    own = drawn(pipe, ClipGuidance(3.0, "x0", prompt="a blue house"), steps=2, seed=1)
    assert np.asarray(own.image).tolist() != np.asarray(together[0]).tolist()


def test_what_clip_guidance_can_not_do_is_said(pipe, painter, tiny_model, tmp_path):
    with pytest.raises(BadInput, match="needs a caption"):
        pipe("", guidance=[ClipGuidance()], steps=1)
    with pytest.raises(BadInput, match="has no clip_noised/ of its own"):
        drawn(sfumato.load(tiny_model), ClipGuidance())
    with pytest.raises(BadInput, match="no clip called 'nowhere'"):
        drawn(pipe, ClipGuidance(1.0, "x0", clip="nowhere"))
    with pytest.raises(BadInput, match="sees clean pictures alone"):
        drawn(pipe, ClipGuidance(clip=str(painter / "clip")))
    with pytest.raises(BadInput, match="sees noisy pictures"):
        drawn(pipe, ClipGuidance(1.0, "x0", clip=str(painter / "clip_noised")))
    with pytest.raises(BadInput, match="cutouts are windows of a clean picture"):
        ClipGuidance(cutouts=4)
    with pytest.raises(BadInput, match="'clean' is unknown"):
        ClipGuidance(through="clean")
    with pytest.raises(BadInput, match="low <= high"):
        ClipGuidance(interval=(0.9, 0.1))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadInput, match="can't be read"):
        load_clip(tmp_path)


@pytest.fixture(scope="module")
def classes(pixel_model, tmp_path_factory) -> Path:
    """A tiny class-conditional model of pixels with a classifier of its classes, all of random weights."""
    folder = tmp_path_factory.mktemp("classes") / "model"
    shutil.copytree(pixel_model(), folder)
    _classifier(NAMES, 3).save(folder / "classifier", torch.float32)
    return folder


def _classifier(names, channels) -> Classifier:
    torch.manual_seed(2)
    made = Classifier(names, channels, (16,), (1,), 4, {"kind": "linear"})
    made.head.weight.data.mul_(30)
    return made


def surety(image, label: str) -> float:
    logits = _classifier(NAMES, 3).logits(to_tensor([image]), torch.zeros(1))
    return float(logits.detach().log_softmax(1)[0, NAMES.index(label)])


def test_classifier_guidance_makes_the_classifier_surer(classes):
    pipe = sfumato.load(classes)
    for label in NAMES:
        plain = drawn(pipe, label=label).image
        for sampler in ("ddim", "ddpm"):
            guided = drawn(pipe, ClassifierGuidance(5.0, interval=(0.0, 0.9)), label=label, sampler=sampler)
            assert surety(guided.image, label) > surety(plain, label)


def test_a_model_that_is_told_nothing_is_guided_by_the_guidances_own_label(classes, pixel_model):
    unconditional = sfumato.load(pixel_model(how=None))
    named = str(classes / "classifier")
    plain = drawn(unconditional).image
    guided = drawn(unconditional, ClassifierGuidance(5.0, named, (0.0, 0.9), "cat"))
    assert surety(guided.image, "cat") > surety(plain, "cat")
    assert guided.recipe.guidance[0].label == "cat"
    conditional = sfumato.load(classes)
    null = drawn(conditional, ClassifierGuidance(5.0, interval=(0.0, 0.9), label=1))
    assert surety(null.image, "cat") > surety(drawn(conditional).image, "cat")


def test_what_classifier_guidance_can_not_do_is_said(classes, pixel_model, pipe, tmp_path):
    model, named = sfumato.load(classes), str(classes / "classifier")
    with pytest.raises(BadInput, match="give the guidance a label of its own"):
        drawn(sfumato.load(pixel_model(how=None)), ClassifierGuidance(1.0, named))
    with pytest.raises(BadInput, match="Classifier guidance needs a class: give the recipe a label"):
        drawn(model, ClassifierGuidance())
    with pytest.raises(BadInput, match="'dog' is no class"):
        drawn(model, ClassifierGuidance(label="dog"), label="cat")
    with pytest.raises(BadInput, match="reads pixels of 3 channels and this model draws latents"):
        drawn(pipe, ClassifierGuidance(1.0, named, label="cat"))
    with pytest.raises(BadInput, match="reads pixels of 3 channels and this model draws 1 channels"):
        drawn(sfumato.load(pixel_model(channels=1)), ClassifierGuidance(1.0, named), label="cat")
    with pytest.raises(BadInput, match="has no classifier/ of its own"):
        drawn(sfumato.load(pixel_model()), ClassifierGuidance(), label="cat")
    with pytest.raises(BadInput, match="no classifier called 'x'"):
        drawn(model, ClassifierGuidance(1.0, "x"), label="cat")
    _classifier(("dog", "cow"), 3).save(tmp_path, torch.float32)
    with pytest.raises(BadInput, match="classes \\(dog, cow\\) are not this model's"):
        drawn(model, ClassifierGuidance(1.0, str(tmp_path)), label="cat")
    with pytest.raises(BadInput, match="scale is -1"):
        ClassifierGuidance(-1)
