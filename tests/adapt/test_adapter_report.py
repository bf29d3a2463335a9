"""What `sfumato inspect` says of an adapter's file."""

from __future__ import annotations

import torch
from adapter_files import make_unet
from safetensors.torch import save_file
from test_convert import ATTENTION, made

from sfumato.cli.app import run_command
from sfumato.provenance import inspect_adapter, is_adapter


def test_a_loras_families_ranks_and_words_are_told(tmp_path, networks):
    path = made(tmp_path / "a.safetensors", networks, layers=ATTENTION, ranks=(2, 3), dora=True)
    assert is_adapter(path)
    found = inspect_adapter(path)
    count = sum(name.endswith(ATTENTION) for name, _ in networks["unet"].named_modules())
    assert found.layers == count
    assert found.families == {"lora (DoRA)": count}
    assert sum(found.ranks.values()) == count
    assert set(found.ranks) == {2, 3}
    assert found.called == "sks boat"
    assert "called: sks boat" in found.text()
    assert found.as_dict()["header"]["modelspec.trigger_phrase"] == "sks boat"


def test_an_embedding_is_called_as_its_key(tmp_path, capsys):
    save_file({"<cat>": torch.zeros(2, 8)}, tmp_path / "word.safetensors")
    assert run_command(["inspect", str(tmp_path / "word.safetensors")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("word.safetensors: embedding, 16 numbers, 0.1 KiB")
    assert "called: <cat>" in said


def test_a_network_is_no_adapter(tmp_path):
    save_file(make_unet().state_dict(), tmp_path / "unet.safetensors")
    assert not is_adapter(tmp_path / "unet.safetensors")
    (tmp_path / "a.safetensors").write_bytes(b"x")
    assert not is_adapter(tmp_path / "a.safetensors")
    assert not is_adapter(tmp_path / "nothing.safetensors")
