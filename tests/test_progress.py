"""What long work tells where stderr is no terminal: a line every half minute, and nothing of short work."""

import pytest

from sfumato import progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_work_whose_end_is_known_tells_every_half_minute_and_at_its_end(clock, capsys):
    with progress.progress("training", 4, done=1) as advance:
        for _ in range(3):
            clock[0] += 20
            advance(1, "loss 1")
    told = capsys.readouterr().err.splitlines()
    assert told == ["training 3/4, 0.3 min left loss 1", "training 4/4, 0.0 min left loss 1"]


def test_work_that_tells_its_end_on_the_way_is_timed_from_its_new_title_and_ends_quietly(clock, capsys):
    with progress.progress("loading") as advance:
        clock[0] += 100
        for index in range(1, 5):
            advance(done=index, total=4, title="painting")
            clock[0] += 25
    assert capsys.readouterr().err.splitlines() == ["painting 3/4, 0.3 min left "]
    with progress.progress("quiet", 9, shown=False) as advance:
        clock[0] += 100
        advance(done=3, total=9)
    assert capsys.readouterr().err == ""
