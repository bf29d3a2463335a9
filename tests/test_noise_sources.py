"""Noise as other tools draw it: published test vectors, streams in order, and parity with stock diffusers' own seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import sfumato
from sfumato.guide import ClassifierFree
from sfumato.noise import A1111CpuNoise, A1111GpuNoise, Keyed, Randomness, TorchNoise
from sfumato.noise.philox import philox, philox_stream
from sfumato.picture import BadInput
from sfumato.recipe import Recipe, parameters
from sfumato.sample import DDIM

LIKE = torch.zeros(2, 4, 8, 8)
PROMPT = "a red boat on the sea"


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_has_the_known_answers_of_random123(counter, key, words) -> None:
    assert philox([[word] for word in counter], key)[:, 0].tolist() == list(words)


def test_the_first_numbers_are_those_that_cuda_draws_for_seed_0() -> None:
    """torch.manual_seed(0); torch.randn(3, 4, device="cuda"), as torch prints it."""
    drawn = philox_stream(0)((3, 4))
    printed = [
        [-0.9247, -0.4253, -2.6438, 0.1452],
        [-0.1209, -0.5797, -0.6229, -0.3284],
        [-1.0745, -0.3631, -1.6711, 2.2655],
    ]
    assert np.allclose(drawn.numpy(), printed, atol=5.1e-5)
    many = philox_stream(2**40 + 7)((100_000,)).double()
    assert abs(many.mean()) < 0.02
    assert abs(many.std() - 1) < 0.01
    assert not torch.equal(philox_stream(7)((8,)), philox_stream(2**40 + 7)((8,)))


@pytest.mark.parametrize("named", ["torch", "a1111-cpu", "a1111-gpu", "keyed"])
def test_a_picture_s_noise_is_its_own_and_a_key_keeps_its_draw(named: str) -> None:
    made = Randomness.registry.named(named)
    noise = made.source([5, 9])
    first, second = noise(LIKE, "start"), noise.at("step", 1)(LIKE)
    assert torch.equal(noise(LIKE, "start"), first)
    assert torch.equal(noise(LIKE, "step", 1), second)
    assert not torch.equal(first, second)
    alone = made.source([9])
    assert torch.equal(alone(LIKE[:1], "start"), first[1:])
    assert torch.equal(alone(LIKE[:1], "step", 1), second[1:])
    with pytest.raises(ValueError, match="was asked in the shape"):
        noise(LIKE[:1])


def test_torch_s_draws_are_stock_diffusers_in_their_order() -> None:
    from diffusers.utils.torch_utils import randn_tensor

    generators = [torch.Generator().manual_seed(seed) for seed in (5, 9)]
    for source in (TorchNoise().source([5, 9]), A1111CpuNoise().source([5, 9])):
        for generator, seed in zip(generators, (5, 9), strict=True):
            generator.manual_seed(seed)
        for key in ("start", "step"):
            assert torch.equal(source(LIKE, key), randn_tensor(LIKE.shape, generator=generators))


@pytest.mark.parametrize("made", [A1111CpuNoise, A1111GpuNoise])
def test_ensd_moves_the_seed_of_all_draws_but_the_first(made) -> None:
    plain, moved = made().source([5, 9]), made(eta_delta=31337).source([5, 9])
    other = made().source([5 + 31337, 9 + 31337])
    assert torch.equal(plain(LIKE, "start"), moved(LIKE, "start"))
    for step in range(2):
        assert torch.equal(other(LIKE, "step", step), moved(LIKE, "step", step))


def test_a_recipe_keeps_its_noise_and_tells_it() -> None:
    recipe = Recipe(prompt="x", noise=A1111GpuNoise(eta_delta=31337))
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert "RNG: NV, ENSD: 31337" in parameters(recipe)
    assert Recipe(noise="torch").noise == TorchNoise()  # pyright: ignore[reportArgumentType]
    assert Recipe().noise == Keyed()
    assert "RNG" not in parameters(Recipe())
    with pytest.raises(BadInput, match="accepted are a1111-cpu, a1111-gpu, keyed, torch"):
        Recipe(noise="nv")  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def mini() -> sfumato.Pipe:
    return sfumato.load("mini")


@pytest.mark.parametrize("eta", [0.0, 0.8])  # at eta 1 stock takes the root of a rounding error below 0
def test_stock_diffusers_picture_at_its_own_seed(mini: sfumato.Pipe, eta: float) -> None:
    from diffusers import StableDiffusionPipeline

    from sfumato.zoo import ZOO

    stock = StableDiffusionPipeline.from_pretrained(ZOO / "mini")  # 5 steps divide its 1000: their knots are ours
    stock.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    theirs = stock([PROMPT] * 2, num_inference_steps=5, guidance_scale=5.0, eta=eta, generator=generators).images  # pyright: ignore[reportAttributeAccessIssue]
    options = {"sampler": DDIM(eta=eta), "times": "trailing", "steps": 5, "seed": 3, "count": 2}
    ours = mini(PROMPT, guidance=[ClassifierFree(5.0)], noise="torch", **options).images
    for one, other in zip(ours, theirs, strict=True):
        assert np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 1
    keyed = mini(PROMPT, guidance=[ClassifierFree(5.0)], **options).images
    assert np.abs(np.asarray(keyed[0], int) - np.asarray(theirs[0], int)).max() > 20


def test_latents_are_where_a_picture_begins(mini: sfumato.Pipe) -> None:
    space = mini.stage.space
    shape = (space.channels, mini.size[1] // space.factor, mini.size[0] // space.factor)
    noise = TorchNoise().source([3, 4])(torch.zeros(2, *shape), "start")
    options = {"steps": 2, "seed": 3, "count": 2}
    wanted = mini(PROMPT, noise="torch", **options)
    given = mini(PROMPT, latents=noise, noise="torch", **options)
    for one, other in zip(wanted.images, given.images, strict=True):
        assert np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 1
    with pytest.raises(BadInput, match="2 latents for 1 pictures"):
        mini.recipes(PROMPT, latents=noise)
    with pytest.raises(BadInput, match="The latents are 12 x 2 x 2 and the model's are"):
        mini(PROMPT, latents=noise[:1, :, :2, :2], steps=1)
