"""The imagefolder: complete, valid, and picked up again where a broken run stopped."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from sfumato.data import vignettes as v
from sfumato.picture import BadInput


def lines(folder):
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def test_export_writes_pictures_maps_and_metadata(tmp_path):
    heard = []
    v.export(tmp_path, 4, seed=3, size=40, start=2, progress=heard.append)
    assert heard == [1, 2, 3, 4]
    metadata = lines(tmp_path)
    assert [line["index"] for line in metadata] == [2, 3, 4, 5]
    for line in metadata:
        one = v.draw(v.scene(3, line["index"]), 40)
        assert line["text"] == one.caption
        assert tuple(line["captions"]) == one.captions
        assert line["attributes"] == one.attributes
        assert line["boxes"] == one.boxes
        assert {k: tuple(p) for k, p in line["keypoints"].items()} == one.keypoints
        load = lambda folder, name=line["file_name"]: np.asarray(Image.open(tmp_path / folder / name))  # noqa: E731
        assert np.array_equal(load("."), one.image)
        assert np.array_equal(load("instance"), one.instance)
        assert np.array_equal(load("semantic"), one.semantic)
        assert np.allclose(load("depth") / 65535, one.depth, atol=1e-5)
        assert np.allclose(load("normals") / 127.5 - 1, one.normals, atol=0.005)


def test_a_broken_run_goes_on_where_it_stopped_and_mends_what_is_torn(tmp_path):
    class Broken(Exception):
        pass

    def stop(done):
        if done == 3:
            raise Broken

    with pytest.raises(Broken):
        v.export(tmp_path, 5, size=24, progress=stop)
    v.export(tmp_path, 5, size=24)
    whole = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    torn = tmp_path / "000001.png"
    torn.write_bytes(torn.read_bytes()[:60])
    (tmp_path / "depth" / "000003.png").unlink()
    kept = tmp_path / "000000.png"
    os.utime(kept, (1, 1))
    v.export(tmp_path, 5, size=24)
    assert kept.stat().st_mtime == 1
    assert {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == whole
    assert not list(tmp_path.rglob(".*"))


def test_an_export_grows_and_gains_its_maps(tmp_path):
    v.export(tmp_path, 2, size=24, truth=False)
    assert not (tmp_path / "depth").exists()
    assert "boxes" not in lines(tmp_path)[0]
    v.export(tmp_path, 3, size=24)
    assert [line["index"] for line in lines(tmp_path)] == [0, 1, 2]
    assert all("boxes" in line for line in lines(tmp_path))
    assert len(list((tmp_path / "depth").iterdir())) == 3


def test_a_folder_of_other_vignettes_is_refused(tmp_path):
    v.export(tmp_path, 1, size=24)
    for other in ({"seed": 1}, {"size": 32}, {"split": "any"}):
        with pytest.raises(BadInput):
            v.export(tmp_path, 1, **({"size": 24} | other))
    (tmp_path / "metadata.jsonl").write_text("no json")
    with pytest.raises(BadInput):
        v.export(tmp_path, 1, size=24)
    with pytest.raises(BadInput):
        v.export(tmp_path / "none", 0)


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInput, match="can't write"):
        v.export(tmp_path / "file", 1, size=24)
