"""How folders of models are written."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from sfumato.formats.write import copy_part


@pytest.fixture
def part(tmp_path):
    """A part with weights of 32 and of 16 bits, and numbers that are no weights."""
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "config.json").write_text('{"kept": 1}')
    numbers = {"a": torch.tensor([1 / 3, 2.0]), "b": torch.tensor([1 / 3]).bfloat16(), "c": torch.arange(2)}
    save_file(numbers, tmp_path / "part" / "model.safetensors", metadata={"format": "pt"})
    return tmp_path / "part"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_copied_part_has_16_bits_where_16_are_asked(part, tmp_path, dtype):
    copy_part(part, tmp_path / "copy", dtype)
    told = load_file(tmp_path / "copy" / "model.safetensors")
    assert {name: each.dtype for name, each in told.items()} == {
        "a": torch.float16,
        "b": torch.bfloat16,
        "c": torch.int64,
    }
    assert torch.equal(told["a"], torch.tensor([1 / 3, 2.0]).half())
    assert torch.equal(told["b"], torch.tensor([1 / 3]).bfloat16())
    assert (tmp_path / "copy" / "config.json").read_text() == '{"kept": 1}'


@pytest.mark.parametrize("dtype", [None, torch.float32])
def test_else_it_is_the_same_to_the_byte(part, tmp_path, dtype):
    copy_part(part, tmp_path / "copy", dtype)
    assert (tmp_path / "copy" / "model.safetensors").read_bytes() == (part / "model.safetensors").read_bytes()
