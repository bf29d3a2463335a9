"""Rows of a small network in OpenVINO: one by one through a graph of one row, and several through one graph.

    python benchmarks/rows.py [--model mini] [--rows 2 16] [--repeats 6] [--threads 1]

Calls of the model's own U-Net, by turns in one process: PyTorch's (all rows at once, as stock diffusers calls it), and
the engine's in both ways, whose answers must be the same to the bit. Told is the least processor time of a call, which
other programs on the machine disturb less than the clock; with several threads it is that of all of them together, and
the least time by the clock stands beside it. The rows are noise, words and times drawn at random.
"""

from __future__ import annotations

import argparse
import time

import torch

import sfumato
from sfumato.network.engine import Eager, OpenVINO
from sfumato.network.engine import openvino as engine
from sfumato.network.unet2d_condition import spec, text_width

WAYS = ("pytorch", "one by one", "several")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--rows", type=int, nargs="+", default=[2, 16])
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    network = sfumato.load(args.model).stage.networks["unet"]
    told, side = spec(network), network.config["sample_size"]
    run, plain = OpenVINO().prepare(network, told), Eager().prepare(network, told)
    engine.PATIENCE, sizes = 0, engine.SEVERAL
    for rows in args.rows:
        draw = torch.Generator().manual_seed(rows)
        given = {
            "x": torch.randn(rows, network.config["in_channels"], side, side, generator=draw),
            "t": 999 * torch.rand(rows, generator=draw),
            "text": torch.randn(rows, 48, text_width(network.config), generator=draw),
        }
        best = {way: [float("inf")] * 2 for way in WAYS}
        answers = {}
        for repeat in range(args.repeats + 1):
            for way in WAYS:
                engine.SEVERAL = sizes if way == "several" else ()
                clock, cpu = time.perf_counter(), time.process_time()
                with torch.no_grad():
                    answers[way] = (plain if way == "pytorch" else run)(**given)
                spent = time.process_time() - cpu, time.perf_counter() - clock
                if repeat:
                    best[way] = list(map(min, best[way], spent))
        assert torch.equal(answers["one by one"], answers["several"]), "other bits"
        error = (answers["several"] - answers["pytorch"]).abs().max() / answers["pytorch"].abs().max()
        print(f"{rows} rows, {args.threads} threads; relative error {float(error):.1e}")
        for way in WAYS:
            cpu, clock = best[way]
            times = [a / b for a, b in zip(best["pytorch"], best[way], strict=True)]
            print(f"  {way:10} {1e3 * cpu:7.1f} ms of processor time ({times[0]:.2f} x), "
                  f"{1e3 * clock:7.1f} ms by the clock ({times[1]:.2f} x)", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
