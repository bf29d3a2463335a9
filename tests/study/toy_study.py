"""A study's cells in a process of their own: toy_study.py FOLDER SECONDS_A_CELL prints each cell that it does."""

import sys
import time
from pathlib import Path

import numpy as np

from sfumato.study import runner
from sfumato.study.study import Cell


def slow(tick, number):
    print(number, flush=True)
    time.sleep(float(sys.argv[2]))
    return {"value": np.full(1000, number)}


if __name__ == "__main__":
    cells = [Cell(f"cell {number}", slow, {"number": number}) for number in range(5)]
    results = runner.work("toy", cells, Path(sys.argv[1]))
    assert [int(result["value"][0]) for result in results.values()] == [0, 1, 2, 3, 4]
