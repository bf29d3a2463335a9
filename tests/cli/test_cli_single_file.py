"""Single files on the command line, as a process."""

from __future__ import annotations

import json


def test_a_model_is_written_as_a_file_looked_at_and_painted_with(process, cli, home) -> None:
    assert cli("convert", "mini", "mini.safetensors").out == "mini.safetensors\n"
    looked = cli("inspect", "mini.safetensors", "--json")
    parts = json.loads(looked.out)["parts"]
    assert parts["unet"]["class"] == "UNet2DConditionModel"
    assert parts["unet"]["types"]
    assert parts["unet"]["parameters"] > 1_000_000
    done = process("generate", "a boat", "--model", "mini.safetensors", "--steps", "1", "--seed", "1", "-o", "a.png")
    assert done.status == 0, done.err
    again = cli("redo", "a.png")
    assert "identical" in again.err
    (home / "cut.safetensors").write_bytes((home / "mini.safetensors").read_bytes()[:-9])
    cut = process("generate", "a boat", "--model", "cut.safetensors", "-o", "b.png")
    assert cut.status == 2
    assert cut.err.count("\n") == 1
    assert "cut.safetensors is damaged" in cut.err


def test_a_picture_of_another_tool_is_painted_again_with_the_model_that_is_named(cli, home) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("parameters", "a red boat\nSteps: 2, Sampler: Euler a, CFG scale: 3, Seed: 5, Size: 64x64, NGMS: 1")
    Image.new("RGB", (64, 64)).save("civitai.png", pnginfo=info)
    refused = cli("redo", "civitai.png")
    assert refused.status == 2
    assert "--model" in refused.err
    done = cli("redo", "civitai.png", "--model", "mini", "-o", "again.png")
    assert done.status == 0, done.err
    assert "note: NGMS (1) is not known here and left out" in done.err
    assert "differs by at most" in done.err
    looked = cli("redo", "again.png", "-o", "third.png")
    assert "identical" in looked.err  # the noise is in the recipe
