"""sfumato store: what is kept of the user's pictures, and how it goes."""

import io
import json
import os

import pytest
from PIL import Image

from sfumato.picture import keep_from, open_mask, stored


@pytest.fixture
def kept(home):
    def encoded(colour, kind):
        buffer = io.BytesIO()
        Image.new("RGB", (40, 24), colour).save(buffer, kind)
        return buffer.getvalue()

    keep_from(encoded("red", "JPEG"))
    keep_from(encoded("white", "PNG"), open_mask)
    for each in stored():
        os.utime(each.path, (86_400 * 365, 86_400 * 365) if each.mask else None)


def test_the_list(cli, kept, tmp_path):
    lines = cli("store").out.splitlines()
    assert len(lines) == 3
    assert "40 x 24  jpg" in lines[0]
    assert lines[1].startswith("1971-01-01")
    assert "mask" in lines[1]
    assert lines[2].startswith("2 files, 0.0 MB kept in ")
    assert str(tmp_path / "home" / "pictures") in lines[2]
    told = json.loads(cli("store", "--json").out)
    assert [(each["width"], each["mask"]) for each in told["pictures"]] == [(40, False), (40, True)]
    assert told["pictures"][1]["used"] == "1971-01-01T00:00:00+00:00"


def test_old_ones_go_and_the_rest_when_asked(cli, kept):
    assert cli("store", "--older-than", "30d", "--dry-run").out.endswith("1 file, 0.0 MB would be removed\n")
    assert len(stored()) == 2
    told = json.loads(cli("store", "--older-than", "30d", "--json").out)
    assert told["removed"]
    assert [each["mask"] for each in told["pictures"]] == [True]
    assert cli("store", "--older-than", "1h").out == "0 files, 0.0 MB removed\n"
    assert cli("store", "--all").out.endswith("1 file, 0.0 MB removed\n")
    assert stored() == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--older-than", "soon"], "--older-than 'soon' is no time: give a number of hours, days or weeks"),
        (["--older-than", "30d", "--all"], "give one of them"),
        (["--dry-run"], "say which pictures"),
    ],
)
def test_nothing_goes_by_mistake(cli, kept, options, said):
    done = cli("store", *options)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert len(stored()) == 2


def test_help_says_what_where_and_for_how_long(cli):
    said = " ".join(cli("store", "--help").out.split())
    for word in ("file that it was", "SFUMATO_HOME", "stay until they are removed"):
        assert word in said
