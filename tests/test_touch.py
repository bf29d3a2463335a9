"""A method has one home: its own file, and its package's list."""

import runpy
from pathlib import Path


def test_a_method_of_each_kind_is_named_in_two_files_at_most(capsys):
    touch = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "touch.py"))
    assert touch["main"]() == 0, capsys.readouterr().out
