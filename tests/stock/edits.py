"""What every family can do, whatever its networks: holds, starts, inversion and DiffEdit, on random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from sfumato.edit import Inferred, Inverted, LowPass, Noise, Outside, Poisson, SDEdit
from sfumato.model import Pipe
from sfumato.space.pixels import to_images, to_tensor


def photo(size: tuple[int, int], seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def half(size: tuple[int, int]) -> Image.Image:
    """White on the right."""
    mask = Image.new("L", size)
    mask.paste(255, (size[0] // 2, 0, *size))
    return mask


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB")).astype(int)


def edits_keep_and_return(
    pipe: Pipe, size: tuple[int, int], shows: str = "a cat", returns: bool = True, **said: Any
) -> None:
    """A mask keeps the rest to the byte and its inside moves; strength 0 leaves the picture; an inverted picture comes
    back; DiffEdit and a low-pass hold run, from a picture of another size too.

    shows: what the picture is said to show, in words or as a class; "" where nothing can be said. returns: whether the
    autoencoder is continuous, so that what comes back can be measured in pixels."""
    picture, mask = photo(size), half(size)
    words = {"prompt": "a red hat", "steps": 2, "width": size[0], "height": size[1], **said}
    for start, composite in ((Noise(), "paste"), (SDEdit(picture, 0.7), Poisson())):
        edited = array(pipe(**words, start=start, hold=Outside(mask, picture), composite=composite).image)
        assert (edited[:, : size[0] // 2] == array(picture)[:, : size[0] // 2]).all()
        assert (edited[:, size[0] // 2 :] != array(picture)[:, size[0] // 2 :]).any()
    space = pipe.stage.space
    with torch.no_grad():
        truth = array(to_images(space.decode(space.encode(to_tensor([picture]))))[0])
    assert np.abs(array(pipe(**words, start=SDEdit(picture, 0.0)).image) - array(picture)).max() <= 1
    unguided = {**words, "guidance": [], "sampler": "ddim", "steps": 6}
    back = pipe(**unguided, start=Inverted(picture, 0.5, str(said.get("label", words["prompt"])), 20)).image
    assert not returns or np.abs(array(back) - truth).max() <= 1
    if shows:
        pipe(**words, start=Inverted(picture, 0.5, shows), hold=Inferred(shows, draws=1))
    larger = photo((size[0] * 2, size[1] * 2))
    assert pipe(**words, start=SDEdit(larger, 0.5), hold=LowPass(4)).image.size == size
