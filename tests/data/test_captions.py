"""Captions by a BLIP: what it is shown and what it says are transformers' own, and nothing that was there is lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sfumato.cli.app import run_command
from sfumato.data.captions import uncaptioned, with_subject
from sfumato.network.blip import Blip
from sfumato.picture import BadInput


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BLIP of random weights."""
    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration

    folder = tmp_path_factory.mktemp("blip")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "a", "red", "woman", "boat"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {"bos_token_id": 5, "eos_token_id": 2, "pad_token_id": 0, "sep_token_id": 3, "vocab_size": len(words)}
    config = BlipConfig(
        text_config={**small, **ids, "encoder_hidden_size": 16, "max_position_embeddings": 32},
        vision_config={**small, "image_size": 32, "patch_size": 16, "initializer_range": 0.5},
    )
    torch.manual_seed(0)
    network = BlipForConditionalGeneration(config)
    network.save_pretrained(folder)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    dice = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        Image.fromarray(dice.integers(0, 255, (24, 40, 3), np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "b.txt").write_text("by hand\n")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG and no more")
    return tmp_path


def test_it_sees_and_says_what_transformers_does(blip, photos):
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    mine, picture = Blip(str(blip), "cpu"), Image.open(photos / "a.png")
    x = BlipImageProcessorPil(size={"height": 32, "width": 32})(picture, return_tensors="pt").pixel_values
    torch.testing.assert_close(torch.from_numpy(mine.seen(picture))[None], x, rtol=0, atol=1e-5)
    ids = mine.network.generate(pixel_values=x, num_beams=3, do_sample=False, max_new_tokens=40)
    assert mine([picture]) == [mine.tokenizer.decode(ids[0], skip_special_tokens=True).strip()]


def test_captions_stand_beside_pictures_and_none_is_lost(blip, photos, monkeypatch, capsys):
    monkeypatch.setattr(Blip, "__call__", lambda self, pictures: ["a red woman"] * len(pictures))
    line = ["caption", str(photos), "--model", str(blip), "--as", "sks woman", "--class", "woman"]
    assert run_command([*line, "--json"]) == 0
    out, told = capsys.readouterr()
    assert {Path(path).name: said for path, said in json.loads(out)["captions"].items()} == {
        "a.txt": "a red sks woman",
        "c.txt": "a red sks woman",
    }
    assert "1 of 4 pictures have a caption, which stays as it is: --replace" in told
    assert "left out: " in told
    assert (photos / "b.txt").read_text() == "by hand\n"
    assert run_command([*line, "--replace"]) == 0
    assert (photos / "b.txt").read_text() == "a red sks woman\n"
    assert not (photos / "broken.txt").exists()


@pytest.mark.parametrize(
    ("caption", "kind", "said"),
    [
        ("a Woman and a woman", "woman", "a sks woman and a woman"),
        ("a womanly hat", "woman", "sks woman, a womanly hat"),
        ("a sks woman in a boat", "woman", "a sks woman in a boat"),
        ("a boat", "", "sks woman, a boat"),
        ("", "woman", "sks woman"),
    ],
)
def test_a_caption_names_the_subject_once(caption, kind, said):
    assert with_subject(caption, "sks woman", kind) == said


def test_what_is_no_blip_or_no_folder_is_said(photos, tmp_path):
    (photos / "metadata.jsonl").write_text("")
    with pytest.raises(BadInput, match=r"no \.txt is read beside that"):
        uncaptioned(photos)
    with pytest.raises(BadInput, match=r"no folder with a config\.json and no Hub id"):
        Blip("nowhere")
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(BadInput, match="holds a clip: captions are written by a BLIP"):
        Blip(str(tmp_path))
