"""Files of weights: whole or not there, and of the mode that other new files have."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sfumato.formats.write import copy_part, save_network
from sfumato.network.writing import save_tensors

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")


@pytest.fixture(params=[0o022, 0o002, 0o077])
def usual(request, tmp_path: Path):
    """The mode of an ordinary new file under several masks."""
    before = os.umask(request.param)
    (tmp_path / "ordinary").touch()
    yield mode_of(tmp_path / "ordinary")
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_others_may_read_weights_as_they_may_read_any_file(usual, tmp_path):
    save_tensors({"a": torch.arange(6).view(2, 3).T}, tmp_path / "one.safetensors")
    assert mode_of(tmp_path / "one.safetensors") == usual
    assert torch.equal(load_file(tmp_path / "one.safetensors")["a"], torch.arange(6).view(2, 3).T)


def test_so_they_may_where_diffusers_writes_and_where_a_part_is_copied(usual, tmp_path):
    from diffusers import AutoencoderKL

    network = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4)
    save_network(network, tmp_path / "vae")
    copy_part(tmp_path / "vae", tmp_path / "copy", torch.float16)
    for folder in ("vae", "copy"):
        (file,) = (tmp_path / folder).glob("*.safetensors")
        assert mode_of(file) == usual
    assert next(iter(load_file(file).values())).dtype == torch.float16


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "one.safetensors"
    save_tensors({"a": torch.ones(1)}, path)
    with pytest.raises(Exception, match="meta"):
        save_tensors({"a": torch.ones(1, device="meta")}, path)
    assert load_file(path)["a"].item() == 1
    assert list(tmp_path.iterdir()) == [path]
