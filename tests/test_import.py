"""`import sfumato` loads nothing heavy, and yet everything it names is there."""

import subprocess
import sys

import pytest

import sfumato

HEAVY = """
import sys
import sfumato
sfumato.__version__
heavy = {"torch", "diffusers", "transformers", "numpy", "PIL", "pydantic", "typer", "scipy", "skia"} & set(sys.modules)
assert not heavy, heavy
assert "Recipe" in dir(sfumato)
sfumato.Recipe("a boat", sampler=sfumato.DDIM(0.5), times="karras").to_json()
sfumato.SDEdit, sfumato.BadInput, sfumato.picture.open_picture
import sfumato.provenance
heavy = {"torch", "diffusers", "transformers", "skia"} & set(sys.modules)
assert not heavy, heavy
"""


def test_importing_the_package_and_making_recipes_loads_nothing_heavy():
    subprocess.run([sys.executable, "-c", HEAVY], check=True, timeout=120)


@pytest.mark.parametrize("name", sorted(set(dir(sfumato))))
def test_every_name_is_there(name):
    assert getattr(sfumato, name) is not None


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="nothing"):
        sfumato.nothing  # noqa: B018
