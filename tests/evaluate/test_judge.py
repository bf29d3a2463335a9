from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sfumato.data import vignettes
from sfumato.evaluate.attributes import drawn, score_attributes
from sfumato.evaluate.judge import JUDGE, Detail, Judge, augment, mean_cross_entropy, resized
from sfumato.evaluate.questions import questions
from sfumato.picture import BadInput

WORDS = {"colour": ("red", "blue"), "side": ("none", "left", "right")}


def squares(count: int, seed: int, size: int = 64) -> tuple[torch.Tensor, list[dict[str, str]]]:
    """Grainy pictures with a red or blue ground and a white square above, on the left or on the right or nowhere."""
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.randint(0, 6, (count,), generator=generator).tolist()
    x = 0.3 * torch.randn(count, 3, size, size, generator=generator)
    rows = []
    for i, kind in enumerate(kinds):
        colour, side = kind % 2, kind // 2
        x[i, 2 * colour] += 0.7
        if side:
            x[i, 1, :, (side - 1) * 40 + 4 : (side - 1) * 40 + 20] += 1
        rows.append({"colour": WORDS["colour"][colour], "side": WORDS["side"][side]})
    return x.clamp(-1, 1), rows


def test_a_judge_learns_what_it_is_shown():
    torch.manual_seed(0)
    judge = Judge(WORDS, channels=(8, 16, 16), blocks=(1, 1, 1))
    optimizer = torch.optim.AdamW(judge.parameters(), 5e-3)
    x, rows = squares(96, 0)
    targets = judge.targets(rows)
    for step in range(40):
        part = torch.arange(24) + step % 4 * 24
        optimizer.zero_grad()
        mean_cross_entropy(judge(augment(x[part])), targets[part]).backward()
        optimizer.step()
    x, rows = squares(48, 1)
    assert [v["colour"] for v in judge.eval().predict(x)] == [row["colour"] for row in rows]


@pytest.fixture(scope="module")
def judge() -> Judge:
    torch.manual_seed(1)
    return Judge(vignettes.ATTRIBUTES, channels=(16, 16, 32), blocks=(1, 1, 1)).eval()


def test_a_verdict_does_not_depend_on_the_neighbours(judge: Judge):
    x = torch.rand(4, 3, 64, 64) * 2 - 1
    together, alone = judge(x), judge(x[2:3])
    assert max(float((a[2] - b[0]).detach().abs().max()) for a, b in zip(together, alone, strict=True)) < 1e-5


def test_targets_and_verdicts_are_in_the_words_of_the_world(judge: Judge):
    rows = [vignettes.scene(5, i, "any").attributes for i in range(8)]
    targets = judge.targets(rows)
    assert targets.shape == (8, len(vignettes.ATTRIBUTES))
    for verdict in judge.predict(torch.zeros(3, 3, 64, 64), batch=2):
        assert all(verdict[name] in values for name, values in vignettes.ATTRIBUTES.items())
    assert torch.isfinite(mean_cross_entropy(judge(torch.zeros(8, 3, 64, 64)), targets))


def test_the_channel_of_detail_is_four_times_what_stands_out_from_its_neighbours():
    x = torch.zeros(1, 3, 5, 5)
    x[0, :, 2, 2] = torch.tensor([0.3, 0.6, 0.9])  # a grey of 0.6
    detail = Detail()(x)[0, 3]
    want = torch.zeros(5, 5)
    want[1:4, 1:4] = 4 * 0.6 / 9
    want[2, 2] = 4 * (0.6 - 0.6 / 9)
    torch.testing.assert_close(detail, want)
    assert torch.equal(Detail()(x)[:, :3], x)


def test_the_loss_is_the_smoothed_cross_entropy_over_all_attributes():
    """Szegedy et al. 2016, section 7: 95 % of the weight on the value, 5 % over all values alike."""
    torch.manual_seed(0)
    judge = Judge(WORDS, channels=(8, 16, 16), blocks=(1, 1, 1)).eval()
    x, rows = squares(6, 1)
    terms = []
    for logits, (name, values) in zip(judge(x), WORDS.items(), strict=True):
        log_p = logits.log_softmax(1)
        right = torch.tensor([values.index(row[name]) for row in rows])
        terms.append(-(0.95 * log_p[range(6), right] + 0.05 * log_p.mean(1)).mean())
    torch.testing.assert_close(mean_cross_entropy(judge(x), judge.targets(rows)), torch.stack(terms).mean())


def test_a_saved_judge_comes_back(judge: Judge, tmp_path: Path):
    judge.save(tmp_path)
    again = Judge.load(tmp_path)
    assert again.attributes == judge.attributes
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    for a, b in zip(judge(x), again(x), strict=True):
        assert torch.allclose(a, b, atol=1e-2)
    assert not any(w.requires_grad for w in again.parameters())


@pytest.mark.parametrize("harm", ["empty folder", "no weights", "damaged weights", "another shape"])
def test_a_folder_without_a_readable_judge_is_refused(judge: Judge, tmp_path: Path, harm: str):
    if harm != "empty folder":
        judge.save(tmp_path)
    if harm == "no weights":
        (tmp_path / "model.safetensors").unlink()
    if harm == "damaged weights":
        (tmp_path / "model.safetensors").write_bytes(b"nothing")
    if harm == "another shape":
        config = (tmp_path / "config.json").read_text().replace("32", "40")
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(BadInput, match="holds no readable judge") as caught:
        Judge.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_augmentation_is_a_function_of_its_generator_and_keeps_the_picture():
    x = drawn(questions(6, 11, "seen"), (64, 64))
    a, b, c = (augment(x, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert a.min() >= -1
    assert a.max() <= 1
    hue = (a.mean((2, 3)) - x.mean((2, 3))).abs().max()
    assert hue < 0.2, "colours are attributes: they must survive"


def test_augmentation_softens_some_pictures_and_sharpens_none():
    """Texture tells a style: it is left or lessened by up to 3/4, and brightness scales it by 0.92 to 1.08."""
    x = 0.3 * torch.randn(200, 3, 64, 64, generator=torch.Generator().manual_seed(0)).clamp(-2, 2)
    a = augment(x, torch.Generator().manual_seed(1))
    contrast = a.std((1, 2, 3)) / x.std((1, 2, 3))
    assert contrast.max() < 1.1
    assert contrast.min() < 0.5
    assert 0.25 < float((contrast > 0.9).float().mean()) < 0.6, "0.45 of 1.2 are not softened"


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (128, 128), (96, 64)])
def test_pictures_of_any_size_are_judged_at_64(size: tuple[int, int]):
    flat = torch.full((1, 3, *size), 0.25)
    assert torch.allclose(resized(flat), torch.full((1, 3, 64, 64), 0.25))


@pytest.mark.skipif(not (JUDGE / "model.safetensors").is_file(), reason="the judge is not in this checkout")
def test_pictures_shrink_by_area_and_grow_bilinearly():
    x = torch.rand(2, 3, 128, 128)
    torch.testing.assert_close(resized(x), torch.nn.functional.avg_pool2d(x, 2))
    small = torch.rand(1, 3, 32, 32)
    grown = resized(small)[0, :, 11, 20]  # a quarter of a pixel beyond the middle of row 5, before that of column 10
    near = small[0, :, 5:7, 9:11]
    weights = torch.tensor([[0.75 * 0.25, 0.75 * 0.75], [0.25 * 0.25, 0.25 * 0.75]])
    torch.testing.assert_close(grown, (near * weights).sum((1, 2)))


def test_the_built_in_judge_reads_true_pictures_it_never_saw():
    """The ceiling of every attribute accuracy: measured on a world that nothing was trained on."""
    assert (JUDGE / "model.safetensors").stat().st_size < 16 << 20
    asked = questions(60, 2_000_003, "seen") + questions(60, 2_000_003, "held-out")
    scores = score_attributes(asked, Judge.load().predict(drawn(asked, (64, 64))))
    assert scores.stated.value >= 0.95
    assert scores.absent.value >= 0.97
