from __future__ import annotations

import pytest

from sfumato.encode.clip_text import ClipText
from sfumato.network.clip_text_model import CLIP_TEXT
from sfumato.network.engine import Eager


@pytest.fixture(scope="module")
def text() -> ClipText:
    from transformers import CLIPTextModel, CLIPTokenizer

    from sfumato.zoo import ZOO

    encoder = CLIPTextModel.from_pretrained(ZOO / "mini" / "text_encoder", local_files_only=True)
    tokenizer = CLIPTokenizer.from_pretrained(ZOO / "mini" / "tokenizer", local_files_only=True)
    return ClipText(tokenizer, Eager().prepare(encoder.eval(), CLIP_TEXT), encoder.config.max_position_embeddings)
