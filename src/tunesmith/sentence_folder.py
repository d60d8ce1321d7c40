"""What makes a folder of text vectors one of sentence-transformers: how token vectors become one, as JSON files."""

from __future__ import annotations

import json
from typing import Any

from tunesmith.model import Model

MODULES, SETTINGS, LENGTHS = "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"
POOLING, NORMALIZE = "1_Pooling", "2_Normalize"
_MODES = {
    "first": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
    "last": "pooling_mode_lasttoken",
}
"""What the format calls the ways of pooling."""


def sentence_files(model: Model) -> dict[str, bytes]:
    """File name, "/" below a folder → content; {} for a model that gives no vectors.

    The format is that of sentence-transformers since version 2, which later versions read, too.
    """
    head = model.head_spec
    if head.kind != "vectors":
        return {}
    parts = [("", "Transformer"), (POOLING, "Pooling")]
    parts += [(NORMALIZE, "Normalize")] if head.form == "normalized" else []
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (path, kind) in enumerate(parts)
    ]
    pooling = {"word_embedding_dimension": model.width, **{key: mode == head.pooling for mode, key in _MODES.items()}}
    found: dict[str, Any] = {
        MODULES: modules,
        f"{POOLING}/config.json": pooling,
        LENGTHS: {"max_seq_length": model.max_tokens, "do_lower_case": False},
        SETTINGS: {"__version__": {}, "prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"},
    }
    if head.form == "normalized":
        found[f"{NORMALIZE}/config.json"] = {}
    return {name: (json.dumps(content, indent=2) + "\n").encode() for name, content in found.items()}
