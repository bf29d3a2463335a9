"""`config.json` of an encoder of transformers: every field is one of its class, or one that says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sfumato.picture.errors import BadInput, printable

SILENT: Mapping[str, str] = {
    "what wrote it, and how it is kept": "architectures torch_dtype transformers_version quantization_config "
    "gradient_checkpointing cache_implementation",
    "training, and other tasks than encoding": "dropout classifier_dropout init_std finetuning_task prefix torchscript "
    "task_specific_params tie_word_embeddings tie_encoder_decoder tokenizer_class tf_legacy_loss use_bfloat16",
    "writing text": "decoder_start_token_id output_past use_cache max_length min_length do_sample early_stopping top_k "
    "num_beams num_beam_groups diversity_penalty temperature top_p typical_p repetition_penalty length_penalty "
    "no_repeat_ngram_size bad_words_ids num_return_sequences forced_bos_token_id forced_eos_token_id vision_token_id "
    "vision_start_token_id vision_end_token_id image_token_id video_token_id bos_token_id eos_token_id pad_token_id "
    "sep_token_id",
    "said by another field too": "n_positions text_config_dict vision_config_dict in_chans spatial_patch_size "
    "sliding_window_size",
    "layers that are not asked": "directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers "
    "pooler_size_per_head pooler_type bn_features num_relative_features",
}
"""Fields that transformers' configs have or once had and that say nothing of what an encoder answers, by what they do
say."""
TURNED = ("rope_theta", "rope_scaling", "partial_rotary_factor")
"""What transformers now keeps in `rope_parameters`, and reads by its old names."""
TODAY = {"position_embedding_type": "absolute", "hidden_act": "gelu_pytorch_tanh"}
"""Fields that some classes no longer know, and the one value of each that is what they do."""


def check_encoder_fields(kind: Any, config: Mapping[str, Any], where: str) -> None:
    """Raises BadInput for a field that the config class `kind` of transformers does not know, by today's name or an old
    one, and that says something. One of several parts may have the fields of its parts beside them."""
    made = kind()
    parts = {name: getattr(made, name) for name in getattr(kind, "sub_configs", {})}
    known = {name for each in (made, *parts.values()) for name in (*dir(each), *getattr(each, "attribute_map", {}))}
    known.update(" ".join(SILENT.values()).split(), TURNED if "rope_parameters" in known else ())
    for field, value in config.items():
        if field in parts and isinstance(value, Mapping):
            check_encoder_fields(type(parts[field]), value, where)
        elif not (field.startswith("_") or field in known or not value or value == TODAY.get(field)):
            raise BadInput(
                f"The {where} has the field {printable(repr(field), 60)} ({printable(repr(value), 40)}), which no "
                f"{kind.__name__} of the transformers that is installed has: update transformers, or take another."
            )
