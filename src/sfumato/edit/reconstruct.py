"""Background reconstruction: latents or the decoder's weights moved until the decoded picture keeps the original.

An autoencoder's decoder alters the whole picture, also what a mask holds. Pasting the original back shows where it was
pasted; these two make the decoded picture itself agree with the original outside the mask (Avrahami, Fried &
Lischinski 2023, section 4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Decode = Callable[[Tensor], Tensor]
STEPS = 75


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
    yield from _descent(lambda: decode(moved), [moved], wanted, original, mask, steps, rate, background)


def tune_decoder(
    decode: Decode,
    decoder: nn.Module,
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
    theta = {id(weight): weight.detach().float().clone().requires_grad_() for weight in decoder.parameters()}

    def draw() -> Tensor:
        with swapped(decoder, lambda weight: theta[id(weight)].to(weight.dtype)):
            return decode(z)

    yield from _descent(draw, list(theta.values()), wanted, original, mask, steps, rate, background)


@contextmanager
def swapped(module: nn.Module, other: Callable[[nn.Parameter], Tensor]) -> Iterator[None]:
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


def _descent(
    draw: Callable[[], Tensor],
    moved: Sequence[Tensor],
    wanted: Tensor,
    original: Tensor,
    mask: Tensor,
    steps: int,
    rate: float,
    background: float,
) -> Iterator[Tensor]:
    adam = torch.optim.Adam(moved, rate)
    for _ in range(steps):
        with torch.enable_grad():
            drawn = draw()
            inside, outside = mask * (drawn - wanted), (1 - mask) * (drawn - original)
            loss = inside.square().mean() + background * outside.square().mean()
        for tensor, gradient in zip(moved, torch.autograd.grad(loss, moved), strict=True):
            tensor.grad = gradient
        adam.step()
        yield drawn.detach()
    with torch.no_grad():
        yield draw()
