"""Single files on the command line, as a process."""

from __future__ import annotations

import json


def test_a_model_is_written_as_a_file_looked_at_and_painted_with(process, home) -> None:
    assert process("convert", "mini", "mini.safetensors").out == "mini.safetensors\n"
    looked = process("inspect", "mini.safetensors", "--json")
    parts = json.loads(looked.out)["parts"]
    assert parts["unet"]["class"] == "UNet2DConditionModel"
    assert parts["unet"]["types"]
    assert parts["unet"]["parameters"] > 1_000_000
    done = process("generate", "a boat", "--model", "mini.safetensors", "--steps", "1", "--seed", "1", "-o", "a.png")
    assert done.status == 0, done.err
    again = process("redo", "a.png")
    assert "identical" in again.err
    (home / "cut.safetensors").write_bytes((home / "mini.safetensors").read_bytes()[:-9])
    cut = process("generate", "a boat", "--model", "cut.safetensors", "-o", "b.png")
    assert cut.status == 2
    assert cut.err.count("\n") == 1
    assert "cut.safetensors is damaged" in cut.err
