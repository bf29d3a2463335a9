from __future__ import annotations

from importlib.util import find_spec

import pytest


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
def test_a_picture_painted_by_openvino_is_made_again_by_another_process(process, model):
    done = process("generate", "a boat", "--model", model, "--engine", "openvino", "--steps", 3, "-o", "boat.png")
    assert done.status == 0, done.err
    assert "is run by PyTorch" not in done.err
    again = process("redo", "boat.png")
    assert (again.status, again.err) == (0, "sfumato: identical\n")
