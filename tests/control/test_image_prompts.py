"""Pictures as prompts of transformers: the pictures of stock pipelines, nothing changed where nothing is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from stock import flux, image_prompts, stable_diffusion_3
from stock.compare import Both, error, noise, ran, shown, stock, walked
from stock.edits import half, photo

from sfumato import IPAdapter
from sfumato.edit import Outside, SDEdit
from sfumato.guide import ClassifierFree, Distilled
from sfumato.picture import BadInput

PROMPT, STEPS, SCALE = "a red hat", 3, 0.7


def ours(both: Both, size: tuple[int, int], *controls: Any, **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """What the network was given first, and what the decoder is."""
    said = {"steps": STEPS, "width": size[0], "height": size[1], "seed": 3, "controls": controls, **options}
    start, end = ran(both.pipe, PROMPT, **said)
    return start, shown(both.pipe, end)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both.of(flux.build(), tmp_path_factory.mktemp("flux-prompts") / "model")


@pytest.fixture(scope="module")
def sd3(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both.of(stable_diffusion_3.build(), tmp_path_factory.mktemp("sd3-prompts") / "model")


@pytest.mark.parametrize("xlabs", [False, True])
def test_flux_with_an_image_prompt_paints_as_the_stock_pipeline(dev, tmp_path, xlabs):
    """XLabs' names and diffusers'; a negative side looks at black."""
    weights, picture = image_prompts.flux(dev.pipe.stage.networks["transformer"], tmp_path, xlabs), photo((40, 40))
    guidance = [Distilled(3.5), ClassifierFree(2.0)]
    start, end = ours(dev, flux.SIZE, IPAdapter(picture, tmp_path, SCALE), guidance=guidance, negative="blue")
    _, plain = ours(dev, flux.SIZE, guidance=guidance, negative="blue")
    pipeline = type(dev.stock)(**flux.build().components)
    image_prompts.taught(pipeline, tmp_path, weights, SCALE)
    asked = {"negative_prompt": "blue", "true_cfg_scale": 2.0, "num_inference_steps": STEPS, "guidance_scale": 3.5}
    theirs = stock(
        pipeline, PROMPT, latents=start, width=flux.SIZE[0], height=flux.SIZE[1], ip_adapter_image=picture, **asked
    )
    assert error(end, theirs) < 1e-4
    assert error(plain, theirs) > 1e-2


@pytest.mark.parametrize("later", [False, True])
def test_stable_diffusion_3_with_an_image_prompt_paints_as_the_stock_pipeline(tmp_path, later):
    """3, and 3.5 with two attentions in a block; guided: the unconditional side looks at zeros."""
    both = Both.of(stable_diffusion_3.build(later), tmp_path / "model")
    size, picture = stable_diffusion_3.SIZE, photo((40, 40))
    weights = image_prompts.sd3(both.pipe.stage.networks["transformer"], tmp_path)
    x = noise(both.pipe, size)
    pipeline = both.stock
    image_prompts.taught(pipeline, tmp_path, weights, SCALE)
    asked = {"negative_prompt": "blue", "guidance_scale": 3.0, "num_inference_steps": STEPS, "latents": x}
    theirs = stock(pipeline, PROMPT, width=size[0], height=size[1], ip_adapter_image=picture, **asked)
    sigmas = pipeline.scheduler.sigmas.double()
    knots = both.pipe.stage.denoiser.schedule.time(sigmas / (1 - sigmas))
    told = {"negative": "blue", "guidance": [ClassifierFree(3.0)], "width": size[0], "height": size[1]}
    prompts = ([IPAdapter(picture, tmp_path, SCALE)], [])
    end, plain = (shown(both.pipe, walked(both.pipe, x, PROMPT, knots, controls=each, **told)) for each in prompts)
    assert error(end, theirs) < 1e-4
    assert error(plain, theirs) > 1e-2


def test_redux_paints_as_the_stock_pipelines(dev, tmp_path):
    """The picture's words behind the text's; guided, the negative side reads its text alone."""
    prior = image_prompts.redux(dev.pipe.stage.networks["transformer"], tmp_path)
    picture = photo((40, 40))
    guidance = [Distilled(3.5), ClassifierFree(2.0)]
    start, end = ours(dev, flux.SIZE, IPAdapter(picture, tmp_path), guidance=guidance, negative="blue")
    _, plain = ours(dev, flux.SIZE, guidance=guidance, negative="blue")
    parts = {
        name: dev.stock.components[name] for name in ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
    }
    prior.register_modules(**parts)
    prior.set_progress_bar_config(disable=True)
    words = prior(picture, prompt=PROMPT)
    asked = {"negative_prompt": "blue", "true_cfg_scale": 2.0, "num_inference_steps": STEPS, "guidance_scale": 3.5}
    theirs = stock(dev.stock, latents=start, width=flux.SIZE[0], height=flux.SIZE[1], **words, **asked)
    assert error(end, theirs) < 1e-4
    assert error(plain, theirs) > 1e-2


@pytest.mark.parametrize("family", ["dev", "sd3"])
def test_what_has_no_say_changes_nothing_and_the_rest_is_held(family, request, tmp_path):
    both: Both = request.getfixturevalue(family)
    size, network = flux.SIZE, both.pipe.stage.networks["transformer"]
    assert size == stable_diffusion_3.SIZE
    image_prompts.save(network, tmp_path)
    prompt, black = IPAdapter(photo((40, 40)), tmp_path, SCALE), Image.new("L", size)
    plain = ours(both, size)[1]
    looked = ours(both, size, prompt)[1]
    for control in (prompt * 0, replace(prompt, mask=black), replace(prompt, interval=(0.0, 0.01))):
        assert torch.equal(ours(both, size, control)[1], plain)
    first = replace(prompt, blocks=("transformer.0",))
    assert error(ours(both, size, first)[1], plain) > 1e-3
    weak = ours(both, size, replace(prompt, blocks=("transformer=0.5",)))[1]
    assert error(weak, ours(both, size, prompt * 0.5)[1]) < 1e-5
    assert error(weak, looked) > 1e-3
    assert torch.equal(ours(both, size, replace(prompt, mask=black.point(lambda _: 255)))[1], looked)
    parts = [ours(both, size, replace(prompt, mask=half(size)))[1], ours(both, size, prompt, prompt * 0.5)[1]]
    assert all(error(part, looked) > 1e-4 for part in parts)
    if family == "dev":  # its one double block is all of them
        assert torch.equal(ours(both, size, first)[1], looked)
    picture, mask = photo(size, 5), half(size)
    options = {"start": SDEdit(picture, 0.8), "hold": Outside(mask), "controls": [prompt], "steps": 3, "seed": 2}
    edited = both.pipe("a red hat", width=size[0], height=size[1], **options).image
    kept = np.asarray(mask) == 0
    assert (np.asarray(edited)[kept] == np.asarray(picture)[kept]).all()


def test_what_was_made_for_another_network_is_refused_by_name(dev, sd3, nets, tmp_path):
    def paint(both: Both, folder: Path, **options: Any) -> None:
        control = IPAdapter(photo((40, 40)), folder, **options)
        both.pipe(PROMPT, width=flux.SIZE[0], height=flux.SIZE[1], steps=1, controls=[control])

    image_prompts.flux(dev.pipe.stage.networks["transformer"], tmp_path / "flux")
    image_prompts.sd3(sd3.pipe.stage.networks["transformer"], tmp_path / "sd3")
    image_prompts.redux(dev.pipe.stage.networks["transformer"], tmp_path / "redux")
    for both, name in ((dev, "sd3"), (sd3, "flux")):
        with pytest.raises(BadInput, match="made for another network"):
            paint(both, tmp_path / name)
    for both in (dev, sd3):
        with pytest.raises(BadInput, match="made for another network"):
            paint(both, nets["ip"])
    with pytest.raises(BadInput, match=r"no double blocks in transformer\.7"):
        paint(dev, tmp_path / "flux", blocks=("transformer.7",))
    with pytest.raises(BadInput, match=r"words are FLUX\.1's alone"):
        paint(sd3, tmp_path / "redux")
    with pytest.raises(BadInput, match="leave blocks and mask out"):
        paint(dev, tmp_path / "redux", blocks=("transformer.0",))
    file = tmp_path / "redux" / "image_embedder" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-40])
    (tmp_path / "redux" / "image_embedder" / "config.json").touch()
    with pytest.raises(BadInput, match="can't be read"):
        paint(dev, tmp_path / "redux")
