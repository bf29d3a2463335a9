import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.noise import KeyedNoise

PINNED = [-0.4918404817581177, -0.3481866419315338, -0.24166209995746613]

seeds = st.lists(st.integers(0, 2**63), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(seeds=seeds, shape=st.sampled_from([(), (1,), (15,), (16,), (2, 3, 5)]), step=st.integers(0, 1000))
def test_picture_n_of_a_batch_equals_it_alone(seeds, shape, step):
    together = KeyedNoise(seeds)(torch.zeros(len(seeds), *shape), "step", step)
    for row, seed in enumerate(seeds):
        assert torch.equal(together[row : row + 1], KeyedNoise([seed])(torch.zeros(1, *shape), "step", step))


def test_different_keys_and_seeds_differ():
    like = torch.zeros(1, 64)
    keys = [(), (1,), ("1",), ("a", "b"), ("ab",), ("step", 1), ("step", 11), ("hold", 1), (-1,)]
    draws = [KeyedNoise([seed])(like, *key) for seed in (0, 1, 2**32, 2**64, -1) for key in keys]
    stacked = torch.cat(draws)
    correlation = torch.corrcoef(stacked) - torch.eye(len(draws))
    assert correlation.abs().max() < 0.6  # 45 draws of 64 numbers; equal ones would have 1


def test_seeds_that_agree_in_32_bits_differ():
    """torch's CPU generator keeps only the low 32 bits of its seed."""
    like = torch.zeros(1, 8)
    assert not torch.equal(KeyedNoise([5])(like), KeyedNoise([5 + 2**32])(like))


def test_a_prefix_is_part_of_the_key():
    noise, like = KeyedNoise([3]), torch.zeros(1, 4)
    assert torch.equal(noise.at("step").at(4)(like, "a"), noise(like, "step", 4, "a"))


def test_nothing_but_seed_and_key_matters():
    like = torch.zeros(2, 3)
    before = torch.random.get_rng_state()
    first = KeyedNoise([1, 2])(like, "x")
    torch.manual_seed(5)
    KeyedNoise([1, 2])(like, "y")
    assert torch.equal(KeyedNoise([1, 2])(like, "x"), first)
    torch.random.set_rng_state(before)
    KeyedNoise([1, 2])(like, "x")
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_it_is_drawn_in_float32_and_cast(dtype):
    """torch.randn's float64 stream is another one."""
    reference = KeyedNoise([7])(torch.zeros(1, 33), "step", 0)
    cast = KeyedNoise([7])(torch.zeros(1, 33, dtype=dtype), "step", 0)
    assert cast.dtype == dtype
    assert torch.equal(cast, reference.to(dtype))


def test_it_is_standard_normal():
    z = KeyedNoise(range(20))(torch.zeros(20, 10_000), "step", 3).double()
    assert abs(z.mean()) < 0.01
    assert abs(z.var() - 1) < 0.015
    assert abs(z.pow(4).mean() - 3) < 0.1
    assert torch.corrcoef(z).fill_diagonal_(0).abs().max() < 0.05


def test_the_stream_is_the_one_that_saved_pictures_were_made_with():
    z = KeyedNoise([7])(torch.zeros(1, 3), "start")
    torch.testing.assert_close(z, torch.tensor([PINNED]), rtol=1e-6, atol=0)


def test_wrong_asks_are_refused():
    with pytest.raises(ValueError, match="2 seeds"):
        KeyedNoise([1, 2])(torch.zeros(3, 4))
    with pytest.raises(TypeError, match="whole numbers"):
        KeyedNoise([1])(torch.zeros(1), 0.5)  # type: ignore[arg-type]
