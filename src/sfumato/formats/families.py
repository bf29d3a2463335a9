"""Families of models that are known by name and not run yet, so that nothing is loaded that can't be."""

from __future__ import annotations

from collections.abc import Mapping

PIPELINES: Mapping[str, str] = {
    "StableDiffusionXL": "Stable Diffusion XL with something else beside it",
    "StableDiffusion3ControlNet": "Stable Diffusion 3 with a ControlNet",
    "StableDiffusionControlNet": "Stable Diffusion with a ControlNet",
    "StableDiffusionAdapter": "Stable Diffusion with a T2I-Adapter",
    "StableDiffusionGLIGEN": "GLIGEN",
    "StableDiffusionLDM3D": "LDM3D",
    "StableVideoDiffusion": "Stable Video Diffusion",
    "StableCascade": "Stable Cascade",
    "StableAudio": "Stable Audio",
    "Wuerstchen": "Wuerstchen",
    "ConsistencyModel": "a consistency model",
    "AltDiffusion": "AltDiffusion",
    "AnimateDiff": "AnimateDiff",
    "AudioLDM": "AudioLDM",
    "AuraFlow": "AuraFlow",
    "CogVideoX": "CogVideoX",
    "Flax": "a model whose weights are Flax's (take those of PyTorch)",
    "Chroma": "Chroma",
    "Flux2": "FLUX.2",
    "FluxControl": "FLUX.1 with a control",
    "FluxPriorRedux": "FLUX.1 Redux",
    "Hunyuan": "Hunyuan",
    "Kandinsky": "another Kandinsky than 2.2",
    "Kolors": "Kolors",
    "Lumina": "Lumina",
    "LTX": "LTX",
    "Mochi": "Mochi",
    "PixArtAlphaControlNet": "PixArt with a ControlNet",
    "QwenImageControlNet": "Qwen-Image with a ControlNet",
    "QwenImageLayered": "Qwen-Image-Layered",
    "SanaControlNet": "Sana with a ControlNet",
    "SanaVideo": "Sana-Video",
    "SanaImageToVideo": "Sana-Video",
    "ShapE": "Shap-E",
    "TextToVideo": "text to video",
    "UniDiffuser": "UniDiffuser",
    "VQDiffusion": "VQ-Diffusion",
    "Wan": "Wan",
    "ZImageControlNet": "Z-Image with a ControlNet",
    "ZImageOmni": "Z-Image-Omni",
}
"""By how the name of their pipeline begins."""

PARTS: Mapping[str, str] = {
    "text_encoder_2": "a model of several text encoders, of no family that is known",
    "text_encoder_3": "a model of several text encoders, as Stable Diffusion 3",
    "transformer": "a diffusion transformer, as Stable Diffusion 3, FLUX and PixArt",
    "controlnet": "a model with a ControlNet",
    "adapter": "a model with a T2I-Adapter",
    "motion_adapter": "AnimateDiff",
    "prior": "a model with a prior, of no pipeline that is known",
    "movq": "a Kandinsky of no pipeline that is known",
    "vqvae": "a model with a discrete autoencoder",
}
"""By a part that only they have."""


ELSEWHERE: Mapping[str, str] = {
    "KandinskyV22Controlnet": "a ControlNet of Kandinsky 2.2: load the decoder, and name this folder as a control, "
    "ControlNet(map, folder)",
}
"""What is no model by itself, and where it belongs, by how the name of their pipeline begins."""


def elsewhere(pipeline: str) -> str:
    """What a folder is that is no model by itself, and where it belongs; "" for any other."""
    return next((said for begin, said in ELSEWHERE.items() if pipeline.startswith(begin)), "")


def unsupported(pipeline: str, parts: Mapping[str, str]) -> str:
    """What a model is that is known and not run yet; "" for any other."""
    for begin, family in PIPELINES.items():
        if pipeline.startswith(begin):
            return family
    return next((family for part, family in PARTS.items() if part in parts), "")
