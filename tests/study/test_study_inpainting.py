"""The study of inpainting: its tasks, its measures, the hosted model through its real client, and a run end to end."""

from __future__ import annotations

import base64
import io
import json
import threading
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import warm
from PIL import Image

from sfumato import study
from sfumato.picture import BadInput
from sfumato.study import filling, inpainting, openai_images

TINY = ["count=1", "steps=2", "guidance=2", "hosted="]


@pytest.fixture
def api(monkeypatch):
    """A server that speaks the images API: it fills the hole with green, and keeps what it was sent."""
    pytest.importorskip("openai", reason="the openai client is not installed")
    sent: list[dict[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            parts = list(BytesParser().parsebytes(head + body).walk())[1:]
            fields = {part.get_param("name", header="content-disposition"): part for part in parts}
            sent.append({str(name): _bytes(part) for name, part in fields.items()})
            answer, status = self._answer(sent[-1])
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def _answer(self, fields):
            if fields["prompt"] == b"refuse":
                return {"error": {"message": "not that", "type": "invalid_request_error", "code": None}}, 400
            picture, mask = (Image.open(io.BytesIO(fields[name])) for name in ("image", "mask"))
            picture.paste((0, 200, 0), (0, 0), mask.getchannel("A").point(lambda alpha: 255 - alpha))
            buffer = io.BytesIO()
            picture.save(buffer, "PNG")
            return {"created": 0, "data": [{"b64_json": base64.b64encode(buffer.getvalue()).decode()}]}, 200

        def log_message(self, format, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(openai_images.KEY, "a key")
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    yield sent
    server.shutdown()
    server.server_close()


def _bytes(part: Message) -> bytes:
    found = part.get_payload(decode=True)
    assert isinstance(found, bytes)
    return found


def halves() -> tuple[Image.Image, Image.Image]:
    picture, hole = Image.new("RGB", (64, 64), (200, 40, 40)), Image.new("L", (64, 64))
    hole.paste(255, (0, 0, 32, 64))
    return picture, hole


def test_the_hosted_model_is_sent_the_inverted_hole_in_alpha(api):
    picture, hole = halves()
    out = np.asarray(openai_images.fill_hole(picture, hole, "a green half", "gpt-image-1"))
    assert out.shape == (64, 64, 3)
    assert np.abs(out[:, :28].astype(int) - (0, 200, 0)).max() == 0
    assert np.abs(out[:, 36:].astype(int) - (200, 40, 40)).max() == 0
    (fields,) = api
    assert (fields["prompt"], fields["model"], fields["size"]) == (b"a green half", b"gpt-image-1", b"1024x1024")
    mask = Image.open(io.BytesIO(fields["mask"]))
    assert (mask.mode, mask.size) == ("RGBA", (1024, 1024))
    assert [mask.getpixel((x, 500)) for x in (10, 1000)] == [(200, 40, 40, 0), (200, 40, 40, 255)]


def test_what_the_hosted_model_refuses_is_one_sentence(api):
    with pytest.raises(BadInput, match=r"did not fill the picture: .*not that"):
        openai_images.fill_hole(*halves(), "refuse", "gpt-image-1")


@pytest.fixture
def free(monkeypatch):
    """Nothing is spent on measuring what a fill costs."""
    monkeypatch.setattr(inpainting, "cost", lambda tick, model, steps, guidance: {"seconds": 1.0, "MiB": 1.0})


def test_without_a_key_the_hosted_model_is_left_out_and_the_page_says_why(tmp_path, tiny_model, monkeypatch, free):
    monkeypatch.delenv(openai_images.KEY, raising=False)
    settings = ["count=1", "steps=2", "nine=", "pixel=", f"latent={tiny_model}"]
    page = study.run("inpainting", model=None, out=tmp_path, settings=settings, progress=False)
    assert (
        "The OpenAI images API was left out: there is no key" in page.read_text() or "not installed" in page.read_text()
    )


@pytest.mark.parametrize("task", inpainting.TASKS, ids=lambda task: task.attribute)
def test_a_task_changes_one_thing_inside_the_hole(task):
    edit = filling.known_pair(task, 1)
    assert edit.scene[task.attribute] == task.value
    before, after, hole = (np.asarray(image).astype(int) for image in (edit.before, edit.after, edit.hole))
    assert 0.01 < (hole > 0).mean() < 0.7
    changed = np.abs(before - after).mean(-1)  # a style's grain changes a little everywhere
    assert changed[hole > 0].mean() > 5 * changed[hole == 0].mean()


def test_figures_tell_the_background_from_the_hole():
    picture, hole = halves()
    worse = Image.fromarray(np.asarray(picture) + np.uint8(4))
    found = filling.outside_and_seam(picture, hole, worse, Image.composite(worse, picture, hole))
    assert found["background error"] == pytest.approx(4, abs=1e-4)
    assert found["background error, pasted"] == 0
    assert found["seam"] == pytest.approx(4, abs=1e-3)
    assert found["seam, before"] == 0


@pytest.mark.slow
def test_runs_from_end_to_end_and_again_without_work(tmp_path, tiny_model, monkeypatch):
    monkeypatch.setattr(filling, "get_context", lambda method: warm.SERVER)
    settings = [*TINY, "nine=", "pixel=", f"latent={tiny_model}"]
    page = study.run("inpainting", model=None, out=tmp_path, settings=settings, progress=False)
    table = (tmp_path / "table.csv").read_bytes()
    assert b"asked" in table
    assert b"MiB" in table
    assert page.read_text().count("<figure>") == len(list(tmp_path.glob("*.png"))) == 3
    monkeypatch.setattr("sfumato.model.load", None)
    study.run("inpainting", model=None, out=tmp_path, settings=settings, progress=False)
    assert (tmp_path / "table.csv").read_bytes() == table


def test_ones_own_pictures_are_filled_too(tmp_path, tiny_model, free):
    picture, hole = halves()
    picture.save(tmp_path / "p.png")
    hole.save(tmp_path / "m.png")
    own = [f"pictures=[{tmp_path}/p.png]", f"masks=[{tmp_path}/m.png]", "prompts=[a boat]"]
    settings = [*TINY, "nine=", "pixel=", f"latent={tiny_model}"]
    page = study.run("inpainting", model=None, out=tmp_path / "s", settings=[*settings, *own], progress=False)
    assert "picture 0" in page.read_text() or (tmp_path / "s" / "fills.png").is_file()
    with pytest.raises(BadInput, match="one mask and one prompt for each picture"):
        study.run("inpainting", model=None, out=tmp_path, settings=[*settings, own[0]], progress=False)
