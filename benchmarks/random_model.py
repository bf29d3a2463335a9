"""A model of random weights in the classes, shapes and folder format of `mini`, for what needs no trained weights.

Run: python benchmarks/random_model.py FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from sfumato.data import vignettes
from sfumato.train import recipe as r
from sfumato.train.tasks.autoencoder import kl_network
from sfumato.train.tasks.clip import clip_network
from sfumato.train.tasks.diffusion import model_index, scheduler_config, unet
from sfumato.train.tokens import save_tokenizer, train_tokenizer


def build(
    folder: Path,
    parameterization: str = "v",
    *,
    unet_shape: r.UNet | None = None,
    autoencoder: r.KLNetwork | None = None,
    clip: r.ClipNetwork | None = None,
    size: int = 64,
    seed: int = 0,
) -> Path:
    """Write the model into `folder`; what is not given has the shape that the training recipes have by default.

    Random layers answer faintly: the decoder and the cross-attention are made stronger, so that a picture fills its
    range and words matter, and a wrong picture is far from the right one.
    """
    torch.manual_seed(seed)
    clip = clip or r.ClipNetwork()
    captions = [caption for i in range(400) for caption in vignettes.scene(0, i).captions]
    tokenizer = train_tokenizer(captions, clip.vocabulary, clip.length)
    vae = kl_network(autoencoder or r.KLNetwork(), size)
    cells = size // 2 ** (len(vae.config["block_out_channels"]) - 1)
    network = unet(unet_shape or r.UNet(), cells, vae.config["latent_channels"], clip.text.width)
    text = clip_network(clip, tokenizer, size).text_model
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "attn2.to_out.0.weight" in name:
                weight.mul_(8)
        latents = torch.randn(4, vae.config["latent_channels"], cells, cells)
        vae.register_to_config(scaling_factor=1.0)
        vae.decoder.conv_out.weight.mul_(0.5 / vae.decode(latents).sample.std())

    from transformers import CLIPTextModel

    encoder = CLIPTextModel(text.config)
    encoder.load_state_dict(text.state_dict())
    network.save_pretrained(folder / "unet")
    vae.save_pretrained(folder / "vae")
    encoder.save_pretrained(folder / "text_encoder")
    save_tokenizer(tokenizer, folder / "tokenizer")
    (folder / "scheduler").mkdir(exist_ok=True)
    objective = r.Objective.model_validate({"parameterization": parameterization})
    for name, value in {
        "scheduler/scheduler_config.json": scheduler_config(objective),
        "model_index.json": model_index(),
    }.items():
        (folder / name).write_text(json.dumps(value, indent=2), encoding="utf-8")
    return folder


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
