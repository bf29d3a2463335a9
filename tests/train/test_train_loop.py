"""The loop: exact resuming, signals, losses that aren't numbers, full disks."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import warm
from toy_training import Toy, last, loop, recipe

from sfumato.picture import BadInput
from sfumato.train import checkpoint, rng
from sfumato.train.hyperparameters import Optimizer
from sfumato.train.loop import Stopped
from sfumato.train.machine import accelerator, pin
from sfumato.train.optimizer import adamw, learning_rate

HERE = Path(__file__).parent


def assert_same(a: checkpoint.State, b: checkpoint.State) -> None:
    """Equal to the bit: weights, averages, optimizer."""
    assert a.step == b.step
    for one, other in ((a.network, b.network), (a.ema, b.ema)):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[k], other[k]) for k in one)
    for k, slot in a.optimizer["state"].items():
        assert all(
            torch.equal(torch.as_tensor(v), torch.as_tensor(b.optimizer["state"][k][n])) for n, v in slot.items()
        )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> checkpoint.State:
    """The run that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    loop(folder).run()
    return last(folder)


def test_a_killed_run_goes_on_to_the_same_bits(whole, tmp_path):
    with warm.start(HERE / "toy_training.py", tmp_path, 0.03) as process:
        deadline = time.monotonic() + 60
        while len(checkpoint.steps(tmp_path / "checkpoints")) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    again = loop(tmp_path)
    assert again.restore()
    assert 0 < again.step < 60
    again.run()
    assert_same(whole, last(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_the_step_in_hand_and_says_how_to_go_on(whole, tmp_path, number):
    threading.Timer(0.4, os.kill, (os.getpid(), number)).start()
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as caught:
        loop(tmp_path, Toy(pause=0.02)).run()
    assert caught.value.code == 128 + number
    assert "the same command goes on from there" in str(caught.value)
    assert signal.getsignal(number) is before
    again = loop(tmp_path)
    assert again.restore()
    assert f"after step {again.step}, which is saved" in str(caught.value)
    again.run()
    assert_same(whole, last(tmp_path))


def test_a_damaged_newest_checkpoint_is_walked_past(whole, tmp_path):
    loop(tmp_path).run()
    newest, older = checkpoint.steps(tmp_path / "checkpoints")[::-1]
    weights = newest / "network.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    again = loop(tmp_path)
    again.restore()
    assert f"step-{again.step:08d}" == older.name
    again.run()
    assert_same(whole, last(tmp_path))


def test_accumulated_batches_follow_the_same_stream(tmp_path):
    seen: list[list[int]] = []

    class Watch(Toy):
        def forward(self, indices, step, generator):
            seen.append(indices.tolist())
            return super().forward(indices, step, generator)

    loop(tmp_path, Watch(), steps=3, optimizer={"accumulate": 2}).run()
    assert seen == [rng.batch(0, k, 8, 50).tolist() for k in range(6)]


def test_accumulating_is_the_mean_of_the_batches_gradients(tmp_path):
    class Plain(Toy):
        def forward(self, indices, step, generator):
            x = self.points[torch.as_tensor(indices)]
            return (self.network.eval()(x) - x).square().mean(), {}

    (tmp_path / "a").mkdir()
    parts, one = loop(tmp_path / "a", Plain(), optimizer={"accumulate": 2, "clip": 1e9}), Plain()
    parts.advance()
    x = one.points[torch.as_tensor(rng.batch(0, 0, 16, 50))]
    (one.network.eval()(x) - x).square().mean().backward()
    for a, b in zip(parts.network.parameters(), one.network.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def _places() -> list[dict[str, str]]:
    """The environments of two processes that are one run, as torchrun makes them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    world = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    return [{**_environment(), **world, "RANK": rank, "LOCAL_RANK": rank} for rank in ("0", "1")]


def _two_processes(script: str, *arguments: object) -> list[str]:
    """The lines that a script's two processes print, each told its place as torchrun tells it."""
    told = _places()
    command = [str(HERE / script), *map(str, arguments)]
    with warm.start(*command, env=told[0]) as one, warm.start(*command, env=told[1]) as other:
        assert (one.wait(), other.wait()) == (0, 0), one.err + other.err
        return (one.out + other.out).splitlines()


@pytest.mark.slow
def test_two_processes_train_one_network(tmp_path):
    hashes = [line for line in _two_processes("toy_training.py", tmp_path, "0") if line.startswith("weights")]
    assert len(hashes) == 2
    assert len(set(hashes)) == 1
    assert last(tmp_path).step == 60
    assert len((tmp_path / "scalars.jsonl").read_text().splitlines()) == 12


@pytest.mark.slow
@pytest.mark.parametrize("told", [0, 1])
def test_a_signal_to_one_of_two_processes_is_heard_by_both(tmp_path, told):
    command = [str(HERE / "toy_training.py"), str(tmp_path), "0.05"]
    places = _places()
    with warm.start(*command, env=places[0]) as one, warm.start(*command, env=places[1]) as other:
        both = one, other
        deadline = time.monotonic() + 60
        while not checkpoint.steps(tmp_path / "checkpoints") and time.monotonic() < deadline:
            time.sleep(0.02)
        both[told].kill(signal.SIGTERM)
        assert (one.wait(), other.wait()) == (143, 143), one.err + other.err
    assert 0 < last(tmp_path).step < 60


@pytest.mark.slow
def test_two_processes_draw_steps_by_the_losses_of_the_first(tmp_path):
    said = [line.split()[1:] for line in _two_processes("toy_history.py", tmp_path) if line.startswith("chances")]
    rows: dict[int, set[tuple[str, ...]]] = {}
    for number, *chances in said:
        rows.setdefault(int(number), set()).add(tuple(chances))
    assert len(said) == 24
    assert [len(rows[i]) for i in range(12)] == [1] * 12
    [end] = rows[11]
    assert [float(p) for p in end] == pytest.approx([0.999 * i / 10 + 0.00025 for i in (1, 2, 3, 4)], abs=1e-5)


def test_a_loss_that_is_no_number_stops_with_everything_one_needs(tmp_path):
    with pytest.raises(Stopped) as caught:
        loop(tmp_path, Toy(poison=9)).run()
    assert caught.value.code == 1
    told = json.loads((tmp_path / "diverged.json").read_text())
    assert told["step"] == 9
    assert len(told["indices"]) == 8
    assert str(told["indices"][0]) in str(caught.value)
    kept = checkpoint.read(tmp_path / "diverged-00000009")
    assert kept.step == 9
    assert all(bool(torch.isfinite(w).all()) for w in kept.network.values())
    assert last(tmp_path).step == 8


def test_a_full_disk_says_so_and_leaves_the_last_checkpoint(tmp_path):
    script = tmp_path / "full_disk.py"
    code = f"""
import resource, signal, sys
sys.path.insert(0, {str(HERE)!r})
from pathlib import Path
from toy_training import loop
run = loop(Path({str(tmp_path)!r}), steps=8)
for _ in range(4): run.advance()
run.save()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))
run.advance()
try:
    run.save()
except SystemExit as stop:
    print(stop, '|', stop.code)
"""
    script.write_text(code)
    done = warm.run(script)
    assert "couldn't be written" in done.stdout, done.stderr
    assert done.stdout.strip().endswith("| 1")
    assert done.stdout.strip().count("\n") == 0
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000004"]
    assert last(tmp_path).step == 4


def test_minutes_end_a_run_by_the_clock_and_the_rate_follows(tmp_path):
    every = {"log": 1, "sample": 1000, "save": 1000}
    run = loop(tmp_path, Toy(pause=0.01), steps=100_000, minutes=0.01, every=every)
    run.run()
    assert run.seconds >= 0.6
    assert run.step < 100
    rows = [json.loads(line) for line in (tmp_path / "scalars.jsonl").read_text().splitlines()]
    assert rows[-1]["done"] >= 1


def test_learning_rate_warms_up_and_falls_as_a_cosine():
    o = Optimizer(lr=2.0, warmup=10, final=0.1)
    assert learning_rate(o, 0, 0.0) == pytest.approx(0.2)
    assert learning_rate(o, 9, 0.0) == pytest.approx(2.0)
    assert learning_rate(o, 50, 0.5) == pytest.approx(2.0 * (0.1 + 0.9 / 2))
    assert learning_rate(o, 99, 1.0) == pytest.approx(0.2)
    constant = Optimizer(lr=2.0, warmup=0, schedule="constant")
    assert learning_rate(constant, 0, 0.0) == learning_rate(constant, 99, 0.99) == 2.0


def test_a_run_leaves_scalars_grids_figures_and_events(tmp_path):
    figures = loop(tmp_path, steps=10).run()
    rows = [json.loads(line) for line in (tmp_path / "scalars.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [5, 10]
    assert {"loss", "lr", "grad_norm", "images_per_second"} <= rows[0].keys()
    assert [path.name for path in sorted((tmp_path / "samples").iterdir())] == [
        "square-00000000.png",
        "square-00000010.png",
    ]
    assert list((tmp_path / "tensorboard").glob("events*"))
    told = json.loads((tmp_path / "figures.json").read_text())
    assert told["steps"] == 10
    assert told["loss"] == figures["loss"]
    assert math.isfinite(told["hours"])


def test_training_learns(whole):
    fresh = Toy()
    points = fresh.points
    before = (fresh.network.eval()(points) - points).square().mean()
    fresh.network.load_state_dict(whole.ema, strict=False)
    assert (fresh.network(points) - points).square().mean() < before


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def test_one_process_trains_in_one_precision_after_another():
    asked = ("float32", "bfloat16", "float32")
    assert [accelerator(recipe(precision=each)).mixed_precision for each in asked] == ["no", "bf16", "no"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system doesn't say which cores are whose")
def test_processes_share_the_cores_among_them(monkeypatch):
    mine = os.sched_getaffinity(0)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(len(mine)))
    try:
        for rank, core in enumerate(sorted(mine)):
            os.sched_setaffinity(0, mine)
            monkeypatch.setenv("LOCAL_RANK", str(rank))
            pin()
            assert os.sched_getaffinity(0) == {core}
        os.sched_setaffinity(0, mine)
        monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
        pin()
        assert os.sched_getaffinity(0) == mine
    finally:
        os.sched_setaffinity(0, mine)


def test_eight_bits_are_bitsandbytes_or_a_sentence(monkeypatch):
    network = torch.nn.Linear(2, 2)
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(BadInput, match=r"optimizer\.bits: 8 needs bitsandbytes, .*: leave it at 32"):
        adamw(network, Optimizer(bits=8))
    asked: list[Any] = []
    theirs = SimpleNamespace(AdamW8bit=lambda groups, **options: asked.append((groups, options)))
    monkeypatch.setitem(sys.modules, "bitsandbytes", SimpleNamespace(optim=theirs))
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", theirs)
    adamw(network, Optimizer(bits=8, lr=0.5))
    ((matrices, vectors), options) = asked[0]
    assert (matrices["weight_decay"], vectors["weight_decay"], options["lr"]) == (0.01, 0.0, 0.5)
