"""The built-in tasks, one a file; importing this registers them."""

from sfumato.train.tasks import (
    autoencoder,
    classifier,
    clip,
    clip_noised,
    diffusion,
    inpaint,
    judge,
    ncsn,
    palette,
    pixels,
    points,
    text_pixels,
)

__all__ = [
    "autoencoder",
    "classifier",
    "clip",
    "clip_noised",
    "diffusion",
    "inpaint",
    "judge",
    "ncsn",
    "palette",
    "pixels",
    "points",
    "text_pixels",
]
