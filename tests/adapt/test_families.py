"""Each family against its formula, in float64."""

from __future__ import annotations

import pytest
import torch

from sfumato.adapt.families import FAMILIES, adapted

LINEAR, CONV = (8, 6), (8, 6, 3, 3)


def drawn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def check(kind: str, tensors: dict[str, torch.Tensor], weight: torch.Tensor, expected: torch.Tensor) -> None:
    single = {name: tensor.float() for name, tensor in tensors.items()}
    family = next(each for each in FAMILIES.values() if each.holds(single))
    assert family is FAMILIES[kind]
    assert family.complete(single)
    found = adapted(family, single, weight.float())
    assert found is not None
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [LINEAR, CONV])
@pytest.mark.parametrize("alpha", [None, 1.5])
def test_lora(shape, alpha):
    down, up = drawn(2, *shape[1:], seed=1), drawn(8, 2, *[1] * (len(shape) - 2), seed=2)
    product = torch.einsum("or,r...->o...", up.reshape(8, 2), down)
    tensors = {"down": down, "up": up} | ({} if alpha is None else {"alpha": torch.tensor(alpha)})
    check("lora", tensors, drawn(*shape, seed=3), product * (1.0 if alpha is None else alpha / 2))


def test_a_core_is_a_convolution_between_two_of_one_pixel():
    down, up, mid = drawn(2, 6, 1, 1, seed=1), drawn(8, 4, 1, 1, seed=2), drawn(4, 2, 3, 3, seed=3)
    x = drawn(1, 6, 5, 5, seed=4)
    conv = torch.nn.functional.conv2d
    through = conv(conv(conv(x, down), mid), up)
    single = {"down": down.float(), "up": up.float(), "mid": mid.float()}
    delta = FAMILIES["lora"].delta(single, torch.zeros(CONV))
    assert delta is not None
    torch.testing.assert_close(conv(x, delta.double()), through, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [LINEAR, CONV])
def test_loha(shape):
    wide = torch.Size(shape[1:]).numel()
    w1a, w1b, w2a, w2b = drawn(8, 2, seed=1), drawn(2, wide, seed=2), drawn(8, 2, seed=3), drawn(2, wide, seed=4)
    tensors = {"hada_w1_a": w1a, "hada_w1_b": w1b, "hada_w2_a": w2a, "hada_w2_b": w2b, "alpha": torch.tensor(3.0)}
    check("loha", tensors, drawn(*shape, seed=5), ((w1a @ w1b) * (w2a @ w2b)).reshape(shape) * 1.5)


def test_loha_with_cores():
    t = {f"hada_t{n}": drawn(2, 2, 3, 3, seed=n) for n in (1, 2)}
    a, b = ({n: drawn(2, size, seed=10 * size + n) for n in (1, 2)} for size in (8, 6))
    factors = [torch.einsum("ijkl,jr,ip->prkl", t[f"hada_t{n}"], b[n], a[n]) for n in (1, 2)]
    tensors = {**t, "hada_w1_a": a[1], "hada_w1_b": b[1], "hada_w2_a": a[2], "hada_w2_b": b[2]}
    check("loha", tensors, drawn(*CONV, seed=5), factors[0] * factors[1])


@pytest.mark.parametrize("shape", [LINEAR, CONV])
def test_glora(shape):
    a1, a2, b1 = drawn(6, 2, seed=1), drawn(2, 6, seed=2), drawn(8, 2, seed=3)
    b2, weight = drawn(2, *shape[1:], seed=4), drawn(*shape, seed=5)
    mixed = (weight.transpose(1, -1) @ (a1 @ a2)).transpose(1, -1)
    expected = 1.5 * (mixed + (b1 @ b2.flatten(1)).reshape(shape))
    check("glora", {"a1": a1, "a2": a2, "b1": b1, "b2": b2, "alpha": torch.tensor(3.0)}, weight, expected)


def cayley(block: torch.Tensor, most: float = 1.0) -> torch.Tensor:
    q = (block - block.T) * most
    return torch.linalg.solve(torch.eye(len(q)).double() - q, torch.eye(len(q)).double() + q)


@pytest.mark.parametrize("shape", [LINEAR, CONV])
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_oft_turns_outputs_in_blocks(shape, alpha):
    """Lengths and angles of outputs stay; with a bound, of a shorter Q."""
    blocks, weight = drawn(2, 4, 4, seed=1), drawn(*shape, seed=2)
    long = (blocks - blocks.transpose(1, 2)).norm()
    most = min(1.0, float(alpha * 8 / long)) if alpha else 1.0
    turn = torch.block_diag(*(cayley(block, most).T for block in blocks))
    torch.testing.assert_close(turn @ turn.T, torch.eye(8).double())
    new = (turn @ weight.flatten(1)).reshape(shape)
    tensors = {"oft_blocks": blocks, "alpha": torch.tensor(alpha)}
    check("oft", tensors, weight, new - weight)
    lengths = drawn(8, *[1] * (len(shape) - 1), seed=3)
    check("oft", {**tensors, "rescale": lengths}, weight, lengths * new - weight)


def test_boft_turns_outputs_in_stages():
    """Two stages of blocks of 4: their outputs are neighbours two apart, then four apart."""
    blocks, weight = drawn(2, 2, 4, 4, seed=1), drawn(*LINEAR, seed=2)
    whole = torch.eye(8).double()
    for stage, groups in zip(blocks, ([[0, 2, 1, 3], [4, 6, 5, 7]], [[0, 4, 1, 5], [2, 6, 3, 7]]), strict=True):
        turn = torch.zeros(8, 8).double()
        for block, group in zip(stage, groups, strict=True):
            turn[torch.tensor(group)[:, None], torch.tensor(group)] = cayley(block)
        whole = turn @ whole
    check("oft", {"oft_blocks": blocks, "alpha": torch.tensor(0.0)}, weight, whole @ weight - weight)


def test_lokr_whole_has_no_rank():
    w1, w2 = drawn(4, 2, seed=1), drawn(2, 3, seed=2)
    tensors = {"lokr_w1": w1, "lokr_w2": w2, "alpha": torch.tensor(7.0)}
    check("lokr", tensors, drawn(*LINEAR, seed=3), torch.kron(w1, w2))


@pytest.mark.parametrize("shape", [LINEAR, CONV])
def test_lokr_of_products(shape):
    more = torch.Size(shape[2:]).numel()
    w1, w2a, w2b = drawn(4, 2, seed=1), drawn(2, 2, seed=2), drawn(2, 3 * more, seed=3)
    tensors = {"lokr_w1": w1, "lokr_w2_a": w2a, "lokr_w2_b": w2b, "alpha": torch.tensor(1.0)}
    check("lokr", tensors, drawn(*shape, seed=4), torch.kron(w1, w2a @ w2b).reshape(shape) / 2)


def test_lokr_with_a_core():
    w1, core, a, b = drawn(4, 2, seed=1), drawn(2, 2, 3, 3, seed=2), drawn(2, 2, seed=3), drawn(2, 3, seed=4)
    w2 = torch.einsum("ijkl,ip,jr->prkl", core, a, b)
    check(
        "lokr",
        {"lokr_w1": w1, "lokr_t2": core, "lokr_w2_a": a, "lokr_w2_b": b},
        drawn(*CONV, seed=5),
        torch.kron(w1[:, :, None, None], w2.contiguous()),
    )


@pytest.mark.parametrize("shape", [LINEAR, CONV])
@pytest.mark.parametrize("axis", [0, 1])
def test_dora_gives_each_row_or_column_its_length(shape, axis):
    down, up = drawn(2, *shape[1:], seed=1), drawn(8, 2, *[1] * (len(shape) - 2), seed=2)
    weight, magnitude = drawn(*shape, seed=3), drawn(shape[axis], seed=4).abs() + 0.5
    sides = [1] * len(shape)
    sides[axis] = -1
    tensors = {"down": down, "up": up, "magnitude": magnitude.reshape(sides)}
    single = {name: tensor.float() for name, tensor in tensors.items()}
    new = adapted(FAMILIES["lora"], single, weight.float())
    assert new is not None
    lengths = (new.double() + weight).transpose(0, axis).flatten(1).norm(dim=1)
    torch.testing.assert_close(lengths, magnitude, rtol=1e-5, atol=1e-5)


def test_ia3_scales_outputs_or_inputs():
    weight = drawn(*LINEAR, seed=1)
    rows, columns = drawn(8, seed=2), drawn(6, seed=3)
    check("ia3", {"vector": rows, "on_input": torch.tensor(0.0)}, weight, weight * rows[:, None])
    check("ia3", {"vector": columns, "on_input": torch.tensor(1.0)}, weight, weight * columns)


def test_a_change_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(8, 6\)"):
        FAMILIES["full"].delta({"diff": torch.zeros(6, 8)}, torch.zeros(LINEAR))
