"""Metrics of maps, one a file; each registers itself in `MAP_METRICS`.

| metric | of | what |
|---|---|---|
| `edge-f1`, `edge-f1-2` | edges | F1 of edge pixels, within 1 and 2 pixels |
| `depth-rank`, `depth-error` | depth | Spearman's correlation; relative error, whatever scale and shift |
| `normal-angle` | normals | mean angle |
| `pck` | joints | share of joints that are near their place |
| `miou` | classes | mean intersection over union |
| `attributes`, `attribute-hat` and its kin | attributes | share of a picture's attributes that another has |
"""

from sfumato.evaluate.map_metrics.edge_f1 import edge_counts, edge_f1

from sfumato.evaluate.map_metrics.depth_rank import depth_rank  # isort: skip
from sfumato.evaluate.map_metrics.depth_error import depth_error  # isort: skip
from sfumato.evaluate.map_metrics.normal_angle import normal_angle
from sfumato.evaluate.map_metrics.pck import pck_counts

from sfumato.evaluate.map_metrics.miou import class_counts, miou  # isort: skip
from sfumato.evaluate.map_metrics.attribute import same_attributes  # isort: skip

__all__ = [
    "class_counts",
    "depth_error",
    "depth_rank",
    "edge_counts",
    "edge_f1",
    "miou",
    "normal_angle",
    "pck_counts",
    "same_attributes",
]
