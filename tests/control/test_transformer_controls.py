"""ControlNets of transformers: the answer of stock networks, and edits with them."""

from __future__ import annotations

from dataclasses import replace
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from stock import controls, flux, flux_kontext, qwen_image, sana, stable_diffusion_3, stirred, z_image
from stock.compare import walked
from stock.edits import half, photo

import sfumato
from sfumato.condition import Controls, Text
from sfumato.control import ControlNet
from sfumato.edit import Outside, SDEdit
from sfumato.guide import ClassifierFree
from sfumato.model.batch import Batch
from sfumato.network.flux_transformer import places, tokens
from sfumato.picture import BadInput
from sfumato.schedule import Flow


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


@pytest.mark.parametrize("mode", [None, 1])
def test_flux_with_a_controlnet_answers_as_stock_networks_do(dev, mode, tmp_path):
    """A union of several kinds is told the number of one, in a token of its own."""
    from diffusers import FluxControlNetModel

    stock, pipe, folder = dev
    if mode is not None:
        config = FluxControlNetModel.load_config(folder) | {"num_mode": 3}
        torch.manual_seed(4)
        folder = tmp_path
        stirred(FluxControlNetModel.from_config(config)).save_pretrained(folder)
    shown = photo(flux.SIZE)
    batch = batch_of(pipe, flux.SIZE, ControlNet(shown, folder, 0.7, mode=mode))
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
        kind = None if mode is None else torch.tensor([[mode]])
        double, single = net(tokens(x), controlnet_cond=seen, controlnet_mode=kind, conditioning_scale=0.7, **told)
        plain = stock.transformer(tokens(x), **told)[0]
        theirs = stock.transformer(
            tokens(x), controlnet_block_samples=double, controlnet_single_block_samples=single, **told
        )[0]
        ours = tokens(backbone(x, t, condition))
    assert float((ours - theirs).abs().max()) < 1e-5
    assert float((plain - theirs).abs().max()) > 1e-2


@pytest.mark.parametrize("inpaints", [False, True])
def test_stable_diffusion_3_with_a_controlnet_answers_as_stock_networks_do(tmp_path, monkeypatch, inpaints):
    """One that was trained to inpaint is shown what the stock pipeline makes of a picture and a mask."""
    from diffusers import SD3ControlNetModel, StableDiffusion3ControlNetInpaintingPipeline
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    stock = stable_diffusion_3.build()
    stock.save_pretrained(tmp_path / "model")
    torch.manual_seed(1)
    options: dict[str, Any] = {
        "num_layers": 1,
        "num_extra_conditioning_channels": int(inpaints),
        "load_weights_from_transformer": False,
    }
    net = stirred(SD3ControlNetModel.from_transformer(stock.transformer, **options))
    net.save_pretrained(tmp_path / "net")
    pipe, size = sfumato.load(tmp_path / "model"), stable_diffusion_3.SIZE
    held = {"hold": Outside(half(size), photo(size, 4))} if inpaints else {}
    batch = batch_of(pipe, size, ControlNet(photo(size), tmp_path / "net", 0.7), **held)
    condition, backbone = batch.condition(), batch.stage.denoiser.backbone  # pyright: ignore[reportAttributeAccessIssue]
    torch.manual_seed(2)
    x, t = torch.randn(batch.like.shape), torch.tensor([0.6])
    text, space = condition.get(sfumato.condition.Text), batch.stage.space
    told = {"encoder_hidden_states": text.embeds, "timestep": 1000 * t, "return_dict": False}
    seen = space.encode(batch.control_map(batch.recipe.controls[0].picture)) + space.shift * space.scale
    if inpaints:
        monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mean)
        pipeline = StableDiffusion3ControlNetInpaintingPipeline(**stock.components, controlnet=net)
        with torch.no_grad():
            seen = pipeline.prepare_image_with_mask(photo(size), half(size), *size, 1, 1, "cpu", torch.float32)
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


class Controlled:
    """A stock pipeline, ours of it, and two ControlNets with their folders."""

    def __init__(self, family: Any, place: Path, *nets: Any) -> None:
        self.size, self.stock = family.SIZE, family.build()
        self.stock.set_progress_bar_config(disable=True)
        self.stock.save_pretrained(place / "model")
        self.pipe, network = sfumato.load(place / "model"), self.stock.transformer
        channels = self.pipe.stage.space.channels
        made = nets or (controls.controlnet(network, channels), controls.controlnet(network, channels, 2))
        self.nets, self.folders = made, [place / f"net{i}" for i in range(len(made))]
        for net, folder in zip(self.nets, self.folders, strict=True):
            net.save_pretrained(folder)

    @property
    def start(self) -> torch.Tensor:
        space = self.pipe.stage.space
        shape = (1, space.channels, self.size[1] // space.factor, self.size[0] // space.factor)
        return torch.randn(shape, generator=torch.Generator().manual_seed(1))

    def ours(self, *shown: ControlNet, **options: Any) -> torch.Tensor:
        said = {"steps": 4, "width": self.size[0], "height": self.size[1], "controls": shown, **options}
        return walked(self.pipe, self.start, "a red hat", **said)

    def theirs(self, pipeline: Any, **options: Any) -> torch.Tensor:
        pipeline.set_progress_bar_config(disable=True)
        asked = {"num_inference_steps": 4, "width": self.size[0], "height": self.size[1], **options}
        return pipeline("a red hat", output_type="latent", **asked).images


@pytest.fixture(scope="module")
def z(tmp_path_factory: pytest.TempPathFactory) -> Controlled:
    return Controlled(z_image, tmp_path_factory.mktemp("z-image"))


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Controlled:
    return Controlled(qwen_image, tmp_path_factory.mktemp("qwen"))


def apart(ours: torch.Tensor, theirs: torch.Tensor, plain: torch.Tensor) -> None:
    """Ours is theirs, and the control shows."""
    assert float((ours - theirs).abs().max()) < 1e-4 * float(theirs.std())
    assert float((ours - plain).abs().max()) > 1e-2 * float(theirs.std())


@pytest.mark.parametrize(("refines", "more"), [(None, 0), ("control_layers", 3), ("control_noise_refiner", 0)])
def test_z_image_with_a_controlnet_paints_as_the_stock_pipeline(z, tmp_path, refines, more):
    from diffusers import ZImageControlNetModel, ZImageControlNetPipeline

    stirred(controls.z_image(z.stock.transformer, refines, more), 3).save_pretrained(tmp_path)
    picture, net = photo(z.size), ZImageControlNetModel.from_pretrained(tmp_path)
    joined = ZImageControlNetModel.from_transformer(net, z.stock.transformer)
    pipeline = ZImageControlNetPipeline(**z.stock.components, controlnet=joined)
    options = {"guidance": [ClassifierFree.from_w(3.0)], "negative": "blue, and a long text of other things, many"}
    theirs = z.theirs(
        pipeline, control_image=picture, controlnet_conditioning_scale=0.7, guidance_scale=3.0, latents=z.start,
        negative_prompt=options["negative"],
    )  # fmt: skip
    apart(z.ours(ControlNet(picture, tmp_path, 0.7), **options), theirs, z.ours(**options))


def test_qwen_image_with_a_controlnet_paints_as_the_stock_pipeline(qwen, monkeypatch):
    """Unguided: guided, stock adds to the unconditional side what it found for the words. It draws a sample of the
    map's latents; here their mean."""
    from diffusers import QwenImageControlNetPipeline
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mean)
    picture, latents = photo(qwen.size), tokens(qwen.start)
    pipeline = QwenImageControlNetPipeline(**qwen.stock.components, controlnet=qwen.nets[0])
    theirs = qwen.theirs(
        pipeline, control_image=picture, controlnet_conditioning_scale=0.7, true_cfg_scale=1.0, latents=latents
    )
    ours, plain = (qwen.ours(*shown, guidance=[]) for shown in ([ControlNet(picture, qwen.folders[0], 0.7)], []))
    apart(tokens(ours), theirs, tokens(plain))


def test_qwen_image_inpaints_by_a_controlnet_as_the_stock_pipeline(qwen, monkeypatch, tmp_path):
    """It is shown the picture, and the run's mask; a mask of the control itself would say where it acts."""
    from diffusers import QwenImageControlNetInpaintPipeline, QwenImageControlNetModel
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mean)
    plain_net = QwenImageControlNetModel.from_pretrained(qwen.folders[0])
    net = stirred(QwenImageControlNetModel(**{**plain_net.config, "extra_condition_channels": 4}), 5)
    net.save_pretrained(tmp_path)
    picture, mask = photo(qwen.size), half(qwen.size)
    pipeline = QwenImageControlNetInpaintPipeline(**qwen.stock.components, controlnet=net)
    asked = {"controlnet_conditioning_scale": 0.7, "true_cfg_scale": 1.0, "latents": tokens(qwen.start)}
    theirs = qwen.theirs(pipeline, control_image=picture, control_mask=mask, **asked)
    control, held = ControlNet(picture, tmp_path, 0.7), {"hold": Outside(mask, picture), "guidance": []}
    ours, plain = (qwen.ours(*shown, **held) for shown in ([control], []))
    apart(tokens(ours), theirs, tokens(plain))
    with pytest.raises(BadInput, match="trained to inpaint: show it the picture"):
        qwen.ours(control)


def test_z_image_inpaints_by_a_controlnet_as_the_stock_pipeline(z, tmp_path, monkeypatch):
    from diffusers import ZImageControlNetInpaintPipeline, ZImageControlNetModel
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mean)
    more = z.pipe.stage.space.channels + 1
    stirred(controls.z_image(z.stock.transformer, "control_layers", more), 3).save_pretrained(tmp_path)
    joined = ZImageControlNetModel.from_transformer(
        ZImageControlNetModel.from_pretrained(tmp_path), z.stock.transformer
    )
    pipeline = ZImageControlNetInpaintPipeline(**z.stock.components, controlnet=joined)
    picture, mask, shown = photo(z.size), half(z.size), photo(z.size, 4)
    asked = {"controlnet_conditioning_scale": 0.7, "guidance_scale": 0.0, "latents": z.start}
    theirs = z.theirs(pipeline, image=picture, mask_image=mask, control_image=shown, **asked)
    control, held = ControlNet(shown, tmp_path, 0.7), {"hold": Outside(mask, picture), "guidance": []}
    apart(z.ours(control, **held), theirs, z.ours(control, guidance=[]))


def test_sana_with_a_controlnet_paints_as_the_stock_pipeline(tmp_path):
    from diffusers import SanaControlNetPipeline

    family = SimpleNamespace(SIZE=sana.SIZE, build=lambda: sana.build(dpm=False))
    both = Controlled(family, tmp_path)
    picture = photo(both.size)
    pipeline = SanaControlNetPipeline(**both.stock.components, controlnet=both.nets[0])
    theirs = both.theirs(
        pipeline, control_image=picture, controlnet_conditioning_scale=0.7, guidance_scale=4.5, latents=both.start,
        use_resolution_binning=False,
    )  # fmt: skip
    sigmas = both.stock.scheduler.sigmas.double()
    said = {"knots": Flow(3.0).time(sigmas / (1 - sigmas)), "sampler": "euler"}
    apart(both.ours(ControlNet(picture, both.folders[0], 0.7), **said), theirs, both.ours(**said))


@pytest.mark.parametrize("sized", [False, True])
def test_pixart_with_a_controlnet_is_its_equations(tmp_path, sized):
    """There is no stock pipeline: c_1 = copy_1(h_1 + before(p)), c_i = copy_i(c_i-1), h_i+1 = block(h_i + after(c_i))
    with h_1 what the first block answers and p the map's patches (Chen et al. 2024, "PIXART-delta", section 4)."""
    from stock import pixart

    family = SimpleNamespace(SIZE=pixart.SIZE, build=lambda: pixart.build(not sized, 128 if sized else 16))
    both = Controlled(family, tmp_path)
    batch = batch_of(both.pipe, both.size, ControlNet(photo(both.size), both.folders[0], 0.7))
    condition, backbone = batch.condition(), batch.stage.denoiser.backbone  # pyright: ignore[reportAttributeAccessIssue]
    x, t, network, text = both.start, torch.tensor([600.0]), both.stock.transformer, condition.get(Text)
    block, first = both.nets[0].controlnet_blocks[0], network.transformer_blocks[0]
    shown = network.pos_embed(batch.stage.space.encode(batch.control_map(batch.recipe.controls[0].picture)))
    sizes = {"resolution": torch.tensor([[16.0, 32.0]]), "aspect_ratio": torch.tensor([[0.5]])}
    told = {"encoder_hidden_states": text.embeds, "encoder_attention_mask": text.mask, "timestep": t}
    told |= {"added_cond_kwargs": sizes if sized else dict.fromkeys(sizes), "return_dict": False}

    def steer(module: Any, args: Any, named: Any, answer: torch.Tensor) -> torch.Tensor:
        found = block.transformer_block(answer + block.before_proj(shown), **named)
        return answer + 0.7 * block.after_proj(found)

    with torch.no_grad():
        plain = network(x, **told)[0]
        hook = first.register_forward_hook(steer, with_kwargs=True)
        theirs = network(x, **told)[0]
        hook.remove()
        apart(backbone(x, t, condition), theirs, plain)


@pytest.mark.parametrize("family", ["z", "qwen"])
def test_controlnets_of_transformers_add_up_and_keep_to_their_places(family, request):
    """Two at once are the same in any order; of weight 0, or where a black mask keeps them, nothing changes to the bit;
    a mask of the hold keeps the rest to the byte."""
    both: Controlled = request.getfixturevalue(family)
    pictures, black = [photo(both.size), photo(both.size, 3)], half(both.size).point(lambda _: 0)
    first, second = (ControlNet(*each) for each in zip(pictures, both.folders, strict=True))
    plain = both.ours()
    torch.testing.assert_close(both.ours(first, second), both.ours(second, first), rtol=0, atol=1e-5)
    assert float((both.ours(first, second) - both.ours(first)).abs().max()) > 1e-2
    assert torch.equal(both.ours(first * 0), plain)
    assert torch.equal(both.ours(replace(first, mask=black)), plain)
    assert torch.equal(both.ours(replace(first, mask=black.point(lambda _: 255))), both.ours(first))
    assert float((both.ours(replace(first, mask=half(both.size))) - both.ours(first)).abs().max()) > 1e-3
    picture, mask = photo(both.size, 5), half(both.size)
    options = {"start": SDEdit(picture, 0.8), "hold": Outside(mask), "controls": [first, second], "steps": 3}
    edited = both.pipe("a red hat", width=both.size[0], height=both.size[1], seed=2, **options).image
    kept = np.asarray(mask) == 0
    assert (np.asarray(edited)[kept] == np.asarray(picture)[kept]).all()


def test_controlnets_with_more_or_fewer_blocks_act_at_once(dev, tmp_path):
    """Each gives every block of FLUX its own share: two together are the sum of both, not of some of their blocks."""
    from sfumato.network.residuals import Residuals, each_block

    a, b = torch.randn(2, 1, 3, 4)
    shared = Residuals(each_block([a, b], 5)).map(lambda each: each * 2).plus(Residuals((a, None, b)))
    expected = [3 * a, 2 * a, 2 * a + b, 2 * b, 2 * b]
    assert all(torch.allclose(x, y) for x, y in zip(shared.skips, expected, strict=True))
    assert shared.skips[3] is shared.skips[4]
    stock, pipe, folder = dev
    torch.manual_seed(4)
    taken = signature(type(stock.transformer).__init__).parameters
    from diffusers import FluxControlNetModel

    config = {**stock.transformer.config, "num_layers": 2, "num_single_layers": 0}
    known = {n: v for n, v in config.items() if n in taken and n in signature(FluxControlNetModel.__init__).parameters}
    stirred(FluxControlNetModel(**known)).save_pretrained(tmp_path)
    both = [ControlNet(photo(flux.SIZE), folder), ControlNet(photo(flux.SIZE, 3), tmp_path)]
    made = pipe("a red hat", steps=2, width=flux.SIZE[0], height=flux.SIZE[1], seed=1, controls=both).image
    assert made.size == flux.SIZE


def test_what_was_made_for_another_network_is_refused_by_name(dev, tiny_model, nets):
    _, pipe, folder = dev
    with pytest.raises(BadInput, match="made for another network"):
        batch_of(pipe, flux.SIZE, ControlNet(photo(flux.SIZE), nets["plain"])).condition()
    with pytest.raises(BadInput, match="made for another network"):
        batch_of(sfumato.load(tiny_model), (32, 32), ControlNet(photo((32, 32)), folder)).condition()
    with pytest.raises(BadInput, match="no guess mode"):
        batch_of(pipe, flux.SIZE, ControlNet(photo(flux.SIZE), folder, guess=True)).condition()
    assert batch_of(pipe, flux.SIZE).condition().get(Controls) is None
