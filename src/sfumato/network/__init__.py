"""Networks: what each may be told (`spec`), what runs it (`engine`), and one file a backbone.

| file | what |
|---|---|
| `spec`, `engine/` | a network's inputs by name; what executes it |
| `backbone` | any network as a backbone, by its spec |
| `unet2d_condition`, `unet2d` | diffusers' U-Nets as backbones |
| `prior_transformer`, `image_told_unets`, `unclip_parts`, `last_step` | priors, their decoders, what stands between |
| `flux_transformer`, `flux2_transformer`, `sd3_transformer`, `qwen_image`, `z_image`, `cross_attended` | transformers |
| `autoencoder_kl`, `clip_text_model`, `t5_encoder`, `image_networks` | what else an engine runs |
| `attention_directives`, `attention_maps` | what a condition asks of a network's attention |
| `precision`, `quantized`, `offload`, `turns` | number types, weights that come and go, threads |
| `text_kv_cache` | keys and values of a text, kept for a run |
| `control_networks`, `residuals` | what controls add |
| `controlnet`, `*_controlnet`, `t2i_adapter` | the networks that obey them |
| `image_prompts`, `flux_image_prompts`, `sd3_image_prompts`, `redux` | pictures that attention looks at |
| `batch_invariant` | rows that do not know of each other |
| `map_network`; `edge_network`, `depth_network`, `normal_network`, ... | small networks that read maps |
| `mlp`, `classifier`, `inception`, `lpips`, `widen` | networks that no kept library has |
"""

from __future__ import annotations

import lazy_loader

_ATTACHED = {
    "batch_invariant": ["RowByRow"],
    "unet2d": ["UNet2DBackbone"],
    "unet2d_condition": ["UNetBackbone"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_ATTACHED)
