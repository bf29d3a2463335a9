"""Where text encoders stand in single files: in that of their model, or in files of their own.

Files of their own (clip_l.safetensors, clip_g.safetensors, t5xxl_fp16.safetensors, t5-v1_1-xxl-encoder-Q8_0.gguf) hold
one encoder under transformers' names, as ComfyUI has them beside FLUX.1 and Stable Diffusion 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from sfumato.formats import single_configs as configs
from sfumato.formats.key_names import Naming
from sfumato.formats.single_placed import Placed, SingleFamily
from sfumato.formats.tensor_file import TensorFile
from sfumato.formats.text_names import bare_clip_names, clip_names, open_clip_names, t5_names, unprojected
from sfumato.picture.errors import BadInput, name_of

TOKENS, WORD = "embeddings.token_embedding.weight", "<|endoftext|>"
_NAMINGS: tuple[Naming, ...] = (clip_names, bare_clip_names, t5_names)
_TEXTS: Mapping[str, tuple[tuple[str, Naming], ...]] = {
    "text_encoder": (
        ("cond_stage_model.transformer.", clip_names),
        ("cond_stage_model.transformer.", bare_clip_names),
        ("cond_stage_model.model.", open_clip_names),
        ("conditioner.embedders.0.transformer.", clip_names),
        ("text_encoders.clip_l.transformer.", clip_names),
    ),
    "text_encoder_2": (
        ("conditioner.embedders.1.model.", open_clip_names),
        ("conditioner.embedders.0.model.", open_clip_names),
        ("text_encoders.clip_g.transformer.", clip_names),
        ("text_encoders.t5xxl.transformer.", t5_names),
    ),
    "text_encoder_3": (("text_encoders.t5xxl.transformer.", t5_names),),
}


PROJECTED = {"FluxPipeline": (), "FluxFillPipeline": (), "StableDiffusion3Pipeline": ("text_encoder", "text_encoder_2")}
"""The encoders whose pooled text is projected, by pipeline; text_encoder_2 in all others."""
APART: Mapping[str, tuple[str, ...]] = {
    "FluxPipeline": ("text_encoder", "text_encoder_2"),
    "FluxFillPipeline": ("text_encoder", "text_encoder_2"),
    "StableDiffusion3Pipeline": ("text_encoder", "text_encoder_2", "text_encoder_3"),
    "StableDiffusionXLPipeline": ("text_encoder", "text_encoder_2"),
}
"""Of which families text encoders are read from files of their own."""
LARGE = 1280
"""The width of OpenCLIP's bigG, the second of two CLIPs."""


def with_texts(family: SingleFamily, file: TensorFile, unread: int = 0) -> SingleFamily:
    """The family with the text encoders of its file. unread: layers that are not run."""
    for part, prefix, naming in _texts_in(file):
        if naming is not t5_names or part == _of_t5(family):
            family = _with(family, part, file, prefix, naming, unread)
    return family


def with_text_files(family: SingleFamily, files: Iterable[TensorFile]) -> SingleFamily:
    """The family with the text encoders of further files. Two CLIPs are told apart by their width, or their order.

    Raises BadInput for a file that holds none, and where the family has none left of its kind.
    """
    free = list(APART.get(family.pipeline, ()))
    clips = [part for part in free if part != _of_t5(family)]
    for file in files:
        naming = next((each for each in _NAMINGS if each(_probe(each)).key in file.shapes), None)
        if naming is None:
            raise BadInput(
                f"{name_of(file.path)} holds no text encoder that is known by its names: accepted are CLIP's and T5's "
                "in transformers' names, as ComfyUI has them (clip_l, clip_g, t5xxl), and T5's in GGUF."
            )
        fit = [_of_t5(family)] if naming is t5_names else clips
        if naming is not t5_names and file.shapes[naming(TOKENS).key][1] == LARGE:
            fit = clips[1:]
        part = next((part for part in free if part in fit), None)
        if part is None:
            kind = "T5" if naming is t5_names else "CLIP"
            raise BadInput(
                f"{name_of(file.path)} holds a {kind}, and {family.title} has no place for it: text encoders apart are "
                "one CLIP and T5 of FLUX.1, CLIP-L, CLIP-G and T5 of Stable Diffusion 3, CLIP-L and CLIP-G of XL."
            )
        free.remove(part)
        family = _with(family, part, file, "", naming)
    return family


def _with(
    family: SingleFamily, part: str, file: TensorFile, prefix: str, naming: Naming, unread: int = 0
) -> SingleFamily:
    pad: str | None = "!" if part == "text_encoder_2" or "cond_stage_model.model." in prefix else WORD
    projected = part in PROJECTED.get(family.pipeline, ("text_encoder_2",))
    kind = "CLIPTextModelWithProjection" if projected else "CLIPTextModel"
    if naming is t5_names:
        kind, config, pad = "T5EncoderModel", configs.t5_config(file, prefix), None
    elif naming is open_clip_names:
        config = configs.open_clip_config(file, prefix, unread)
    else:
        config = configs.clip_config(file, prefix, naming is bare_clip_names)
        if part != "text_encoder":
            config["hidden_act"] = "gelu"
        elif projected and (not prefix or f"{prefix}text_projection.weight" not in file.shapes):
            naming = unprojected(naming)
    return replace(
        family,
        placed={**family.placed, part: Placed(kind, file, prefix, naming)},
        configs={**family.configs, part: config},
        tokenizers={**family.tokenizers, part.replace("text_encoder", "tokenizer"): pad},
    )


def _of_t5(family: SingleFamily) -> str:
    return "text_encoder_2" if family.title.startswith("FLUX") else "text_encoder_3"


def _probe(naming: Naming) -> str:
    """A tensor by which it is seen that an encoder is there."""
    return "shared.weight" if naming is t5_names else TOKENS


def _texts_in(file: TensorFile) -> Iterator[tuple[str, str, Naming]]:
    """The text encoders in a file: the part, the beginning of its names, and its naming."""
    for part, places in _TEXTS.items():
        for prefix, naming in places:
            if prefix + naming(_probe(naming)).key in file.shapes:
                yield part, prefix, naming
                if naming is not t5_names:
                    break


def place_of_text(part: str, file: TensorFile) -> tuple[str, Naming] | None:
    """The beginning of the names of a text encoder, and its naming."""
    return next(((prefix, naming) for each, prefix, naming in _texts_in(file) if each == part), None)
