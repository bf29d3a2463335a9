"""Tiny pipelines of stock diffusers, random weights: one file a family, each with

    NAME: the family's name in `sfumato.formats`
    build() -> the stock pipeline that makes pictures from words (or, where it can't, from a picture), seeded, float32
    SIZE: (width, height) of its pictures; CALL: further arguments of a call of it
    parity(theirs, ours) -> the largest difference, over the deviation of theirs, between what the two pipelines make of
        the same noise and words, guided as the family is: for its test and for the benchmark
    guided(edit) -> what ours and stock's pipeline of an edit are told of guidance, where stock has one: for `beside`,
        which compares them; UNLIKE: edits of which stock's pipeline does something else, and what; ended: our latents
        as those pipelines answer them, where that is in another form

`save_pretrained` of what `build` gives is the folder that our formats read; `benchmarks/families.py` goes through them.
Tokenizers are made here, so that nothing is fetched.
"""

from __future__ import annotations

import string
from typing import Any

import torch

WORDS = (
    *("a", "an", "the", "in", "on", "of", "with", "red", "blue", "green"),
    *("hat", "boat", "cat", "dog", "sea", "night", "painting", "photo", "portrait", "make", "it"),
)


def seeded(seed: int = 0) -> None:
    """Before networks are built: the same weights every time."""
    torch.manual_seed(seed)


def stirred(network: Any, seed: int = 0) -> Any:
    """The network with every weight that is zero at the start of training moved away from it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            if not weight.any():
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.1)
    return network.eval()


def clip_tokenizer(window: int = 77) -> Any:
    """A CLIPTokenizer of letters and a few words."""
    from transformers import CLIPTokenizer

    letters = [*string.ascii_lowercase, *string.digits, ",", "."]
    pieces = [*letters, *(letter + "</w>" for letter in letters)]
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            pair = (parts[0], parts[1])
            if pair not in merges:
                merges.append(pair)
            parts = [parts[0] + parts[1], *parts[2:]]
            if parts[0] not in pieces:
                pieces.append(parts[0])
    vocab = {piece: index for index, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=window)


def t5_tokenizer(window: int = 32) -> Any:
    """A T5TokenizerFast of letters and a few words."""
    from transformers import T5TokenizerFast

    pieces = ["<pad>", "</s>", "<unk>", "▁", *("▁" + word for word in WORDS), *string.ascii_lowercase, *string.digits]
    pieces += [mark for mark in ",.:!'" if mark not in pieces]
    vocab = [
        (piece, 0.0 if piece in ("<pad>", "</s>", "<unk>") else -float(2 + index / 100))
        for index, piece in enumerate(pieces)
    ]
    return T5TokenizerFast(vocab=vocab, extra_ids=0, model_max_length=window)


def qwen_tokenizer(window: int = 512) -> Any:
    """A Qwen2 tokenizer of bytes, with its marks of a chat."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2TokenizerFast

    vocab = {piece: index for index, piece in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Qwen2TokenizerFast(vocab=vocab, merges=[], model_max_length=window)
    marks = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    return tokenizer
