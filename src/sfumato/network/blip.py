"""BLIP: what a picture shows, in words (Li et al. 2022, "BLIP: Bootstrapping Language-Image Pre-training")."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfumato.lazy import torch
from sfumato.network.device import check_device
from sfumato.picture.errors import BadInput, printable
from sfumato.zoo.find import fetched

if TYPE_CHECKING:
    from PIL import Image

USUAL = "Salesforce/blip-image-captioning-base"
FILES = ["*.json", "model*.safetensors", "vocab.txt"]
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # CLIP's, of the training set


class Blip:
    """A captioner of transformers' format (`BlipForConditionalGeneration`): a folder, or a Hub id.

    blip(pictures) answers a caption each, the same whenever it is asked: by beam search, nothing is drawn. Pictures are
    resized to the network's square by Pillow's bicubic filter and normalised as its folder says.
    """

    def __init__(self, source: str = USUAL, device: str = "auto", beams: int = 3, longest: int = 40) -> None:
        from transformers import AutoTokenizer, BlipForConditionalGeneration

        folder = fetched(source, FILES, "the captioner")
        if (kind := _json(folder / "config.json").get("model_type")) != "blip":
            raise BadInput(f"{folder} holds a {printable(kind)}: captions are written by a BLIP.")
        self.device, self.beams, self.longest = check_device(device), beams, longest
        try:
            network: Any = BlipForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError, RuntimeError) as error:
            raise BadInput(
                f"The BLIP in {folder} can't be read ({printable(error, 150)}): copy or download it again."
            ) from error
        self.network = network.to(self.device).eval().requires_grad_(False)
        told = _json(folder / "preprocessor_config.json")
        self.size = int(network.config.vision_config.image_size)
        self.mean, self.std = (np.array(told.get(f"image_{k}", v)) for k, v in (("mean", MEAN), ("std", STD)))

    def __call__(self, pictures: Sequence[Image.Image]) -> list[str]:
        x = torch.from_numpy(np.stack([self.seen(each) for each in pictures])).to(self.device)
        with torch.no_grad():
            ids = self.network.generate(
                pixel_values=x, num_beams=self.beams, do_sample=False, max_new_tokens=self.longest
            )
        return [each.strip() for each in self.tokenizer.batch_decode(ids, skip_special_tokens=True)]

    def seen(self, picture: Image.Image) -> np.ndarray:
        """float32 (3, S, S), as the network is shown it."""
        from PIL import Image

        pixels = np.asarray(picture.resize((self.size, self.size), Image.Resampling.BICUBIC))
        return ((pixels / 255 - self.mean) / self.std).transpose(2, 0, 1).astype(np.float32)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
