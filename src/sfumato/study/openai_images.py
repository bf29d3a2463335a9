"""The OpenAI images API as one more way to fill a hole, through its own client."""

from __future__ import annotations

import base64
import io
import os

from PIL import Image

from sfumato.picture import BadInput, open_picture

KEY = "OPENAI_API_KEY"
SIDE = 1024


def missing() -> str:
    """Why the API can't be asked; empty where it can."""
    try:
        import openai as _  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        return "the client is not installed (pip install 'sfumato[openai]')"
    return "" if os.environ.get(KEY) else f"there is no key ({KEY})"


def fill_hole(picture: Image.Image, hole: Image.Image, prompt: str, model: str) -> Image.Image:
    """The picture with the hole (white) filled as `prompt` says, at the picture's size.

    Sent are the picture at 1024 x 1024 and, as its mask, the same in RGBA with the inverted hole in alpha: the API
    fills where alpha is 0. Raises BadInput, in a sentence, with what the API answers.
    """
    import openai  # pyright: ignore[reportMissingImports]

    large = picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    masked = large.copy()
    masked.putalpha(hole.resize((SIDE, SIDE), Image.Resampling.NEAREST).point(lambda value: 255 - value))
    try:
        response = openai.OpenAI().images.edit(
            model=model,
            image=("picture.png", _png(large), "image/png"),
            mask=("mask.png", _png(masked), "image/png"),
            prompt=prompt,
            size="1024x1024",
        )
        data = (response.data or [])[0]
    except (openai.OpenAIError, IndexError) as error:
        raise BadInput(f"The images API did not fill the picture: {str(error).splitlines()[0][:200]}") from error
    if not data.b64_json:
        raise BadInput("The images API answered with no picture in base64: choose a model that does, as gpt-image-1.")
    return open_picture(base64.b64decode(data.b64_json)).resize(picture.size, Image.Resampling.LANCZOS)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
