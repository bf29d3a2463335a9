"""Models that are loaded once, held under a budget, and shared."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import torch
from safetensors.torch import save_file

import sfumato
from sfumato.adapt import LoRA
from sfumato.model import Pool
from sfumato.model import pool as module

SMALL = {"steps": 2, "width": 16, "height": 16}


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """The folders that were really read, in order."""
    found, read = [], module.read_stages

    def counted(name, *rest, **options):
        found.append(str(name))
        return read(name, *rest, **options)

    monkeypatch.setattr(module, "read_stages", counted)
    return found


@pytest.fixture
def two(tiny_model, tmp_path):
    """Two models with the same text encoder's files."""
    from random_model import TINY, build

    other = build(tmp_path / "other", shape=TINY, seed=3)
    shutil.rmtree(other / "text_encoder")
    (other / "text_encoder").symlink_to(tiny_model / "text_encoder")
    return tiny_model, other


def test_switching_between_held_models_reads_nothing_and_text_encoders_are_shared(two, reads):
    pool = Pool()
    pipes = [sfumato.load(name, pool=pool) for name in (*two, *two)]
    assert reads == [str(name) for name in two]
    assert pipes[0].stage is pipes[2].stage
    texts, unets = ([pipe.stage.networks[part] for pipe in pipes] for part in ("text_encoder", "unet"))
    assert texts[0] is texts[1]
    assert unets[0] is not unets[1]
    alone = [sum(p.nbytes for net in sfumato.load(n).stage.networks.values() for p in net.parameters()) for n in two]
    once = sum(p.nbytes for p in texts[0].parameters())
    assert abs(pool.bytes - (sum(alone) - once)) < 0.02 * once, "what is shared counts once; buffers count a little"
    made = pipes[1]("a boat", steps=2).image.tobytes()
    assert made == sfumato.load(two[1])("a boat", steps=2).image.tobytes()


def test_copies_of_a_text_encoder_are_one_and_what_was_changed_is_another(two, tmp_path):
    pool, copy = Pool(), tmp_path / "copy"
    shutil.copytree(two[1], copy)  # the text encoder's files, no longer a link
    first, second = (sfumato.load(each, pool=pool).stage.networks for each in (two[0], copy))
    assert first["text_encoder"] is second["text_encoder"]
    file = copy / "text_encoder" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    again = sfumato.load(copy, pool=pool).stage.networks
    assert again["text_encoder"] is not first["text_encoder"]


def test_the_least_recently_used_is_given_up_and_a_changed_folder_is_read_again(two, reads):
    pool = Pool()
    sfumato.load(two[0], pool=pool)
    pool.limit = int(pool.bytes * 1.2)
    sfumato.load(two[1], pool=pool)
    assert pool.models == [two[1]]
    pool.limit *= 3
    for name in (two[0], two[1], two[0]):
        sfumato.load(name, pool=pool)
    assert pool.models == [two[1], two[0]]
    sfumato.load(two[0], pool=pool, precision="bfloat16")
    assert len(pool.models) == 3
    before = len(reads)
    config = two[1] / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text() + "\n")
    sfumato.load(two[1], pool=pool)
    assert len(reads) == before + 1
    small = Pool(limit=1)
    assert sfumato.load(two[0], pool=small)("a boat", steps=1).images, "one that is too large is held alone"
    assert len(small.models) == 1


def test_threads_that_ask_at_once_wait_for_one_reading_and_paint_the_same(two, reads):
    pool = Pool()
    wanted = {name: sfumato.load(name)("a boat", **SMALL).image.tobytes() for name in two}

    def paint(index: int) -> bool:
        name = two[index % 2]
        return sfumato.load(name, pool=pool)("a boat", **SMALL).image.tobytes() == wanted[name]

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(paint, range(4)))
    assert sorted(reads) == sorted(map(str, two))


@pytest.mark.parametrize("options", [{"precision": "float8"}, {"offload": "parts"}, {"offload": "layers"}])
def test_threads_share_networks_whose_weights_come_and_go(tiny_model, options):
    pipe = sfumato.load(tiny_model, **options)
    wanted = [pipe(words, **SMALL).image.tobytes() for words in ("a boat", "a red house")]
    with ThreadPoolExecutor(2) as threads:
        found = threads.map(lambda words: pipe(words, **SMALL).image.tobytes(), ("a boat", "a red house"))
        assert list(found) == wanted


def test_adapters_of_one_pipe_are_not_seen_by_another_that_shares_its_model(tiny_model, tmp_path):
    """Neither between its calls nor while it calls: a thread that comes in the middle of one waits."""
    pool = Pool()
    plain, adapted = (sfumato.load(tiny_model, pool=pool) for _ in range(2))
    unet, own = plain.stage.networks["unet"], [p for n in plain.stage.networks.values() for p in n.parameters()]
    pair = {}
    for name, layer in unet.named_modules():
        if name.endswith("to_out.0"):
            pair[f"unet.{name}.lora_A.weight"] = torch.ones(1, layer.in_features)
            pair[f"unet.{name}.lora_B.weight"] = torch.arange(1.0, layer.out_features + 1)[:, None]
    save_file(pair, tmp_path / "a.safetensors")
    wanted = plain("a boat", steps=2).image.tobytes()
    came = threading.Event()

    def other() -> bytes:
        try:
            return plain("a boat", steps=2).image.tobytes()
        finally:
            came.set()

    with ThreadPoolExecutor(1) as thread, adapted.attach(LoRA(tmp_path / "a.safetensors")):
        steps = adapted.steps("a boat", steps=2)
        next(steps)
        assert plain("a boat", steps=2).image.tobytes() == wanted, "between two steps"
        asked: list[Future[bytes]] = []

        def intrude(*_: object) -> None:
            if not asked:
                asked.append(thread.submit(other))
                came.wait(3)

        hook = unet.register_forward_pre_hook(intrude)
        changed = list(steps)[-1].result.image.tobytes()
        hook.remove()
        assert asked[0].result() == wanted, "in the middle of a call"
    assert changed != wanted
    now = [p for n in plain.stage.networks.values() for p in n.parameters()]
    assert all(a is b for a, b in zip(own, now, strict=True))
