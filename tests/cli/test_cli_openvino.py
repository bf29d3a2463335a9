from __future__ import annotations

from importlib.util import find_spec

import pytest

from sfumato.provenance import recipe_in


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
def test_auto_is_openvino_on_a_cpu_and_its_picture_is_made_again_by_another_process(process, model):
    done = process("generate", "a boat", "--model", model, "--engine", "auto", "--steps", 3, "-o", "boat.png")
    assert done.status == 0, done.err
    assert "is run by PyTorch" not in done.err
    assert recipe_in("boat.png").engine == "openvino", "what auto came to"
    again = process("redo", "boat.png")
    assert (again.status, again.err) == (0, "sfumato: identical\n")
