"""ControlNets of transformers: the answer of stock networks, and edits with them."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stock import flux, flux_kontext, stable_diffusion_3, stirred
from stock.edits import half, photo

import sfumato
from sfumato.condition import Controls
from sfumato.control import ControlNet
from sfumato.edit import Outside
from sfumato.model.batch import Batch
from sfumato.network.flux_transformer import places, tokens
from sfumato.picture import BadInput


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, sfumato.Pipe, Path]:
    """FLUX.1 [dev], ours of it, and the folder of a ControlNet of its first blocks."""
    from diffusers import FluxControlNetModel

    place, stock = tmp_path_factory.mktemp("flux-control"), flux.build()
    stock.save_pretrained(place / "model")
    torch.manual_seed(1)
    config = {**stock.transformer.config, "num_layers": 1, "num_single_layers": 1}
    taken = signature(FluxControlNetModel.__init__).parameters
    known = {name: value for name, value in config.items() if name in taken}
    stirred(FluxControlNetModel(**known)).save_pretrained(place / "net")
    return stock, sfumato.load(place / "model"), place / "net"


def batch_of(pipe: sfumato.Pipe, size: tuple[int, int], *controls: Any, **options: Any) -> Batch:
    [recipe] = pipe.recipes("a red hat", controls=controls, width=size[0], height=size[1], **options)
    return Batch(pipe.stage.at(size), [pipe.resolve(recipe)], size)


def test_flux_with_a_controlnet_answers_as_stock_networks_do(dev):
    from diffusers import FluxControlNetModel

    stock, pipe, folder = dev
    shown = photo(flux.SIZE)
    batch = batch_of(pipe, flux.SIZE, ControlNet(shown, folder, 0.7))
    condition, backbone = batch.condition(), batch.stage.denoiser.backbone  # pyright: ignore[reportAttributeAccessIssue]
    torch.manual_seed(2)
    x, t = torch.randn(batch.like.shape), torch.tensor([0.6])
    text = condition.get(sfumato.condition.Text)
    told = {
        "encoder_hidden_states": text.embeds,
        "pooled_projections": text.pooled,
        "timestep": t,
        "guidance": condition.get(sfumato.condition.GuidanceScale).value,
        "img_ids": places(x, 0),
        "txt_ids": torch.zeros(text.embeds.shape[1], 3),
        "return_dict": False,
    }
    seen = tokens(batch.stage.space.encode(batch.control_map(batch.recipe.controls[0].picture)))
    with torch.no_grad():
        net = FluxControlNetModel.from_pretrained(folder)
        double, single = net(tokens(x), controlnet_cond=seen, conditioning_scale=0.7, **told)
        plain = stock.transformer(tokens(x), **told)[0]
        theirs = stock.transformer(
            tokens(x), controlnet_block_samples=double, controlnet_single_block_samples=single, **told
        )[0]
        ours = tokens(backbone(x, t, condition))
    assert float((ours - theirs).abs().max()) < 1e-5
    assert float((plain - theirs).abs().max()) > 1e-2


def test_stable_diffusion_3_with_a_controlnet_answers_as_stock_networks_do(tmp_path):
    from diffusers import SD3ControlNetModel

    stock = stable_diffusion_3.build()
    stock.save_pretrained(tmp_path / "model")
    torch.manual_seed(1)
    options: dict[str, Any] = {
        "num_layers": 1,
        "num_extra_conditioning_channels": 0,
        "load_weights_from_transformer": False,
    }
    net = stirred(SD3ControlNetModel.from_transformer(stock.transformer, **options))
    net.save_pretrained(tmp_path / "net")
    pipe, size = sfumato.load(tmp_path / "model"), stable_diffusion_3.SIZE
    batch = batch_of(pipe, size, ControlNet(photo(size), tmp_path / "net", 0.7))
    condition, backbone = batch.condition(), batch.stage.denoiser.backbone  # pyright: ignore[reportAttributeAccessIssue]
    torch.manual_seed(2)
    x, t = torch.randn(batch.like.shape), torch.tensor([0.6])
    text, space = condition.get(sfumato.condition.Text), batch.stage.space
    told = {"encoder_hidden_states": text.embeds, "timestep": 1000 * t, "return_dict": False}
    seen = space.encode(batch.control_map(batch.recipe.controls[0].picture)) + space.shift * space.scale
    with torch.no_grad():
        (found,) = net(
            x, controlnet_cond=seen, conditioning_scale=0.7, pooled_projections=torch.zeros_like(text.pooled), **told
        )
        theirs = stock.transformer(x, block_controlnet_hidden_states=found, pooled_projections=text.pooled, **told)[0]
        plain = stock.transformer(x, pooled_projections=text.pooled, **told)[0]
        ours = backbone(x, t, condition)
    assert float((ours - theirs).abs().max()) < 1e-5
    assert float((plain - theirs).abs().max()) > 1e-3


def test_a_mask_an_instruction_and_a_controlnet_in_one_run(tmp_path, dev):
    """Kontext looks at the picture, a ControlNet steers, a mask holds the rest to the byte."""
    flux_kontext.build().save_pretrained(tmp_path)
    pipe, size = sfumato.load(tmp_path), flux_kontext.SIZE
    picture, mask = photo(size), half(size)
    options = {"images": [picture], "hold": Outside(mask, picture), "steps": 3, "width": size[0], "height": size[1]}
    plain = np.asarray(pipe("make it red", seed=1, **options).image)
    steered = np.asarray(pipe("make it red", seed=1, controls=[ControlNet(photo(size, 3), dev[2])], **options).image)
    kept = np.asarray(mask) == 0
    assert (steered[kept] == np.asarray(picture)[kept]).all()
    assert np.abs(steered.astype(int) - plain)[~kept].max() > 3


def test_what_was_made_for_another_network_is_refused_by_name(dev, tiny_model, nets):
    _, pipe, folder = dev
    with pytest.raises(BadInput, match="made for another network"):
        batch_of(pipe, flux.SIZE, ControlNet(photo(flux.SIZE), nets["plain"])).condition()
    with pytest.raises(BadInput, match="made for another network"):
        batch_of(sfumato.load(tiny_model), (32, 32), ControlNet(photo((32, 32)), folder)).condition()
    with pytest.raises(BadInput, match="no guess mode"):
        batch_of(pipe, flux.SIZE, ControlNet(photo(flux.SIZE), folder, guess=True)).condition()
    assert batch_of(pipe, flux.SIZE).condition().get(Controls) is None
