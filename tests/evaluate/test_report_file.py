"""What an evaluation leaves: JSON that strict readers take."""

import json

from sfumato.evaluate.report_file import printed, write_report


def test_a_number_that_is_none_is_nothing_in_json(tmp_path, capsys):
    told = {"fid": float("nan"), "rows": [1.5, float("inf"), {"n": 2}], "name": "x"}
    write_report(tmp_path / "out", told)
    written = (tmp_path / "out" / "report.json").read_text()
    printed(told, table=None, as_json=True)  # pyright: ignore[reportArgumentType]
    for text in (written, capsys.readouterr().out):
        found = json.loads(text, parse_constant=lambda name: 1 / 0)
        assert found == {"fid": None, "rows": [1.5, None, {"n": 2}], "name": "x"}
