"""FLUX.2 klein, with `distilled` the one that paints in four steps without guidance; and FLUX.2 dev."""

from __future__ import annotations

from typing import Any

from . import qwen_tokenizer, seeded

NAME = "flux2"
SIZE = (64, 64)
CALL: dict[str, Any] = {}
CHANNELS, FACTOR = 12, 4  # of x, whose cells are 2 x 2 of the autoencoder's
WORDS = 16
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
INSTRUCT = (
    "<s>{% for message in messages %}{% set word = '[SYSTEM_PROMPT]' if message.role == 'system' else '[INST]' %}"
    "{{ word }}{{ message.content[0].text }}{{ word.replace('[', '[/') }}{% endfor %}"
)


def build(distilled: bool = False) -> Any:
    """The stock pipeline of [klein]."""
    import diffusers
    from transformers import Qwen3Config, Qwen3ForCausalLM

    seeded()
    chat = Qwen3Config(
        vocab_size=320,
        hidden_size=WORDS,
        intermediate_size=16,
        num_hidden_layers=28,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=1024,
        tie_word_embeddings=False,
    )
    reader = {"text_encoder": Qwen3ForCausalLM(chat).eval(), "tokenizer": tokenizer(CHAT)}
    return diffusers.Flux2KleinPipeline(**reader, **painter(guided=False), is_distilled=distilled)


def build_dev() -> Any:
    """The stock pipeline of [dev], whose texts are filled up at their beginning."""
    import diffusers
    from transformers import Mistral3Config, Mistral3ForConditionalGeneration

    seeded()
    text = {
        "model_type": "mistral",
        "vocab_size": 320,
        "hidden_size": WORDS,
        "intermediate_size": 16,
        "num_hidden_layers": 31,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "max_position_embeddings": 1024,
        "sliding_window": None,
    }
    vision = {
        "model_type": "pixtral",
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "image_size": 30,
        "patch_size": 6,
    }
    chat = Mistral3Config(text_config=text, vision_config=vision, image_token_index=1)
    reader = {"text_encoder": Mistral3ForConditionalGeneration(chat).eval(), "tokenizer": tokenizer(INSTRUCT, "left")}
    return diffusers.Flux2Pipeline(**reader, **painter(guided=True))


def tokenizer(template: str, side: str = "right") -> Any:
    made = qwen_tokenizer()
    made.chat_template, made.padding_side = template, side
    made.init_kwargs["padding_side"] = side  # which is what is saved
    return made


def painter(guided: bool) -> dict[str, Any]:
    """Transformer, autoencoder and scheduler."""
    import diffusers
    import torch

    transformer = diffusers.Flux2Transformer2DModel(
        patch_size=1,
        in_channels=CHANNELS,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=3 * WORDS,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=guided,
    )
    vae = diffusers.AutoencoderKLFlux2(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=CHANNELS // 4,
        norm_num_groups=4,
        sample_size=32,
    )
    vae.bn.running_mean.normal_(0, 0.3)
    vae.bn.running_var.copy_(torch.linspace(0.5, 2, CHANNELS))
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0)
    return {"scheduler": scheduler, "vae": vae.eval(), "transformer": transformer.eval()}


def guided(edit: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ours and stock's pipeline of an edit are told of guidance."""
    from sfumato.guide import ClassifierFree
    from stock.edits import photo

    seen = {"images": [photo(SIZE)]}  # stock's inpainting shows the picture beside
    return {**seen, "guidance": [ClassifierFree(4.0)]}, {"guidance_scale": 4.0}


def ended(theirs: Any, ours: Any, x: Any, end: Any) -> Any:
    """Stock's inpainting answers latents as the autoencoder decodes them: neither normed nor folded."""
    import torch

    vae = theirs.vae
    spread = torch.sqrt(vae.bn.running_var + vae.config.batch_norm_eps)
    plain = x * spread[:, None, None] + vae.bn.running_mean[:, None, None]
    return torch.nn.functional.pixel_shuffle(plain, 2)


def parity(theirs: Any, ours: Any, steps: int = 4) -> float:
    """Guided where it is not distilled; over our own grid, whose shift is that of as many steps."""
    from sfumato.guide import ClassifierFree
    from stock.compare import error, noise, shown, stock, walked

    guided = not theirs.config.get("is_distilled")
    x, size = noise(ours, SIZE), {"width": SIZE[0], "height": SIZE[1]}
    asked = {"prompt": "a red hat", "latents": x, "num_inference_steps": steps, **size}
    made = stock(theirs, **asked, **({"guidance_scale": 4.0} if guided else {}))
    guidance = [ClassifierFree(4.0)] if guided else []
    return error(shown(ours, walked(ours, x, "a red hat", guidance=guidance, steps=steps, **size)), made)
