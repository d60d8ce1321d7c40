"""Tiny random trunks of every family, with tokenizers trained in place: a model in milliseconds.

Two layers, 32 wide, 4 heads, 64 positions; written in Hugging Face format, so that everything loads them as
it loads real ones. Nothing is downloaded and nothing was trained: what they answer means nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tunesmith.model_loading import quiet_transformers

WIDTH = 32
LAYERS = 2
HEADS = 4
POSITIONS = 64
MORE_POSITIONS = {"roberta": 2, "xlm-roberta": 2, "bart": 32}
"""Those that count from 2; and an encoder that has room for more than texts."""
VOCABULARY = 1000
FAMILIES = (
    *("bert", "roberta", "xlm-roberta", "electra", "distilbert", "albert", "modernbert", "deberta-v2"),
    *("llama", "qwen2", "gpt2", "mistral", "bart"),
)
DECODERS = frozenset({"llama", "qwen2", "gpt2", "mistral"})
ROBERTAS = frozenset({"roberta", "xlm-roberta"})
ENCODER_DECODERS = frozenset({"bart"})

GOOD = ("good", "great", "fine", "lovely", "superb", "happy")
BAD = ("bad", "awful", "poor", "ugly", "dreadful", "sad")
THINGS = ("film", "book", "meal", "phone", "hotel", "service", "story", "song")
TEXTS = (
    *(f"the {thing} was {word} and the {other} too" for thing in THINGS for word in GOOD + BAD for other in THINGS[:2]),
    "what a day, is it not? it rains; 0 1 2 3 4 5 6 7 8 9 10 $ % - ' \" ( ) !",
    "这家公司的利润上升了，股东很高兴。服务太差，手机坏了！市场下跌，银行存款利率不变？",
)
"""Enough words for the tests of this folder, in English and Chinese."""


def head_name(family: str) -> str:
    """What the classifier on a trunk is called."""
    return "score" if family in DECODERS else "classification_head" if family in ENCODER_DECODERS else "classifier"


def make_rows(count: int, labels: tuple[str, str] = ("negative", "positive")) -> list[dict[str, str]]:
    """Labelled texts that differ from each other and that a tiny trunk learns in a few steps."""
    rows = []
    for place in range(count):
        words, number = (BAD, GOOD)[place % 2], place // 2
        thing, other = THINGS[number % len(THINGS)], THINGS[number // 3 % len(THINGS)]
        word = words[number // 2 % len(words)]
        text = f"the {thing} was {word} and the {other} too {number // 10 % 10} {number % 10}"
        rows.append({"text": text, "label": labels[place % 2]})
    return rows


def make_tiny_trunk(folder: Path, family: str = "bert", texts: Sequence[str] = TEXTS, seed: int = 0) -> Path:
    """Write a tiny random trunk and its tokenizer into `folder`, which is returned.

    Args:
        folder: made when missing.
        family: one of FAMILIES.
        texts: the vocabulary is made from them: whole words for encoders, byte pairs for decoders.
        seed: of the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _make_tokenizer(family, tuple(texts))
    config = _make_config(family, tokenizer)
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformers.AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _make_tokenizer(family: str, texts: tuple[str, ...]) -> Any:
    if family in DECODERS:
        core = Tokenizer.from_str(_byte_pairs(texts))
        return transformers.PreTrainedTokenizerFast(
            tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
            model_max_length=POSITIONS, model_input_names=["input_ids", "attention_mask"],
        )  # fmt: skip
    if family in ROBERTAS:
        special = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
    elif family == "bart":
        special = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>"}
    else:
        special = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    core = Tokenizer.from_str(_whole_words(texts, tuple(special.items())))
    has_types = family not in ROBERTAS | {"distilbert", "modernbert", "bart"}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        **{f"{name}_token": token for name, token in special.items()},
        model_max_length=POSITIONS,
        model_input_names=["input_ids", *(["token_type_ids"] if has_types else []), "attention_mask"],
    )


@functools.cache
def _byte_pairs(texts: tuple[str, ...]) -> str:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    return str(core.to_str())


@functools.cache
def _whole_words(texts: tuple[str, ...], special: tuple[tuple[str, str], ...]) -> str:
    names = dict(special)
    core = Tokenizer(models.WordLevel(unk_token=names["unk"]))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordLevelTrainer(vocab_size=VOCABULARY, special_tokens=list(names.values()), show_progress=False)
    core.train_from_iterator(texts, trainer)
    start, end = (names["cls"], names["sep"]) if "cls" in names else (names["bos"], names["eos"])
    core.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} {end} $B {end}" if start == "<s>" else f"{start} $A {end} $B:1 {end}:1",
        special_tokens=[(token, core.token_to_id(token)) for token in (start, end)],
    )
    return str(core.to_str())


def _make_config(family: str, tokenizer: Any) -> Any:
    common = {
        "vocab_size": len(tokenizer) + 8,  # as real ones, which round it up
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": 2 * WIDTH,
        "max_position_embeddings": POSITIONS + MORE_POSITIONS.get(family, 0),
        "initializer_range": 0.1,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    return transformers.AutoConfig.for_model(family, **common | _own(family, tokenizer))


def _own(family: str, tokenizer: Any) -> dict[str, Any]:
    """What a family names in its own way, or what makes it run the code that sets it apart."""
    grouped = {"num_key_value_heads": HEADS // 2}
    found: dict[str, dict[str, Any]] = {
        "bert": {"type_vocab_size": 2},
        "electra": {"type_vocab_size": 2, "embedding_size": WIDTH // 2},
        "albert": {"type_vocab_size": 2, "embedding_size": WIDTH // 2},
        "distilbert": {"dim": WIDTH, "n_layers": LAYERS, "n_heads": HEADS, "hidden_dim": 2 * WIDTH},
        "modernbert": {
            "cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id,
            "local_attention": 8, "global_attn_every_n_layers": 2, "bos_token_id": tokenizer.cls_token_id,
            "eos_token_id": tokenizer.sep_token_id,
        },
        "deberta-v2": {
            "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16,
            "position_biased_input": False, "type_vocab_size": 0, "share_att_key": True,
            "norm_rel_ebd": "layer_norm", "max_relative_positions": -1, "pooler_hidden_size": WIDTH,
        },
        "llama": grouped,
        "qwen2": grouped,
        "mistral": {**grouped, "sliding_window": 8},
        "bart": {
            "d_model": WIDTH, "encoder_layers": LAYERS, "decoder_layers": LAYERS, "encoder_attention_heads": HEADS,
            "decoder_attention_heads": HEADS, "encoder_ffn_dim": 2 * WIDTH, "decoder_ffn_dim": 2 * WIDTH,
            "init_std": 0.1, "decoder_start_token_id": tokenizer.eos_token_id,
        },
        "gpt2": {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": POSITIONS},
    }  # fmt: skip
    return found.get(family, {})
