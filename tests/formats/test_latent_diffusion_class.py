"""CompVis' latent diffusion told a class: a folder, and a file in its makers' names, beside stock networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from stock import latent_diffusion, seeded
from stock.compare import ran
from stock.unets import unet

import sfumato
from sfumato.formats.convert import convert
from sfumato.formats.key_names import write_tensors
from sfumato.formats.labels import write_labels
from sfumato.formats.ldm_names import autoencoder_names, unet_names
from sfumato.formats.write import save_network, write_json, write_scheduler
from sfumato.guide import ClassifierFree
from sfumato.picture import BadInput

CLASSES, WIDTH, STEPS = 4, 12, 4


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    """The networks, the scheduler, and the embeddings of four classes and of none."""
    from diffusers import VQModel

    made = latent_diffusion.parts()
    seeded(2)
    return {
        "vqvae": VQModel(
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(32, 32),
            layers_per_block=2,
            latent_channels=3,
            num_vq_embeddings=16,
            scaling_factor=1.0,
        ).eval(),
        "unet": unet(
            3,
            out_channels=3,
            block_out_channels=(32, 64),
            attention_head_dim=1,
            norm_num_groups=32,
            sample_size=64,
            cross_attention_dim=WIDTH,
        ),
        "scheduler": made["scheduler"],
        "embedding": 3 * torch.randn(CLASSES + 1, WIDTH),
    }


def saved(parts: dict[str, Any], folder: Path, pipeline: str = "LDMClassToImagePipeline") -> Path:
    index: dict[str, Any] = {"_class_name": pipeline, "scheduler": ["diffusers", "DDIMScheduler"]}
    for name in ("unet", "vqvae"):
        save_network(parts[name], folder / name)
        index[name] = ["diffusers", type(parts[name]).__name__]
    config = {**parts["scheduler"].config, "_class_name": "DDIMScheduler"}
    write_scheduler(folder / "scheduler", config)
    write_json(folder / "model_index.json", index)
    if "embedding" in parts:
        write_labels(folder, ["cat", "dog", "boat", "hat"], "token", parts["embedding"])
    return folder


def single(parts: dict[str, Any], path: Path) -> Path:
    """The same in CompVis' names."""
    tensors = {
        **write_tensors(parts["unet"].state_dict(), "model.diffusion_model.", unet_names(1, {0})),
        **write_tensors(parts["vqvae"].state_dict(), "first_stage_model.", autoencoder_names(2)),
        "cond_stage_model.embedding.weight": parts["embedding"],
    }
    save_file(tensors, path)
    return path


def theirs(parts: dict[str, Any], x: torch.Tensor, predict: Any) -> torch.Tensor:
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler.from_config(parts["scheduler"].config, set_alpha_to_one=True)
    scheduler.set_timesteps(STEPS)
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(predict(x, t), t, x).prev_sample
    return x


def test_a_folder_of_classes_paints_as_stock_networks_do(parts: dict[str, Any], tmp_path: Path):
    pipe = sfumato.load(saved(parts, tmp_path))
    assert pipe.classes == ("cat", "dog", "boat", "hat")
    token = parts["embedding"][[2, 4]][:, None]

    def guided(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        told, untold = parts["unet"](torch.cat([x, x]), t, token).sample.chunk(2)
        return untold + 3.0 * (told - untold)

    options = {"sampler": "ddim", "times": "trailing", "steps": STEPS, "width": 32, "height": 32}
    start, end = ran(pipe, label="boat", guidance=[ClassifierFree(3.0)], **options)
    torch.testing.assert_close(end, theirs(parts, start, guided), rtol=1e-4, atol=1e-4)
    other = ran(pipe, label="cat", guidance=[ClassifierFree(3.0)], **options)[1]
    assert float((other - end).abs().max()) > 0.05
    assert pipe(label=3, steps=1).image.size == (128, 128)  # what its makers' schedule and guidance make of it
    with pytest.raises(BadInput, match="give a label instead"):
        pipe("a boat")


def test_a_file_in_its_makers_names_is_the_folder(parts: dict[str, Any], tmp_path: Path):
    """Its classes have no names there, and its table of betas is that of its makers."""
    file = single(parts, tmp_path / "cin256.safetensors")
    pipe, again = sfumato.load(file), sfumato.load(convert(file, tmp_path / "again"))
    folder = sfumato.load(saved(parts, tmp_path / "folder"))
    assert pipe.classes == again.classes == tuple("0123")
    for name in ("unet", "vqvae"):
        ours, wanted = pipe.stage.networks[name].state_dict(), folder.stage.networks[name].state_dict()
        assert set(ours) == set(wanted)
        assert all(torch.equal(ours[key], wanted[key]) for key in ours)
        config = dict(folder.stage.networks[name].config)
        assert {key: value for key, value in pipe.stage.networks[name].config.items() if key in CHECKED} == {
            key: value for key, value in config.items() if key in CHECKED
        }
    alpha, _ = pipe.stage.denoiser.schedule(1.0)
    betas = torch.linspace(0.0015**0.5, 0.0195**0.5, 1000, dtype=torch.float64) ** 2
    torch.testing.assert_close(alpha**2, (1 - betas).prod(), rtol=1e-6, atol=0)
    one, other = (np.asarray(each(label=2, steps=2, width=32, height=32).image, int) for each in (pipe, again))
    assert np.abs(one - other).max() <= 1


CHECKED = ("block_out_channels", "layers_per_block", "cross_attention_dim", "attention_head_dim", "num_vq_embeddings")


def test_a_network_that_embeds_classes_is_told_one(tmp_path: Path):
    """diffusers' LDMPipeline with a UNet2DModel of `num_class_embeds`, as its training scripts write it."""
    from diffusers import UNet2DModel

    parts = latent_diffusion.parts()
    seeded(4)
    config = {name: value for name, value in parts["unet"].config.items() if name[0] != "_"}
    parts["unet"] = UNet2DModel(**{**config, "num_class_embeds": 3}).eval()
    pipe = sfumato.load(saved(parts, tmp_path, "LDMPipeline"))
    assert pipe.classes == ("0", "1", "2")
    options = {"sampler": "ddim", "times": "trailing", "steps": STEPS, "guidance": []}
    start, end = ran(pipe, label=1, **options)

    def told(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return parts["unet"](x, t, torch.tensor([1])).sample

    torch.testing.assert_close(end, theirs(parts, start, told), rtol=1e-4, atol=1e-4)
    assert float((ran(pipe, label=2, **options)[1] - end).abs().max()) > 1e-3
    with pytest.raises(BadInput, match="label"):
        pipe(steps=1, guidance=[])


def test_embeddings_that_do_not_fit_are_refused(parts: dict[str, Any], tmp_path: Path):
    for embedding, said in ((parts["embedding"][:, :8], "5 x 8.*must be 5 x 12"), (parts["embedding"][:4], "4 x 12")):
        folder = saved({**parts, "embedding": embedding}, tmp_path / str(len(embedding.shape) + embedding.shape[1]))
        with pytest.raises(BadInput, match=f"holds embeddings of {said}"):
            sfumato.load(folder)
    folder = saved({name: value for name, value in parts.items() if name != "embedding"}, tmp_path / "none")
    with pytest.raises(BadInput, match="holds embeddings of none"):
        sfumato.load(folder)
