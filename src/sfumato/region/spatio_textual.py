"""Regional prompts by a network that was trained on them: Avrahami et al. 2023, "SpaText"."""

from __future__ import annotations

from sfumato.element import element
from sfumato.region.region import Regional


@element("spatio-textual", short="spatext")
class SpatioTextual(Regional):
    """The network sees a map beside the noise in which each region is filled with the embedding of its words
    (`sfumato.encode.spatio_textual`): one call answers all regions, and their outlines are obeyed.

    It is for models that were trained so (`sfumato train mini-spatext`), and their default. How closely the map is
    followed is a matter of guidance: `MultiScale` and `LayoutGuidance` have a scale for it.
    """

    by_network = True
