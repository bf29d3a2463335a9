"""Background reconstruction on small decoders, where the best answer is known."""

import pytest
import torch
from torch import nn

from sfumato.edit import optimise_latent, tune_decoder
from sfumato.edit.decoder_tuning import swapped

generator = torch.Generator().manual_seed(0)
Z = torch.randn(1, 4, 4, 4, generator=generator)
ORIGINAL = torch.rand(1, 3, 16, 16, generator=generator) * 2 - 1
MASK = torch.zeros(1, 1, 16, 16)
MASK[..., :8] = 1


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(4, 16, 3, padding=1), nn.SiLU(), nn.Upsample(scale_factor=4), nn.Conv2d(16, 3, 1))


def error(picture, wanted, where):
    return float((where * (picture.detach() - wanted)).square().mean())


def ways(name, decoder, **options):
    if name == "latent":
        return optimise_latent(decoder, Z, ORIGINAL, MASK, **options)
    return tune_decoder(decoder, decoder, Z, ORIGINAL, MASK, **options)


each = pytest.mark.parametrize("name", ["latent", "decoder"])


@each
def test_the_outside_comes_nearer_and_every_step_is_shown(name, decoder):
    edited = decoder(Z).detach()
    pictures = list(ways(name, decoder, steps=40, rate=1e-2))
    assert len(pictures) == 41
    assert torch.equal(pictures[0], edited)
    outside = [error(picture, ORIGINAL, 1 - MASK) for picture in pictures]
    assert outside[-1] < 0.95 * outside[0]
    assert not any(picture.requires_grad for picture in pictures)


@each
def test_without_weight_outside_the_edited_picture_stays(name, decoder):
    edited = decoder(Z).detach()
    *_, last = ways(name, decoder, background=0.0)
    torch.testing.assert_close(last, edited)


@each
def test_more_weight_outside_keeps_more_of_it(name, decoder):
    def outside(weight):
        *_, last = ways(name, decoder, background=weight, rate=1e-2, steps=40)
        return error(last, ORIGINAL, 1 - MASK)

    assert outside(100.0) < outside(0.01) < error(decoder(Z), ORIGINAL, 1 - MASK)


def test_a_decoder_that_only_enlarges_gives_the_closed_form():
    """D(z) = z enlarged is linear in each cell: z* is the mean of the cell's wanted pixels, weighted by side."""
    decode = nn.Upsample(scale_factor=4)
    z, mask = torch.zeros(1, 3, 2, 2), torch.zeros(1, 1, 8, 8)
    mask[..., :2] = 1
    original = torch.full((1, 3, 8, 8), 0.5)
    *_, last = optimise_latent(decode, z, original, mask, steps=2000, rate=1e-3, background=3.0)
    mixed = 3 * 0.5 * 8 / (8 + 3 * 8)  # half of a left cell's pixels want 0 at weight 1, half 0.5 at weight 3
    torch.testing.assert_close(last[..., :4], torch.full((1, 3, 8, 4), mixed), rtol=0, atol=2e-3)
    torch.testing.assert_close(last[..., 4:], original[..., 4:], rtol=0, atol=2e-3)


def test_the_first_step_is_adams(decoder):
    """Adam's first step moves every number by the rate, against its gradient's sign."""
    z = Z.clone().requires_grad_()
    outside = (1 - MASK) * (decoder(z) - ORIGINAL)
    (gradient,) = torch.autograd.grad(100 * outside.square().mean(), z)
    *_, last = optimise_latent(decoder, Z, ORIGINAL, MASK, steps=1, rate=0.01)
    torch.testing.assert_close(last, decoder(Z - 0.01 * gradient.sign()).detach(), rtol=0, atol=1e-4)


def own(decoder):
    return [(name, id(p), p.data_ptr(), p.detach().clone(), p.requires_grad) for name, p in decoder.named_parameters()]


def assert_untouched(decoder, before):
    for (name, weight), (was, key, place, value, gradient) in zip(decoder.named_parameters(), before, strict=True):
        assert (name, id(weight), weight.data_ptr(), weight.requires_grad) == (was, key, place, gradient)
        assert torch.equal(weight, value)
        assert weight.grad is None


def test_the_decoder_is_its_own_again_at_every_yield_and_after_an_exception(decoder):
    decoder.requires_grad_(False)
    before = own(decoder)
    *_, last = tune_decoder(decoder, decoder, Z, ORIGINAL, MASK, steps=5, rate=1e-2)
    assert not torch.equal(last, decoder(Z))
    assert_untouched(decoder, before)

    for _ in tune_decoder(decoder, decoder, Z, ORIGINAL, MASK, steps=5):
        assert_untouched(decoder, before)  # and the caller may leave here

    calls = 0

    def failing(z):
        nonlocal calls
        calls += 1
        drawn = decoder(z)
        if calls == 4:
            raise RuntimeError("out of memory")
        return drawn

    with pytest.raises(RuntimeError, match="out of memory"):
        list(tune_decoder(failing, decoder, Z, ORIGINAL, MASK, steps=5))
    assert_untouched(decoder, before)


def test_weights_under_two_names_are_its_own_again_too():
    """A layer used twice, and two layers that share their weight: what torch's functional_call gives back wrong."""
    torch.manual_seed(0)
    layer, other = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
    other.weight = layer.weight
    module = nn.ModuleDict({"first": nn.Sequential(layer, nn.SiLU(), layer), "second": other})
    before = own(module)
    with swapped(module, lambda weight: torch.zeros_like(weight)):
        assert not module["first"](Z).any()
        assert not module["second"](Z).any()
    assert_untouched(module, before)
    assert other.weight is layer.weight


def test_it_works_where_gradients_are_off_and_in_half_precision(decoder):
    with torch.no_grad():
        pictures = list(ways("decoder", decoder, steps=3, rate=1e-2))
        assert not torch.is_grad_enabled()
    assert error(pictures[-1], ORIGINAL, 1 - MASK) < error(pictures[0], ORIGINAL, 1 - MASK)

    half = decoder.bfloat16()
    before = own(half)
    pictures = list(tune_decoder(lambda z: half(z.bfloat16()).float(), half, Z, ORIGINAL, MASK, steps=30, rate=1e-3))
    assert error(pictures[-1], ORIGINAL, 1 - MASK) < error(pictures[0], ORIGINAL, 1 - MASK)
    assert_untouched(half, before)
