"""From a checked folder to a Model: configuration, weights, tokenizer, and whether the trunk can run packed."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers

from tunesmith.added_tokens import add_tokens
from tunesmith.base_models import BaseModelFolder
from tunesmith.contracts import Batch, Encoded, HeadSpec
from tunesmith.errors import ModelError
from tunesmith.four_bits import hold_in_four_bits
from tunesmith.model import Model
from tunesmith.packing import pack
from tunesmith.segments import make_blocks

DROPOUT_KEYS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "classifier_dropout_prob",
    "dropout",
    "attention_dropout",
    "activation_dropout",
    "seq_classif_dropout",
    "embedding_dropout",
    "mlp_dropout",
    "hidden_dropout",
    "resid_pdrop",
    "embd_pdrop",
    "attn_pdrop",
    "summary_first_dropout",
)
"""What architectures call their dropouts."""


CLASSES: dict[str, Any] = {
    "sequence": transformers.AutoModelForSequenceClassification,
    "token": transformers.AutoModelForTokenClassification,
    "multiple_choice": transformers.AutoModelForMultipleChoice,
    "masked_lm": transformers.AutoModelForMaskedLM,
    "causal_lm": transformers.AutoModelForCausalLM,
    "text_to_text": transformers.AutoModelForSeq2SeqLM,
    "replaced_tokens": transformers.AutoModelForPreTraining,
    "question_answering": transformers.AutoModelForQuestionAnswering,
    "vectors": transformers.AutoModel,
}
TARGET_TOKENIZER = "target_tokenizer"
"""Folder inside a model's that holds the tokenizer of what is written, where it is another one."""
TITLES = {
    "sequence": "sequence classification",
    "token": "token classification",
    "multiple_choice": "multiple choice",
    "masked_lm": "masked language modelling",
    "causal_lm": "causal language modelling",
    "text_to_text": "text to text",
    "replaced_tokens": "replaced-token detection",
    "question_answering": "question answering",
    "vectors": "text vectors",
}


@dataclass(frozen=True)
class ModelOptions:
    """What a user may change about a base model.

    Attributes:
        seed: of newly made weights.
        max_tokens: longest sequence, or None for what the model allows (at most 512).
        dropout: sets every dropout, or None to leave them as they are.
        load_in: "32bit", or "4bit" to hold the trunk's linear layers so; these cannot be trained or merged into.
        needs_trained_head: refuse a base model that does not bring the head along: a new one would say nothing.
    """

    seed: int = 13
    max_tokens: int | None = None
    dropout: float | None = None
    load_in: str = "32bit"
    needs_trained_head: bool = False


def load_model(base: BaseModelFolder, head: HeadSpec, options: ModelOptions | None = None) -> Model:
    """Build a model on a checked folder; new weights depend on the seed alone.

    Args:
        base: what `base_models.resolve` found and checked.
        head: what stands on the trunk.
        options: what the user changes.

    Raises:
        ModelError: the architecture is unknown or cannot carry this head, or it has no fast tokenizer.
    """
    options = options or ModelOptions()
    tokenizer = load_tokenizer(base.folder)
    config = _make_config(base, head, options, tokenizer)
    _refuse_headless(base, config, head)
    writes, head = head.kind == "writing", _settle_head(head, config)
    held = hold_in_four_bits(CLASSES[head.kind], config) if options.load_in == "4bit" else {}
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        try:
            hf, found = CLASSES[head.kind].from_pretrained(
                base.folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                ignore_mismatched_sizes=True,  # a head of other classes is made anew
                output_loading_info=True,
                **held,
            )
        except (ValueError, OSError, RuntimeError) as error:
            raise ModelError(
                f"{base.name} ({config.model_type}) cannot be loaded with a head for {TITLES[head.kind]}: {error}",
                fix="choose a model whose architecture Hugging Face supports for this task",
            ) from error
        _refuse_gaps(hf, found, base)
        if options.needs_trained_head or head.form == "cloze":
            _refuse_new_head(hf, found, base, head)
        _copy_weights(hf)
        add_tokens(hf, tokenizer, head.added_tokens)
        if head.kind == "vectors":
            _drop_pooler(hf)
        model = Model(hf, tokenizer, head, options.max_tokens)
        if (base.folder / TARGET_TOKENIZER).is_dir():
            model.target_tokenizer = load_tokenizer(base.folder / TARGET_TOKENIZER)
        if writes and model.trunk_kind == "encoder":
            raise _reads_only(base)
        choose_trunk_path(model)
    return model


def load_published(folder: Path, head: HeadSpec, max_tokens: int | None = None) -> tuple[Model, list[str]]:
    """Load a folder that we wrote as any program of Hugging Face would: by its own config, nothing mended.

    Args:
        folder: holds config.json, the weights and the tokenizer.
        head: which class reads it.
        max_tokens: longest sequence.

    Returns:
        The model, whose trunk runs padded with the library's own attention, and the names of weights that the class
        wants and the folder lacks, or the other way round.
    """
    with quiet_transformers():
        hf, found = CLASSES[head.kind].from_pretrained(
            folder, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    astray = {*found["missing_keys"], *found["unexpected_keys"], *(name for name, *_ in found["mismatched_keys"])}
    if head.kind == "vectors":  # a pooler is made anew where the trunk may have one; vectors do not go through it
        astray = {name for name in astray if "pooler" not in name.split(".")}
        _drop_pooler(hf)
    _copy_weights(hf)
    model = Model(hf, load_tokenizer(folder), head, max_tokens)
    if (folder / TARGET_TOKENIZER).is_dir():
        model.target_tokenizer = load_tokenizer(folder / TARGET_TOKENIZER)
    model.set_packed(False)
    model.requires_grad_(False)
    model.eval()
    return model, sorted(astray)


def _settle_head(head: HeadSpec, config: Any) -> HeadSpec:
    """What writes is one class of a decoder, another of an encoder with one."""
    if head.kind != "writing":
        return head
    return replace(head, kind="text_to_text" if config.is_encoder_decoder else "causal_lm")


def _reads_only(base: BaseModelFolder) -> ModelError:
    """Some encoders have a class that writes, but were never trained for it and see what comes next."""
    return ModelError(
        f"{base.name} ({base.config['model_type']}) reads texts and writes none",
        fix="choose a decoder such as Llama, Qwen2 or GPT-2, or an encoder with a decoder such as BART or T5: "
        "--model ID; or make an untrained one: tunesmith new",
    )


def new_model(config: Any, tokenizer: Any, head: HeadSpec, options: ModelOptions | None = None) -> Model:
    """Build a model whose weights are all new and depend on the seed alone.

    Args:
        config: a Hugging Face config.
        tokenizer: a fast tokenizer.
        head: what stands on the trunk.
        options: what the user changes.

    Raises:
        ModelError: the architecture cannot carry this head.
    """
    options = options or ModelOptions()
    set_dropout(config, options.dropout)
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        try:
            hf = CLASSES[head.kind].from_config(config)
        except ValueError as error:
            raise ModelError(
                f"the architecture {config.model_type} has no head for {TITLES[head.kind]}",
                fix="choose another --architecture or --objective",
            ) from error
        model = Model(hf, tokenizer, head, options.max_tokens)
        choose_trunk_path(model)
    return model


def _refuse_headless(base: BaseModelFolder, config: Any, head: HeadSpec) -> None:
    """Say in a sentence what Hugging Face says in a page: it has no class of this kind for the architecture."""
    if head.kind == "multiple_choice" and type(config) not in transformers.MODEL_FOR_MULTIPLE_CHOICE_MAPPING:
        raise ModelError(
            f"{base.name} ({config.model_type}) cannot be loaded with a head for {TITLES[head.kind]}: Hugging Face has "
            "none for this architecture",
            fix="choose an encoder such as BERT, RoBERTa, ELECTRA, DistilBERT, ALBERT, ModernBERT or DeBERTa-v2",
        )


def set_dropout(config: Any, share: float | None) -> None:
    """Set every dropout of a config; None leaves them as they are."""
    for key in DROPOUT_KEYS if share is not None else ():
        if hasattr(config, key):
            setattr(config, key, share)


def _refuse_gaps(hf: Any, found: Any, base: BaseModelFolder) -> None:
    """Only what stands on the trunk may be new: a trunk with gaps would start from noise without a word."""
    new = {*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])}
    trunk = "" if hf.base_model is hf else f"{hf.base_model_prefix}."
    gaps = sorted(n for n in new if n.startswith(trunk) and "pooler" not in n.split("."))
    if gaps:
        raise ModelError(
            f"{base.name} lacks {len(gaps)} weights of its {hf.config.model_type} trunk, such as {gaps[0]}",
            fix="give a folder whose weights and config.json belong together",
        )


def _refuse_new_head(hf: Any, found: Any, base: BaseModelFolder, head: HeadSpec) -> None:
    """A config may name a head that the weights lack."""
    new = sorted({*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])})
    new = [name for name in new if "pooler" not in name.split(".")]
    if new:
        raise ModelError(
            f"{base.name} ({hf.config.model_type}) brings no trained head for {TITLES[head.kind]}: its weights lack "
            f"{new[0]}",
            fix="choose a model whose folder holds that head, or train one: tunesmith pretrain",
        )


def _copy_weights(hf: Any) -> None:
    """Own the weights: the library maps the file, which may vanish, to addresses at which kernels round differently."""
    for parameter in hf.parameters():
        parameter.data = parameter.data.clone()


def _drop_pooler(hf: Any) -> None:
    """Take out the layer that classifiers read: vectors are pooled from token vectors, it would never be trained."""
    for name in ("pooler", "pooler_activation"):
        if getattr(hf, name, None) is not None:
            setattr(hf, name, None)


def load_tokenizer(folder: Path) -> Any:
    """Load the fast tokenizer of a folder.

    Raises:
        ModelError: there is none.
    """
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (ValueError, OSError, KeyError) as error:
        raise ModelError(f"{folder} has no usable tokenizer: {error}", fix="add its tokenizer.json") from error
    if not tokenizer.is_fast:
        raise ModelError(f"{folder} has only a slow tokenizer", fix="convert it to tokenizer.json first")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return tokenizer


def _make_config(base: BaseModelFolder, head: HeadSpec, options: ModelOptions, tokenizer: Any) -> Any:
    kind = base.config["model_type"]
    if kind not in transformers.CONFIG_MAPPING:
        raise ModelError(
            f"{base.name} has the architecture {kind!r}, which is not known here", fix="pip install -U transformers"
        )
    config = transformers.CONFIG_MAPPING[kind].from_dict(dict(base.config))
    if head.kind in ("sequence", "token"):
        names = head.names or ("LABEL_0",)
        config.id2label = dict(enumerate(names))
        config.label2id = {name: index for index, name in enumerate(names)}
        vars(config)["problem_type"] = head.problem
    elif head.kind == "question_answering":
        config.num_labels = head.classes
    text = config.get_text_config()
    text.pad_token_id = _usable_pad_id(text, tokenizer)
    set_dropout(config, options.dropout)
    return config


def _usable_pad_id(text: Any, tokenizer: Any) -> int:
    """The token that pads: the config's, else the tokenizer's, where the embedding has a row for it.

    Conversions of older Llamas say -1 for none; tokenizers may have got a padding token that the model never had.
    """
    given = (text.pad_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    return next(pad for pad in given if pad is not None and 0 <= pad < text.vocab_size)


def choose_trunk_path(model: Model, tolerance: float = 1e-4) -> None:
    """Run two short sequences packed and padded; keep packing only where it was asked for and agrees.

    Attention interfaces of other libraries' trunks can ignore the request without a word, and packed sequences then
    leak into each other; so this is measured, not looked up.
    """
    if model.has_decoder:  # attends across sequences, too
        model.set_packed(False)
        return
    size = model.hf.config.get_text_config().vocab_size
    lengths = [min(length, model.max_tokens) for length in (5, 40, 3)]
    pad = model.hf.config.get_text_config().pad_token_id
    words = [token for token in range(min(size, 1000)) if token != pad]
    ids = [
        [words[(7 * place + 11 * row + 3) % len(words)] for place in range(length)]
        for row, length in enumerate(lengths)
    ]
    batch = pack([[Encoded(sequences=(sequence,), target=None, row=row)] for row, sequence in enumerate(ids)])
    batch = Batch(**{**vars(batch), **{k: getattr(batch, k).to(model.device) for k in _ON_DEVICE}})
    was_training = model.training
    model.eval()
    with torch.no_grad(), quiet_transformers():
        model.set_packed(False)
        plain = model.trunk(batch)
        try:
            model.set_packed(True)
            blocks = make_blocks(batch.bounds, batch.input_ids.device)
            packed = model._trunk_packed(batch, batch.input_ids, blocks)
            agrees = blocks.calls > 0 and bool((packed - plain).abs().max() <= tolerance * plain.abs().max())
        except (NotImplementedError, ValueError, TypeError, RuntimeError, AttributeError):
            agrees = False
    model.set_packed(agrees)
    model.train(was_training)


_ON_DEVICE = ("input_ids", "positions", "segment_ids")


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' notices and progress bars off the user's screen; errors still raise."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)
