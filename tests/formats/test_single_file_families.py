"""Every family that has single files paints from one as it does from its folder, and from the folder written of it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

import sfumato
from sfumato.formats.convert import convert

FAMILIES = {
    "stable_diffusion_xl": (
        "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight",
        "conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight",
        "conditioner.embedders.1.model.text_projection",
        "model.diffusion_model.label_emb.0.0.weight",
    ),
    "stable_diffusion_3": (
        "model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight",
        "text_encoders.clip_g.transformer.text_projection.weight",
        "text_encoders.t5xxl.transformer.shared.weight",
    ),
    "flux": (
        "model.diffusion_model.single_blocks.0.linear1.weight",
        "text_encoders.clip_l.transformer.text_model.final_layer_norm.weight",
        "first_stage_model.decoder.mid.attn_1.q.weight",
    ),
}
"""And some names that a file of theirs has."""


def check(model: Path, wanted: sfumato.Pipe, size: tuple[int, int]) -> None:
    """The same tensors to the bit, and the same picture but for how numbers lie in memory."""
    pipe, options = sfumato.load(model), {"steps": 2, "seed": 3, "width": size[0], "height": size[1]}
    for part, network in wanted.stage.networks.items():
        theirs, ours = network.state_dict(), pipe.stage.networks[part].state_dict()
        assert set(theirs) == set(ours)
        assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    one, other = (np.asarray(each("a red boat", **options).images[0], int) for each in (pipe, wanted))
    assert np.abs(one - other).max() <= 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_s_file_paints_as_its_folder_does(family: str, tmp_path: Path) -> None:
    stock = import_module(f"stock.{family}")
    folder = tmp_path / "folder"
    stock.build().save_pretrained(folder)
    file = convert(folder, tmp_path / "model.safetensors")
    with safe_open(file, "pt") as opened:
        assert not set(FAMILIES[family]) - set(opened.keys())
    wanted = sfumato.load(folder)
    check(file, wanted, stock.SIZE)
    check(convert(file, tmp_path / "again"), wanted, stock.SIZE)
