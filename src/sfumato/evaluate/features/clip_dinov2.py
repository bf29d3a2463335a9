"""CLIP and DINOv2 through transformers: folders in their format, or Hub ids."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sfumato.evaluate.features.extractor import FEATURES, FOLDERS, POOL, Extractor, Rows, fingerprint
from sfumato.evaluate.features.resize import bicubic
from sfumato.lazy import Tensor, torch
from sfumato.picture import BadInput
from sfumato.picture.errors import reason_of
from sfumato.zoo.find import fetched

USUAL = {"clip": "openai/clip-vit-large-patch14-336", "dinov2": "facebook/dinov2-large"}
KINDS = {
    "clip": "CLIPModel",
    "clip_vision_model": "CLIPVisionModelWithProjection",
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
}
FILES = ["config.json", "preprocessor_config.json", "model.safetensors*", "model-*.safetensors", "*.json", "*.txt"]


def load_clip_or_dinov2(name: str, weights: str | None) -> Extractor:
    """The network in the folder `weights` or of that Hub id; by default CLIP ViT-L/14 at 336 px, as CMMD takes it, or
    DINOv2 ViT-L/14.

    pool: CLIP's projected embedding of the picture, DINOv2's class token after the last norm. A CLIP with its text
    tower and tokenizer reads words as well. Pictures are resized (not cropped) by an antialiased bicubic filter to the
    network's size and normalised by the folder's preprocessor_config.json; without one they stay in [-1, 1].
    """
    folder = located(name, weights)
    config = _json(folder / "config.json")
    kind = config.get("model_type")
    if kind not in KINDS:
        raise BadInput(f"{folder} holds a {kind or 'nameless'} network: accepted are {', '.join(KINDS)}.")
    network = _network(folder, KINDS[kind])
    size = config.get("vision_config", config).get("image_size", 224)
    normalise, normalisation = _normalisation(folder)
    if not kind.startswith("clip"):
        size = _size(folder) or size
    preprocessing = f"antialiased bicubic to {size} x {size}, {normalisation}"

    def read(pictures: Tensor) -> Rows:
        x = normalise(bicubic(pictures, size))
        if kind == "clip":
            pooled = network.vision_model(pixel_values=x).pooler_output
            return {POOL: network.visual_projection(pooled)}
        outputs = network(pixel_values=x)
        return {POOL: outputs.image_embeds if kind == "clip_vision_model" else outputs.pooler_output}

    words = _reader(folder, network) if kind == "clip" else None
    return Extractor(_called(name, folder, weights), preprocessing, read, fingerprint(network, preprocessing), words)


def located(name: str, weights: str | None) -> Path:
    """A folder here, or the snapshot of a Hub id."""
    return fetched(weights or USUAL[name], FILES, f"the network of features {name}")


def _called(name: str, folder: Path, weights: str | None) -> str:
    return f"{name} ({weights or USUAL[name]})" if name in USUAL else name


def _network(folder: Path, kind: str) -> Any:
    import transformers

    transformers.utils.logging.disable_progress_bar()
    try:
        network = getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    except Exception as error:
        raise BadInput(
            f"The {kind} in {folder} can't be read ({reason_of(error)}): copy or download it again."
        ) from error
    finally:
        transformers.utils.logging.enable_progress_bar()
    return network.eval().requires_grad_(False)


def _normalisation(folder: Path) -> tuple[Callable[[Tensor], Tensor], str]:
    """What the folder's preprocessor_config.json asks for, and that in words."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return lambda x: x, "[-1, 1]"
    config = _json(path)
    mean, std = (config.get(f"image_{key}", [0.5] * 3) for key in ("mean", "std"))
    shift, scale = (torch.tensor(values).reshape(3, 1, 1) for values in (mean, std))
    words = [", ".join(f"{value:.4g}" for value in values) for values in (mean, std)]
    return lambda x: ((x + 1) / 2 - shift) / scale, f"less the mean ({words[0]}) over ({words[1]})"


def _size(folder: Path) -> int | None:
    """The side that pictures are cropped to: DINOv2 takes many sizes, and its config names that of its training."""
    path = folder / "preprocessor_config.json"
    crop = _json(path).get("crop_size") if path.is_file() else None
    return crop.get("height") if isinstance(crop, dict) else crop


def _reader(folder: Path, network: Any) -> Callable[[Sequence[str]], Tensor] | None:
    if not (folder / "tokenizer_config.json").is_file():
        return None
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    longest = network.config.text_config.max_position_embeddings

    def words(texts: Sequence[str]) -> Tensor:
        rows = tokenizer(list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt")
        with torch.no_grad():
            pooled = network.text_model(input_ids=rows.input_ids, attention_mask=rows.attention_mask).pooler_output
            return network.text_projection(pooled).float()

    return words


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} can't be read as JSON; the folder is damaged or incomplete.") from error


for name in USUAL:
    FEATURES.add(name, load_clip_or_dinov2)
for name in KINDS:
    FOLDERS.add(name, load_clip_or_dinov2)
