"""Models of pixels: stock diffusers' pictures, classes by label, and every edit on grey and on RGB."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file

import sfumato
from sfumato.condition import Condition, Label, Text
from sfumato.edit import Outside, SDEdit
from sfumato.guide import ClassifierFree, StaticThreshold
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.sample import DDPM

SIZE = 16
VE = {"_class_name": "ScoreSdeVeScheduler", "sigma_min": 0.01, "sigma_max": 20.0, "num_train_timesteps": 40}


@pytest.fixture(params=[1, 3], ids=["grey", "rgb"])
def channels(request) -> int:
    return request.param


@pytest.fixture
def picture() -> Image.Image:
    image = Image.new("RGB", (SIZE, SIZE), (40, 90, 160))
    ImageDraw.Draw(image).ellipse((3, 3, 11, 11), fill=(230, 180, 40))
    return image


def mask(fill: int = 255) -> Image.Image:
    image = Image.new("L", (SIZE, SIZE), 0)
    ImageDraw.Draw(image).rectangle((0, 8, 15, 15), fill=fill)
    return image


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def rows_of(pipe: sfumato.Pipe) -> tuple[list[int], object]:
    rows: list[int] = []
    network = pipe.stage.denoiser.backbone.network  # pyright: ignore[reportAttributeAccessIssue]
    return rows, network.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))


# --- stock diffusers


def theirs(folder: Path, kind: str, monkeypatch, steps: int, **scheduler) -> Image.Image:
    """The stock pipeline's picture from the noise of seed 3: the start's, then one draw a step."""
    import diffusers

    pipe = getattr(diffusers, kind).from_pretrained(folder)
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, **scheduler)
    pipe.set_progress_bar_config(disable=True)
    noise, keys = KeyedNoise([3]), [("start",), *(("step", i) for i in range(steps))]

    def draw(shape, *args, **options) -> torch.Tensor:
        return noise(torch.zeros(*shape), *keys.pop(0))

    for module in ("pipelines.ddpm.pipeline_ddpm", "pipelines.ddim.pipeline_ddim", "schedulers.scheduling_ddpm"):
        monkeypatch.setattr(f"diffusers.{module}.randn_tensor", draw)
    return pipe(num_inference_steps=steps).images[0].convert("RGB")


@pytest.mark.parametrize(("kind", "sampler"), [("DDIMPipeline", "ddim"), ("DDPMPipeline", "ddpm")])
def test_stock_pipelines_give_the_same_picture(pixel_model, monkeypatch, channels, kind, sampler):
    folder = pixel_model(how=None, channels=channels)
    pipe = sfumato.load(folder)
    mine = array(pipe(sampler=sampler, times="trailing", steps=8, seed=3).image)
    assert np.abs(mine - array(theirs(folder, kind, monkeypatch, 8))).max() <= 1
    assert np.abs(mine - array(theirs(folder, kind, monkeypatch, 4))).max() > 8, "these weights and steps show"


def test_the_stock_scheduler_s_clipping_is_the_static_threshold(pixel_model, monkeypatch):
    folder = pixel_model(how=None)
    plain = {"sampler": "ddpm", "times": "trailing", "steps": 8, "seed": 3}
    mine = array(sfumato.load(folder)(guidance=[StaticThreshold(1.0)], **plain).image)
    assert np.abs(mine - array(theirs(folder, "DDPMPipeline", monkeypatch, 8, clip_sample=True))).max() <= 1
    assert np.abs(mine - array(sfumato.load(folder)(**plain).image)).max() > 1


@pytest.mark.parametrize("how", ["time", "channels"])
def test_a_class_reaches_the_network_as_it_was_trained(pixel_model, how, channels):
    from diffusers import UNet2DModel

    folder = pixel_model(how=how, channels=channels)
    backbone = sfumato.load(folder).stage.denoiser.backbone  # pyright: ignore[reportAttributeAccessIssue]
    unet, ids = UNet2DModel.from_pretrained(folder / "unet"), torch.tensor([2, 0, 3])
    x, t = torch.randn(3, channels, SIZE, SIZE), torch.tensor([5.0, 300.0, 900.0])
    if how == "time":
        stock = unet(x, t, class_labels=ids).sample
    else:
        rows = load_file(folder / "label" / "model.safetensors")["embedding.weight"][ids]
        stock = unet(torch.cat([x, rows[:, :, None, None].expand(-1, -1, SIZE, SIZE)], 1), t).sample
    assert torch.equal(backbone(x, t, Condition((Label(ids, 3),))), stock)
    assert backbone.accepts[Label] == 4


def test_a_score_network_is_told_sigma_and_says_the_score(pixel_model):
    from diffusers import UNet2DModel

    folder = pixel_model(how=None, scheduler=VE)
    denoiser, unet = sfumato.load(folder).stage.denoiser, UNet2DModel.from_pretrained(folder / "unet")
    x, t = torch.randn(2, 3, SIZE, SIZE), torch.tensor([0.3, 0.9], dtype=torch.float64)
    _, sigma = denoiser.schedule(t)
    p, s = denoiser(x, t, Condition.empty(2)), sigma.float().reshape(2, 1, 1, 1)
    assert torch.allclose(p.eps, -s * unet(x, sigma.float()).sample, atol=1e-5)
    assert torch.allclose(p.x0, x - s * p.eps, rtol=1e-4, atol=1e-4)
    assert float(denoiser.schedule(1.0)[1]) == pytest.approx(20.0, rel=1e-6)


# --- what a network can be told


@pytest.mark.parametrize("how", ["time", "channels", None])
def test_gradients_flow_to_the_picture(pixel_model, how):
    denoiser = sfumato.load(pixel_model(how=how)).stage.denoiser
    condition = Condition.empty(1) if how is None else Condition((Label(torch.tensor([1]), 3),))
    x = torch.randn(1, 3, SIZE, SIZE, requires_grad=True)
    p = denoiser(x, torch.tensor(0.5), condition)
    (gradient,) = torch.autograd.grad(p.eps.square().sum(), x)
    assert gradient.abs().mean() > 1e-3


def test_other_parts_are_refused_by_name(pixel_model):
    x, t = torch.zeros(1, 3, SIZE, SIZE), torch.tensor([0.5])
    label, text = Label(torch.tensor([1]), 3), Text(torch.zeros(1, 4, 8))
    for how, condition, said in (
        (None, Condition((label,)), "takes no Label condition"),
        ("time", Condition((label, text)), "takes no Text condition"),
        ("channels", Condition.empty(1), "needs exactly one Label"),
    ):
        backbone = sfumato.load(pixel_model(how=how)).stage.denoiser.backbone  # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(BadInput, match=said):
            backbone(x, t, condition)


def test_a_learned_variance_is_a_fraction_and_reaches_the_sampler(pixel_model):
    pipe = sfumato.load(pixel_model(learned=True))
    condition = Condition((Label(torch.tensor([1]), 3),))
    p = pipe.stage.denoiser(torch.randn(1, 3, SIZE, SIZE), torch.tensor(0.5), condition)
    assert p.fraction is not None
    assert p.fraction.shape == p.x0.shape == (1, 3, SIZE, SIZE)
    learned, small = (pipe(label="cat", sampler=DDPM(v), steps=5).image for v in ("learned", "small"))
    assert np.abs(array(learned) - array(small)).max() > 1
    with pytest.raises(BadInput, match="no learned variance"):
        sfumato.load(pixel_model())(label="cat", sampler=DDPM("learned"), steps=2)


def test_labels_by_name_in_any_case_or_by_index(pixel_model):
    pipe = sfumato.load(pixel_model())
    assert pipe.classes == ("boat", "cat", "Tree")
    plain = {"steps": 3, "seed": 5}
    tree = pipe(label="Tree", **plain)
    for same in ("tree", 2, "2"):
        other = pipe(label=same, **plain)
        assert array(other.image).tolist() == array(tree.image).tolist()
        assert replace(other.recipe, made=None) == replace(tree.recipe, made=None)
    assert tree.recipe.label == "Tree"
    assert np.abs(array(pipe(label="cat", **plain).image) - array(tree.image)).mean() > 2
    assert np.abs(array(pipe(**plain).image) - array(tree.image)).mean() > 2


def test_different_labels_run_as_one_batch_and_give_the_pictures_they_give_alone(pixel_model, channels):
    pipe = sfumato.load(pixel_model(how="channels", channels=channels), engine="exact")
    plain = Recipe(model=pipe.name, engine="exact", steps=3)
    recipes = [replace(plain, label=label, seed=i) for i, label in enumerate(["boat", "cat", 2])]
    rows, hook = rows_of(pipe)
    together = pipe.run(recipes)
    hook.remove()
    assert rows == [6, 6, 6]
    assert [recipe.label for recipe in together.recipes] == ["boat", "cat", "Tree"]
    assert together.images == [pipe.run(recipe).image for recipe in recipes]


def test_guidance_by_class_is_classifier_free(pixel_model):
    """u + scale (c - u): 0 is the picture without a class, 1 the class without guidance."""
    pipe = sfumato.load(pixel_model())
    plain = {"steps": 3, "seed": 5}
    off, none = (array(pipe(label="cat", guidance=[ClassifierFree(s)], **plain).image) for s in (1.0, 0.0))
    assert off.tolist() == array(pipe(label="cat", guidance=[], **plain).image).tolist()
    assert np.abs(none - array(pipe(**plain).image)).max() <= 1
    assert np.abs(array(pipe(label="cat", **plain).image) - off).max() > 1


@pytest.mark.parametrize("how", [None, "time"])
def test_the_default_guidance_is_left_out_where_there_is_nothing_to_guide_towards(pixel_model, how):
    pipe = sfumato.load(pixel_model(how=how))
    rows, hook = rows_of(pipe)
    recipe = pipe(steps=2).recipe
    hook.remove()
    assert rows == [1, 1]
    assert recipe.guidance == ()
    kept = (ClassifierFree(1.0), StaticThreshold())
    assert pipe(steps=2, guidance=kept).recipe.guidance == kept
    with pytest.raises(BadInput, match="nothing to guide by"):
        pipe(guidance=[ClassifierFree(3.0)])


def test_what_a_model_can_t_be_told_is_refused_in_a_sentence(pixel_model, tiny_model):
    classes, nothing, words = (sfumato.load(m) for m in (pixel_model(), pixel_model(how=None), tiny_model))
    for pipe, told, said in (
        (classes, {"label": "tee"}, "'tee' is no class of this model: give one of Tree, cat, boat, or 0 to 2"),
        (classes, {"label": 3}, "3 is no class"),
        (classes, {"prompt": "a boat"}, "reads no text: give a label instead, one of boat, cat, Tree"),
        (classes, {"negative": "fog"}, "reads no text"),
        (nothing, {"prompt": "a boat"}, "reads no text: leave the prompt out"),
        (nothing, {"label": "cat"}, "knows no classes: leave the label out"),
        (words, {"label": "cat"}, "knows no classes: give a prompt instead"),
    ):
        with pytest.raises(BadInput, match=said) as caught:
            pipe(**told)
        assert "\n" not in str(caught.value)


# --- edits


def test_strength_zero_is_the_identity_and_one_forgets_the_picture(pixel_model, picture, channels):
    pipe = sfumato.load(pixel_model(channels=channels))
    assert array(pipe(label="cat", start=SDEdit(picture, 0.0)).image).tolist() == array(picture).tolist()
    whole = array(pipe(label="cat", start=SDEdit(picture, 1.0), steps=3).image)
    assert whole.tolist() == array(pipe(label="cat", steps=3).image).tolist()
    gentle = {"label": "cat", "guidance": [], "steps": 4}
    near, far = (array(pipe(start=SDEdit(picture, s), **gentle).image) for s in (0.01, 0.9))
    seen = array(picture) if channels == 3 else array(picture.convert("L").convert("RGB"))
    assert np.abs(near - seen).mean() < 8 < 16 < np.abs(far - seen).mean()


def test_grey_pictures_are_the_luma_and_stay_as_they_are(pixel_model, picture):
    space = sfumato.load(pixel_model(channels=1)).stage.space
    from sfumato.space.pixels import to_images, to_tensor

    (seen,) = to_images(space.decode(space.encode(to_tensor([picture]))))
    assert np.abs(array(seen) - array(picture.convert("L").convert("RGB"))).max() <= 1
    grey = picture.convert("L").convert("RGB")
    assert to_images(space.decode(space.encode(to_tensor([grey]))))[0].tobytes() == grey.tobytes()


def test_outside_the_mask_the_picture_is_kept_to_the_byte(pixel_model, picture, channels):
    pipe = sfumato.load(pixel_model(channels=channels))
    outside = np.asarray(mask()) == 0
    for start in (None, SDEdit(picture, 0.9)):
        out = array(pipe(label="cat", start=start, hold=Outside(mask(), picture), steps=4).image)
        assert (out[outside] == array(picture)[outside]).all()
        assert np.abs(out - array(picture))[~outside].max() > 5
    empty = pipe(label="cat", start=SDEdit(picture, 0.8), hold=Outside(mask(0)), steps=3).image
    assert array(empty).tolist() == array(picture).tolist()


def test_in_pixels_the_hold_itself_keeps_the_outside(pixel_model, picture):
    """There is no decoder: without the composite what is held comes out as it went in."""
    pipe = sfumato.load(pixel_model())
    out = array(pipe(label="cat", start=SDEdit(picture, 0.9), hold=Outside(mask()), composite="none", steps=3).image)
    outside = np.asarray(mask()) == 0
    assert (out[outside] == array(picture)[outside]).all()
    assert np.abs(out - array(picture))[~outside].max() > 5


def test_sizes_other_than_the_model_s_own(pixel_model):
    pipe = sfumato.load(pixel_model(how=None))
    assert pipe(width=24, height=20, steps=2).image.size == (24, 20)


# --- folders


@pytest.fixture
def broken(pixel_model, tmp_path):
    def copy(changes: dict[str, dict], **options) -> Path:
        folder = Path(shutil.copytree(pixel_model(**options), tmp_path / "model"))
        for name, values in changes.items():
            found = json.loads((folder / name).read_text())
            (folder / name).write_text(json.dumps({**found, **values}))
        return folder

    return copy


def test_classes_of_a_stock_folder_are_their_indices_and_one_must_be_given(broken):
    folder = broken({})
    shutil.rmtree(folder / "label")
    pipe = sfumato.load(folder)
    assert pipe.classes == ("0", "1", "2", "3")
    with pytest.raises(BadInput, match="needs a label, one of 0, 1, 2, 3"):
        pipe(steps=2)
    result = pipe(label=2, steps=2)
    assert (result.recipe.label, result.recipe.guidance) == ("2", ())
    with pytest.raises(BadInput, match="no unconditional side"):
        pipe(label=2, guidance=[ClassifierFree(3.0)])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_index.json": {"vqvae": ["diffusers", "VQModel"]}}, "a discrete autoencoder"),
        ({"label/config.json": {"classes": ["a"], "null": 1}}, "embeds 4 classes, and label/config.json names 2"),
        ({"label/config.json": {"classes": [], "null": 0}}, "no list of classes"),
        ({"label/config.json": {"null": 1}}, "no list of classes"),
        ({"unet/config.json": {"in_channels": 7}}, "unet"),
        ({"unet/config.json": {"class_embed_type": "timestep"}}, "unet"),
        ({"scheduler/scheduler_config.json": {"prediction_type": "flow"}}, "accepted are epsilon"),
        ({"scheduler/scheduler_config.json": VE}, "time_embedding_type 'positional'; accepted is 'fourier'"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused_in_a_sentence(broken, changes, said):
    with pytest.raises(BadInput, match=said) as caught:
        sfumato.load(broken(changes))
    assert "\n" not in str(caught.value)


def test_a_variance_that_is_no_fraction_is_refused(broken):
    with pytest.raises(BadInput, match="learned_range"):
        sfumato.load(broken({"scheduler/scheduler_config.json": {"variance_type": "learned"}}, learned=True))


def test_missing_embeddings_are_refused_by_name(broken):
    folder = broken({}, how="channels")
    (folder / "label" / "model.safetensors").unlink()
    with pytest.raises(BadInput, match="The label of the model"):
        sfumato.load(folder)


# --- provenance


def test_the_label_travels_with_the_picture_and_redo_makes_it_again(pixel_model, tmp_path):
    from sfumato.provenance import inspect, redo

    pipe = sfumato.load(pixel_model(channels=1))
    (path,) = pipe(label=1, steps=3, seed=9).save(tmp_path / "cat.png")
    report = inspect(path)
    assert report.recipe is not None
    assert report.recipe.label == "cat"
    assert "label: cat" in report.text()
    assert "prompt:" not in report.text()
    assert redo(path).identical
