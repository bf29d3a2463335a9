"""Poses: OpenPose's skeletons (Cao et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from sfumato.control.maps.control_map import ControlMap
from sfumato.control.maps.estimate import foreign, names_of, read_built_in, transformers_network
from sfumato.control.skeleton import COCO, draw_skeleton, joints_from
from sfumato.element import ModelName, Real, element
from sfumato.lazy import torch

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


@element("openpose")
class OpenPose(ControlMap):
    """The skeleton of the figure in a picture, in OpenPose's 18 joints, limbs and colours (`sfumato.control.skeleton`),
    on black, as ControlNet's openpose was trained on; without hands and faces.

    net: a folder or a Hub id of transformers' ViTPose, to which the whole picture is one figure; without one a small
    network of heatmaps that was trained on vignettes, whose figures have the 14 joints from the hips up. least: how
    high a joint's peak must be, or it isn't there.
    """

    net: ModelName = Field(default="", description="a folder or a Hub id, or nothing for the built-in network")
    least: Real = Field(default=0.3, ge=0, le=1, description="a number from 0 to 1")

    shows = "joints"
    unions = (("ControlNetUnionModel", 0), ("FluxControlNetModel", 4))

    def read(self, image: Image.Image) -> np.ndarray:
        if foreign(self.net):
            return joints_from(_estimated(self.net, image, self.least))
        from sfumato.network.keypoint_network import KeypointNetwork, peaks

        heatmaps = read_built_in(KeypointNetwork, self.net, image).sigmoid()
        found = peaks(heatmaps[None], self.least)[0].tolist()
        return joints_from(
            {name: (x, y) for name, (x, y, _) in zip(names_of(KeypointNetwork, self.net), found, strict=True) if x == x}
        )

    def draw(self, found: np.ndarray, size: tuple[int, int]) -> Image.Image:
        return draw_skeleton(found, size)

    def truth(self, drawn: Any) -> np.ndarray:
        return joints_from({name: (x, y) for name, (x, y, there) in drawn.vignette.keypoints.items() if there})


def _estimated(net: str, image: Image.Image, least: float) -> dict[str, tuple[float, float]]:
    """COCO's keypoints by name, those in the picture whose score is at least `least`."""
    processor, network = transformers_network(net, "PoseEstimation")
    boxes = [[[0.0, 0.0, float(image.width), float(image.height)]]]
    with torch.no_grad():
        outputs = network(**processor(images=image, boxes=boxes, return_tensors="pt"))
    figure = processor.post_process_pose_estimation(outputs, boxes=boxes)[0][0]
    found = zip(COCO, figure["keypoints"].tolist(), figure["scores"].tolist(), strict=True)
    inside = lambda x, y: 0 <= x < image.width and 0 <= y < image.height  # noqa: E731
    return {name: (x, y) for name, (x, y), score in found if score >= least and inside(x, y)}
