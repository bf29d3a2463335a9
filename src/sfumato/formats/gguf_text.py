"""T5's encoder in a .gguf, as llama.cpp writes it: its tensors' names there and its vocabulary.

Such a file (t5-v1_1-xxl-encoder-Q8_0.gguf) carries T5's vocabulary: tokens, their scores and how texts are normalised.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"enc\.blk\.(\d+)\.(\w+)\.weight")
_INNER = {
    "attn_q": "layer.0.SelfAttention.q",
    "attn_k": "layer.0.SelfAttention.k",
    "attn_v": "layer.0.SelfAttention.v",
    "attn_o": "layer.0.SelfAttention.o",
    "attn_rel_b": "layer.0.SelfAttention.relative_attention_bias",
    "attn_norm": "layer.0.layer_norm",
    "ffn_gate": "layer.1.DenseReluDense.wi_0",
    "ffn_up": "layer.1.DenseReluDense.wi_1",
    "ffn_down": "layer.1.DenseReluDense.wo",
    "ffn_norm": "layer.1.layer_norm",
}
_OUTER = {"token_embd.weight": "shared.weight", "enc.output_norm.weight": "encoder.final_layer_norm.weight"}


def encoder_name(theirs: str) -> str:
    """transformers' name of a tensor of T5's encoder; any other name as it is."""
    if (match := _BLOCK.fullmatch(theirs)) and match[2] in _INNER:
        return f"encoder.block.{match[1]}.{_INNER[match[2]]}.weight"
    return _OUTER.get(theirs, theirs)


def save_vocabulary(path: Path, folder: Path) -> bool:
    """Writes the vocabulary that the file carries into `folder`, as transformers reads it; False where it has none."""
    from gguf import GGUFReader, Keys
    from transformers import T5TokenizerFast

    reader = GGUFReader(path)

    def said(key: str) -> Any:
        field = reader.get_field(key)
        return None if field is None else field.contents()

    words, scores = said(Keys.Tokenizer.LIST), said(Keys.Tokenizer.SCORES)
    if said(Keys.Tokenizer.MODEL) != "t5" or not words or not scores or len(words) != len(scores):
        return False
    normal = said(Keys.Tokenizer.PRECOMPILED_CHARSMAP)
    rules = {} if not normal else {"_spm_precompiled_charsmap": bytes(value & 255 for value in normal)}
    vocabulary = [(str(word), float(score)) for word, score in zip(words, scores, strict=True)]
    T5TokenizerFast(vocab=vocabulary, extra_ids=0, model_max_length=512, **rules).save_pretrained(folder)
    return True
