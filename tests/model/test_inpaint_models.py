"""Networks that see the mask and the masked picture: the pictures of stock diffusers, and refusals by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from random_model import TINY, build

import sfumato
from sfumato.condition import Concat, Condition, Text
from sfumato.edit import Outside, SDEdit
from sfumato.encode.masked_picture import masked_planes
from sfumato.guide import ClassifierFree
from sfumato.network import UNet2DBackbone, UNetBackbone
from sfumato.picture import BadInput

PROMPT, NEGATIVE = "a red boat on the sea", "a cat"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("inpaint"), "v", TINY, beside=5)


def scene(size: int) -> tuple[Image.Image, Image.Image]:
    """A picture, and a mask with soft edges whose hole is no multiple of a cell."""
    pixels = np.random.default_rng(0).integers(0, 256, (size // 8, size // 8, 3), np.uint8)
    picture = Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)
    mask = np.zeros((size, size), np.uint8)
    mask[size // 3 : -5, 7 : size // 2] = 255
    mask[size // 3 - 1, 7 : size // 2] = 127
    mask[size // 3 - 2, 7 : size // 2] = 20
    return picture, Image.fromarray(mask)


def watched(pipe: sfumato.Pipe, **options) -> tuple[Image.Image, list[torch.Tensor]]:
    """A picture, and what the U-Net was given."""
    calls: list[torch.Tensor] = []
    network = pipe.stage.denoiser.backbone.network  # pyright: ignore[reportAttributeAccessIssue]
    hook = network.register_forward_pre_hook(lambda _, args: calls.append(args[0].clone()))
    image = pipe(PROMPT, negative=NEGATIVE, **options).image
    hook.remove()
    return image, calls


def psnr(a: Image.Image, b: Image.Image) -> float:
    error = np.square(np.asarray(a, float) - np.asarray(b, float)).mean()
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def stock(folder: Path, latents: torch.Tensor, picture: Image.Image, mask: Image.Image, steps: int) -> Image.Image:
    from diffusers import DDIMScheduler, StableDiffusionInpaintPipeline

    pipe = StableDiffusionInpaintPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    assert isinstance(pipe.scheduler, DDIMScheduler)
    pipe.set_progress_bar_config(disable=True)
    made = pipe(
        PROMPT, negative_prompt=NEGATIVE, image=picture, mask_image=mask, num_inference_steps=steps,
        guidance_scale=4.0, latents=latents, width=picture.width, height=picture.height,
    )  # fmt: skip
    return made.images[0]  # pyright: ignore[reportAttributeAccessIssue]


def compared(folder: Path, size: int, steps: int) -> tuple[float, float]:
    """PSNR of our picture to the stock pipeline's, and to the one it makes with the mask turned."""
    picture, mask = scene(size)
    options = {"guidance": [ClassifierFree(4.0)], "sampler": "ddim", "times": "trailing", "steps": steps, "seed": 3}
    hold = Outside(mask, picture)
    ours, calls = watched(sfumato.load(str(folder)), hold=hold, composite="none", **options)
    latents, turned = calls[0][:1, :4], Image.fromarray(255 - np.asarray(mask))
    return psnr(ours, stock(folder, latents, picture, mask, steps)), psnr(
        ours, stock(folder, latents, picture, turned, steps)
    )


def test_the_picture_is_that_of_stock_diffusers(tiny: Path):
    same, turned = compared(tiny, 32, 4)
    assert same >= 60
    assert turned < 40, "what is shown to these weights shows"


def test_the_network_sees_the_mask_by_its_top_left_pixels_and_the_picture_without_the_hole(tiny: Path):
    pipe, (picture, mask) = sfumato.load(str(tiny)), scene(32)
    _, calls = watched(pipe, hold=Outside(mask, picture), steps=2, seed=1)
    space, hard = pipe.stage.space, np.asarray(mask) >= 128
    kept = torch.from_numpy(np.where(hard[..., None], 127.5, np.asarray(picture))).permute(2, 0, 1)[None]
    for x in calls:
        for row in x:  # with guidance and without: planes do not drop
            assert np.array_equal(row[4].numpy(), hard[:: space.factor, :: space.factor])
            torch.testing.assert_close(row[5:], space.encode(kept.float() / 127.5 - 1)[0])


def test_nothing_held_is_all_hidden(tiny: Path):
    pipe = sfumato.load(str(tiny))
    _, calls = watched(pipe, steps=2, width=48, height=32)
    grey = pipe.stage.space.encode(torch.zeros(1, 3, 32, 48))[0]
    assert calls[0].shape[1:] == (9, 16, 24)
    for row in calls[0]:
        assert bool((row[4] == 1).all())
        torch.testing.assert_close(row[5:], grey)


def test_the_network_alone_keeps_what_is_held_and_the_composite_keeps_its_bytes(tiny: Path):
    pipe, (picture, mask) = sfumato.load(str(tiny)), scene(32)
    hold, outside = Outside(mask, picture), np.asarray(mask) == 0
    pasted = np.asarray(pipe(PROMPT, hold=hold, steps=2).image)
    loose = np.asarray(pipe(PROMPT, hold=hold, steps=2, composite="none").image)
    assert np.array_equal(pasted[outside], np.asarray(picture)[outside])
    assert np.abs(loose[outside].astype(int) - np.asarray(picture)[outside]).mean() > 20, "random weights keep nothing"
    hole = np.asarray(mask) == 255
    assert np.array_equal(pasted[hole], loose[hole])


def test_a_grown_mask_is_what_the_network_sees_and_dilation_on_the_way_is_refused(tiny: Path):
    pipe, (picture, mask) = sfumato.load(str(tiny)), scene(32)
    _, plain = watched(pipe, hold=Outside(mask, picture), steps=2)
    _, grown = watched(pipe, hold=Outside(mask, picture, grow=4), steps=2)
    assert grown[0][0, 4].sum() > plain[0][0, 4].sum()
    with pytest.raises(BadInput, match="dilation says nothing"):
        pipe(PROMPT, hold=Outside(mask, picture, dilation=4), steps=2)


@pytest.mark.parametrize("sampler", ["dpmpp-2m", "heun", "dpmpp-2m-sde"])
def test_it_goes_with_every_sampler_and_start_and_a_batch_changes_no_picture(tiny: Path, sampler: str):
    pipe, (picture, mask) = sfumato.load(str(tiny), engine="exact"), scene(32)
    options = {"hold": Outside(mask), "start": SDEdit(picture, 0.8), "sampler": sampler, "steps": 3}
    both = pipe(PROMPT, count=2, seed=5, **options).images
    alone = [pipe(PROMPT, seed=seed, **options).image for seed in (5, 6)]
    assert both == alone
    assert both[0] != both[1]


def test_planes_of_another_number_or_size_are_refused_by_name(tiny: Path):
    from diffusers import UNet2DConditionModel

    network = UNet2DConditionModel.from_pretrained(tiny / "unet")
    backbone = UNetBackbone(network)
    assert backbone.accepts[Concat] == 5
    x, t, words = torch.randn(1, 4, 16, 16), torch.tensor(3.0), Text(torch.randn(1, 48, 64))
    with pytest.raises(BadInput, match="sees 5 planes"):
        backbone(x, t, Condition((words,)))
    for planes in (torch.zeros(1, 4, 16, 16), torch.zeros(1, 5, 32, 16)):
        with pytest.raises(BadInput, match="takes 5 of the picture's own size, 16 x 16"):
            backbone(x, t, Condition((words, Concat(planes))))


def test_a_network_without_planes_refuses_them(tiny_model: Path):
    from diffusers import UNet2DConditionModel

    backbone = UNetBackbone(UNet2DConditionModel.from_pretrained(tiny_model / "unet"))
    assert Concat not in backbone.accepts
    condition = Condition((Text(torch.randn(1, 48, 64)), Concat(torch.zeros(1, 5, 16, 16))))
    with pytest.raises(BadInput, match="takes no Concat"):
        backbone(torch.randn(1, 4, 16, 16), torch.tensor(3.0), condition)


def test_a_network_of_pixels_sees_planes_beside_the_picture():
    from diffusers import UNet2DModel

    torch.manual_seed(0)
    network = UNet2DModel(
        sample_size=8, in_channels=6, out_channels=3, block_out_channels=(8, 8), norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
    )  # fmt: skip
    backbone = UNet2DBackbone(network, channels=3)
    assert backbone.accepts[Concat] == 3
    x, planes, t = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8), torch.tensor(3.0)
    given = backbone(x, t, Condition((Concat(planes),)))
    torch.testing.assert_close(given, network(torch.cat([x, planes], 1), t).sample)
    with pytest.raises(BadInput, match="sees 3 planes"):
        backbone(x, t, Condition.empty(2))


def test_a_network_of_other_channels_is_refused_with_those_accepted(tiny: Path, tmp_path: Path):
    from diffusers import UNet2DConditionModel

    folder = Path(shutil.copytree(tiny, tmp_path / "model"))
    config = json.loads((folder / "unet" / "config.json").read_text())
    UNet2DConditionModel.from_config({**config, "in_channels": 8}).save_pretrained(folder / "unet")
    with pytest.raises(BadInput, match=r"takes 8 channels; accepted are 4 .* and 9"):
        sfumato.load(str(folder))


def test_half_and_more_of_a_mask_hides(tiny: Path):
    space = sfumato.load(str(tiny)).stage.space
    pictures, masks = torch.rand(2, 3, 16, 16), torch.full((2, 1, 16, 16), 0.49)
    masks[1] = 0.5
    planes = masked_planes(space, pictures, masks)
    assert planes[:, 0].unique().tolist() == [0, 1]
    torch.testing.assert_close(planes[0, 1:], space.encode(pictures[:1])[0])
    torch.testing.assert_close(planes[1, 1:], space.encode(torch.zeros(1, 3, 16, 16))[0])
