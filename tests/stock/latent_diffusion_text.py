"""CompVis' latent diffusion told words: tiny, random."""

from __future__ import annotations

import string
from typing import Any

from stock import WORDS, seeded
from stock.unets import WIDTH, autoencoder, unet

NAME = "latent-diffusion-text"
SIZE = (64, 64)  # eight pixels a cell: its stock pipeline knows no other
CALL: dict[str, Any] = {"guidance_scale": 5.0}


def bert_tokenizer() -> Any:
    from transformers import BertTokenizer

    letters = [*string.ascii_lowercase, *string.digits, ",", "."]
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = dict.fromkeys([*marks, *WORDS, *letters, *(f"##{letter}" for letter in letters)])
    return BertTokenizer(vocab={piece: index for index, piece in enumerate(pieces)}, model_max_length=77)


def build(codebook: bool = False) -> Any:
    """codebook: with a `VQModel` for its autoencoder."""
    from diffusers import DDIMScheduler, LDMTextToImagePipeline, VQModel
    from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion import LDMBertConfig, LDMBertModel

    seeded()
    tokenizer = bert_tokenizer()
    bert = LDMBertConfig(
        vocab_size=len(tokenizer),
        encoder_layers=2,
        encoder_ffn_dim=48,
        encoder_attention_heads=2,
        head_dim=8,
        d_model=WIDTH,
    )
    blocks: dict[str, Any] = {
        "block_out_channels": (8, 8, 8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
    }
    vq = {"latent_channels": 4, "num_vq_embeddings": 16, "norm_num_groups": 4, "scaling_factor": 0.18215}
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        timestep_spacing="trailing",
        set_alpha_to_one=True,
    )
    return LDMTextToImagePipeline(
        vqvae=VQModel(**blocks, **vq).eval() if codebook else autoencoder(**blocks),
        bert=LDMBertModel(bert).eval(),
        tokenizer=tokenizer,
        unet=unet(sample_size=8),
        scheduler=scheduler,
    )


def parity(theirs: Any, ours: Any) -> float:
    """Decoded: the stock pipeline gives no latents."""
    from stock.compare import decoded_apart, noise, walked

    theirs.set_progress_bar_config(disable=True)
    x, said = noise(ours, SIZE, 5), {"width": SIZE[0], "height": SIZE[1]}
    asked = {"num_inference_steps": 5, "eta": 0.0, "output_type": "np", **said, **CALL}
    made = theirs("a red hat on the Sea", latents=x, **asked).images
    return decoded_apart(made, ours, walked(ours, x, "a red hat on the Sea", steps=5, times="trailing", **said))
