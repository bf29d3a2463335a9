"""Latents moved until the decoded picture keeps the original: Avrahami, Fried & Lischinski 2023, section 4.2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sfumato.edit.reconstruction import STEPS, Decode, Reconstruction, descent
from sfumato.element import element
from sfumato.lazy import Tensor


@element("latent")
class LatentOptimisation(Reconstruction):
    """Pasted after the latents were moved so that the decoded picture keeps the held one outside the mask.

    Avrahami et al. 2023 (Blended Latent Diffusion), section 4.2. Gradient descent on the latents, with the decoder as
    it is: slower than pasting, and what it mends is what the autoencoder lost of the picture around the hole.
    """

    def moved(self, space: Any, z: Tensor, original: Tensor, mask: Tensor) -> Iterator[Tensor]:
        return optimise_latent(space.decode, z, original, mask, steps=self.steps)


def optimise_latent(
    decode: Decode,
    z: Tensor,
    original: Tensor,
    mask: Tensor,
    *,
    steps: int = STEPS,
    rate: float = 1e-2,
    background: float = 100.0,
) -> Iterator[Tensor]:
    """D(z*), z* = argmin_z |m (D(z) - D(z0))|^2 + background |(1 - m)(D(z) - original)|^2, from z0 by Adam.

    Blended Latent Diffusion, section 4.2; the seeds' "latent optimization". Norms are means over the picture.
    D = `decode`, z (1, C, h, w), original (1, 3, H, W) in [-1, 1], mask (1, 1, H, W) in [0, 1], 1 = the edited side.

    Yields `steps` pictures on the way, each before its step, then D(z*). The steps are the paper's; its rate, 1e-4,
    could move no number of z by more than 0.0075, which no picture shows.
    """
    wanted = decode(z).detach()
    moved = z.detach().clone().requires_grad_()
    yield from descent(lambda: decode(moved), [moved], wanted, original, mask, steps, rate, background)
