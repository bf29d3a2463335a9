"""The small networks between a prior and its decoder: unCLIP's projections, stable unCLIP's normaliser.

Both have the names, fields and weights of diffusers' classes, which belong to its pipelines.
"""

from __future__ import annotations

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn


class UnCLIPTextProjModel(ModelMixin, ConfigMixin):
    """An image embedding for a decoder: some tokens before the words', and a vector beside the time's, to which the
    text's pooled embedding is added (Ramesh et al. 2022, section 2.1). In its unconditional branch the image embedding
    is a learned one."""

    @register_to_config
    def __init__(
        self,
        *,
        clip_extra_context_tokens: int = 4,
        clip_embeddings_dim: int = 768,
        time_embed_dim: int,
        cross_attention_dim: int,
    ) -> None:
        super().__init__()
        width, self.extra = clip_embeddings_dim, clip_extra_context_tokens
        self.learned_classifier_free_guidance_embeddings = nn.Parameter(torch.zeros(width))
        self.embedding_proj = nn.Linear(width, time_embed_dim)
        self.clip_image_embeddings_project_to_time_embeddings = nn.Linear(width, time_embed_dim)
        self.clip_extra_context_tokens_proj = nn.Linear(width, clip_extra_context_tokens * cross_attention_dim)
        self.encoder_hidden_states_proj = nn.Linear(width, cross_attention_dim)
        self.text_encoder_hidden_states_norm = nn.LayerNorm(cross_attention_dim)

    def forward(self, image: Tensor, pooled: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """(tokens (B, K + L, cross_attention_dim), added (B, time_embed_dim)) of image, pooled (B, width) and text
        (B, L, width)."""
        added = self.clip_image_embeddings_project_to_time_embeddings(image) + self.embedding_proj(pooled)
        tokens = self.clip_extra_context_tokens_proj(image).unflatten(1, (-1, self.extra))
        words = self.text_encoder_hidden_states_norm(self.encoder_hidden_states_proj(text))
        return torch.cat([tokens.transpose(1, 2), words], 1), added


class StableUnCLIPImageNormalizer(ModelMixin, ConfigMixin):
    """Mean and standard deviation of image embeddings, number by number, (1, embedding_dim)."""

    @register_to_config
    def __init__(self, embedding_dim: int = 768) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(1, embedding_dim))
        self.std = nn.Parameter(torch.ones(1, embedding_dim))
