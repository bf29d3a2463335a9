"""A byte-pair encoding in CLIP's file format, trained on captions (Sennrich et al. 2016; Radford et al. 2021)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from torch import Tensor

BEGIN, END = "<|startoftext|>", "<|endoftext|>"


def train_tokenizer(captions: Iterable[str], vocabulary: int, length: int) -> Any:
    """A transformers CLIPTokenizer whose vocabulary is, in CLIP's order: 256 bytes, the same with `</w>`, the merges
    learnt from `captions`, then begin and end of text. At most `vocabulary` entries; texts are `length` tokens long."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    base = alphabet + [letter + "</w>" for letter in alphabet]
    rules = CLIPTokenizer().backend_tokenizer  # CLIP's own normalizer and splitting, with no vocabulary yet
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer, learner.pre_tokenizer = rules.normalizer, rules.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 2, end_of_word_suffix="</w>", initial_alphabet=alphabet, show_progress=False
    )  # fmt: skip
    learner.train_from_iterator(captions, trainer)
    merges: list[Any] = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    merges = merges[: vocabulary - 2 - len(base)]
    names = list(dict.fromkeys(base + ["".join(pair) for pair in merges] + [BEGIN, END]))
    return CLIPTokenizer(vocab={name: i for i, name in enumerate(names)}, merges=merges, model_max_length=length)


def encode(tokenizer: Any, texts: list[str]) -> Tensor:
    """Token ids, LongTensor (B, length): begin, text cut to fit, end, padded with end-of-text as CLIP is."""
    return tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids


def without_padding(tokenizer: Any, ids: Tensor) -> Tensor:
    """The ids up to the end of the longest text: attention is causal, so that the padding beyond it changes nothing."""
    return ids[:, : int((ids != tokenizer.eos_token_id).sum(1).max()) + 1]
