"""CompVis' text encoder of latent diffusion (Rombach et al. 2022, section 4.3.1), which it was trained together with.

It has the names, fields and weights of diffusers' `LDMBertModel`, which belongs to a pipeline.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN

from sfumato.network.spec import Input, NetworkSpec, device_of


class LDMBertConfig(PretrainedConfig):
    model_type = "ldmbert"

    def __init__(
        self,
        vocab_size: int = 30522,
        max_position_embeddings: int = 77,
        encoder_layers: int = 32,
        encoder_ffn_dim: int = 5120,
        encoder_attention_heads: int = 8,
        head_dim: int = 64,
        activation_function: str = "gelu",
        d_model: int = 1280,
        pad_token_id: int = 0,
        **others: Any,
    ) -> None:
        self.vocab_size, self.max_position_embeddings = vocab_size, max_position_embeddings
        self.encoder_layers, self.encoder_ffn_dim = encoder_layers, encoder_ffn_dim
        self.num_hidden_layers = encoder_layers  # kept under both names
        self.encoder_attention_heads, self.head_dim = encoder_attention_heads, head_dim
        self.activation_function, self.d_model = activation_function, d_model
        others.pop("num_hidden_layers", None)
        super().__init__(**{"pad_token_id": pad_token_id, **others})


class SelfAttention(nn.Module):
    """Every token attends to every token, the padding too. The heads together may be narrower than the states."""

    def __init__(self, config: LDMBertConfig) -> None:
        super().__init__()
        self.heads, inner = config.encoder_attention_heads, config.encoder_attention_heads * config.head_dim
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(config.d_model, inner, bias=False) for _ in range(3))
        self.out_proj = nn.Linear(inner, config.d_model)

    def forward(self, states: Tensor) -> Tensor:
        q, k, v = (
            project(states).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        return self.out_proj(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class LDMBertLayer(nn.Module):
    """h + attention(norm(h)), then h + mlp(norm(h))."""

    def __init__(self, config: LDMBertConfig) -> None:
        super().__init__()
        self.self_attn_layer_norm, self.self_attn = nn.LayerNorm(config.d_model), SelfAttention(config)
        self.final_layer_norm = nn.LayerNorm(config.d_model)
        self.fc1 = nn.Linear(config.d_model, config.encoder_ffn_dim)
        self.fc2 = nn.Linear(config.encoder_ffn_dim, config.d_model)
        self.activation = ACT2FN[config.activation_function]

    def forward(self, states: Tensor) -> Tensor:
        states = states + self.self_attn(self.self_attn_layer_norm(states))
        return states + self.fc2(self.activation(self.fc1(self.final_layer_norm(states))))


class LDMBertEncoder(nn.Module):
    def __init__(self, config: LDMBertConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.d_model)
        self.embed_positions = nn.Embedding(config.max_position_embeddings, config.d_model)
        self.layers = nn.ModuleList(LDMBertLayer(config) for _ in range(config.encoder_layers))
        self.layer_norm = nn.LayerNorm(config.d_model)

    def forward(self, ids: Tensor) -> Tensor:
        states = self.embed_tokens(ids) + self.embed_positions(torch.arange(ids.shape[1], device=ids.device))
        for layer in self.layers:
            states = layer(states)
        return self.layer_norm(states)


class LDMBertModel(PreTrainedModel):
    """A transformer with its norms before the blocks, without masks."""

    config_class = LDMBertConfig
    base_model_prefix = "model"
    _keys_to_ignore_on_load_unexpected = [r"^to_logits\."]  # noqa: RUF012  # the head of its training

    def __init__(self, config: LDMBertConfig) -> None:
        super().__init__(config)
        self.model = LDMBertEncoder(config)
        self.post_init()

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids (B, L) -> the last hidden state (B, L, d_model), after the final norm."""
        return self.model(ids)


LDM_BERT = NetworkSpec(
    {"ids": Input(("rows", "tokens"), "int64")},
    lambda encoder, ids: encoder(ids.to(device_of(encoder))),
)
