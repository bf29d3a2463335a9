"""The decoder's weights tuned for one picture: Avrahami, Fried & Lischinski 2023, section 4.2."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sfumato.edit.reconstruction import STEPS, Decode, Reconstruction, descent
from sfumato.element import element
from sfumato.lazy import Tensor, torch
from sfumato.network.offload import at_hand


@element("decoder")
class DecoderTuning(Reconstruction):
    """Pasted after a copy of the decoder's weights was tuned so that it keeps the held picture outside the mask.

    Avrahami et al. 2023 (Blended Latent Diffusion), section 4.2: weights, its last way, which the paper prefers. The
    tuned copy is of one picture and is thrown away; the model stays as it was.
    """

    def moved(self, space: Any, z: Tensor, original: Tensor, mask: Tensor) -> Iterator[Tensor]:
        return tune_decoder(space.decode, space.autoencoder.decoder, z, original, mask, steps=self.steps)


def tune_decoder(
    decode: Decode,
    decoder: torch.nn.Module,
    z: Tensor,
    original: Tensor,
    mask: Tensor,
    *,
    steps: int = STEPS,
    rate: float = 1e-4,
    background: float = 100.0,
) -> Iterator[Tensor]:
    """D_theta*(z), theta* = argmin_theta |m (D_theta(z) - D(z))|^2 + background |(1 - m)(D_theta(z) - original)|^2.

    Blended Latent Diffusion, section 4.2; the seeds' "optimizing the decoder's weights on a per-image basis".
    Arguments and what is yielded as in `optimise_latent`, steps and rate the paper's; theta are the parameters of
    `decoder`, a module that `decode` calls.

    What is tuned are float32 copies, put into the module during each call and no longer: at every yield, after the
    last one and after an exception the module holds its own Parameter objects, which nothing has written to.
    """
    wanted = decode(z).detach()
    with at_hand(decoder):
        theta = {id(weight): weight.detach().float().clone().requires_grad_() for weight in decoder.parameters()}

    def draw() -> Tensor:
        with swapped(decoder, lambda weight: theta[id(weight)].to(weight.dtype)):
            return decode(z)

    yield from descent(draw, list(theta.values()), wanted, original, mask, steps, rate, background)


@contextmanager
def swapped(module: torch.nn.Module, other: Callable[[torch.nn.Parameter], Tensor]) -> Iterator[None]:
    """Within this context the module has the weights other(own weight); afterwards its own Parameter objects again."""
    places = [
        (owner._parameters, name, weight)
        for owner in module.modules()
        for name, weight in owner._parameters.items()
        if weight is not None
    ]
    try:
        for parameters, name, weight in places:
            parameters[name] = other(weight)  # pyright: ignore[reportArgumentType]
        yield
    finally:
        for parameters, name, weight in places:
            parameters[name] = weight
