"""What stands beside the noise in a model of pictures to pictures: the picture to be mended, as its task shows it.

Saharia et al. 2022, "Palette", section 4. One network is told its task by what it sees:

| task | the picture beside the noise |
|---|---|
| colourise | its luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), in all channels |
| inpaint | itself, and in the hole noise |
| uncrop | the same: the hole is what lies beyond the border |
| restore | itself, as JPEG left it |
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sfumato.element import Kept, element, one_of
from sfumato.lazy import Tensor, torch
from sfumato.picture import BadInput


def luma(picture: Tensor) -> Tensor:
    """0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), (B, 1, H, W), as Pillow has it."""
    weights = picture.new_tensor([0.299, 0.587, 0.114]).reshape(3, 1, 1)
    return (picture * weights).sum(1, keepdim=True)


SEEN = ("colourise", "inpaint", "uncrop", "restore")


def seen(task: str, picture: Tensor, mask: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
    """The planes (B, 3, H, W) that show a picture in [-1, 1] for a task; holes are where the mask (B, 1, H, W) isn't 0.

    Raises BadInput for an unknown task, and for one that fills a hole where there is none.
    """
    match task:
        case "colourise":
            return luma(picture).expand_as(picture)
        case "inpaint" | "uncrop":
            if mask is None or noise is None:
                raise BadInput("This task fills a hole: give a mask, white where the picture is to be painted.")
            return torch.where(mask > 0, noise, picture)
        case "restore":
            return picture
    raise BadInput(f"There is no task called {task!r}: choose one of {', '.join(SEEN)}.")


@element("source")
class Source:
    """The picture that a model of pictures to pictures is shown beside the noise (Saharia et al. 2022), and its task.

    "colourise" shows its luma alone, "restore" all of it, "inpaint" and "uncrop" what the hold's mask leaves.
    """

    picture: Kept = Field(description="a picture: a path, bytes, a PIL image, an array or a Ref")
    task: Annotated[str, one_of(SEEN)] = Field(default="restore", description="a name: " + ", ".join(SEEN))
