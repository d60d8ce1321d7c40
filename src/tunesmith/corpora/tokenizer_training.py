"""Tokenizers trained on raw texts: five kinds, with the special tokens that each family of models expects.

WordPiece (Schuster & Nakajima 2012), byte pair encoding (Sennrich et al. 2016) over characters or bytes (Radford et al.
2019), unigram language models (Kudo 2018), and single characters. The training itself is that of `tokenizers`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tunesmith import durable
from tunesmith.corpora.wordpiece_training import learn_entries
from tunesmith.errors import ConfigError, DataError

Kind = Literal["wordpiece", "bpe", "byte-bpe", "unigram", "characters"]
Family = Literal["encoder", "decoder", "encoder-decoder"]
KINDS: tuple[Kind, ...] = ("wordpiece", "bpe", "byte-bpe", "unigram", "characters")
COVERAGE = 0.9999
"""Share of the characters of the texts that the alphabet holds at least; rarer characters are unknown."""
ALPHABET_SHARE = 0.75
"""Largest share of the vocabulary that single characters take, so that some is left to what they form."""
LONGEST_TOKEN = 32
"""Characters; longer ones are rulers and addresses."""
ROLES = {
    "encoder": {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"},
    "decoder": {"pad": "<pad>", "unk": "<unk>", "bos": "<s>", "eos": "</s>"},
    "encoder-decoder": {"pad": "<pad>", "unk": "<unk>", "bos": "<s>", "eos": "</s>", "mask": "<mask>"},
}
"""Role → special token, in the order of their ids."""
# Letters, digits and signs apart, each with the blank in front of it, which stands as ▁; all other space by itself.
_SPLIT = r"▁?[\p{L}\p{M}]+|▁?\p{N}+|▁?[^\s▁\p{L}\p{M}\p{N}]+|[\s▁]+?(?=▁[^\s▁])|[\s▁]+"
_BYTES = 256


def train_tokenizer(
    kind: Kind,
    vocab_size: int,
    texts: Iterable[str],
    *,
    lowercase: bool = False,
    family: Family = "encoder",
    more_characters: str = "",
) -> Tokenizer:
    """Train a tokenizer; the same texts give the same bytes.

    Args:
        kind: "wordpiece" is BERT's, Chinese by single characters; "bpe" merges characters, Chinese ones too, never
            across blanks, digits and punctuation; "byte-bpe" is GPT-2's and knows every text; "unigram" picks the
            likeliest pieces; "characters" takes each by itself.
        vocab_size: most entries, special tokens included.
        texts: held in memory: give a sample of at most some hundred megabytes.
        lowercase: fold case; with wordpiece, accents too.
        family: decides the special tokens, and whether [CLS] … [SEP] (encoders) or <s> … </s> (encoder-decoders) are
            put around a text; decoders get nothing, as the corpus puts its own ids between documents.
        more_characters: are known whether the texts have them or not; bytes are always.

    Raises:
        ConfigError: the kind is unknown or the vocabulary too small.
        DataError: the texts hold nothing.

    Example:
        >>> tokenizer = train_tokenizer("characters", 50, ["to be or not to be"], family="decoder")
        >>> tokenizer.decode(tokenizer.encode("be to").ids)
        'be to'
    """
    if kind not in KINDS:
        raise ConfigError(f"there is no tokenizer {kind!r}", fix=f"take one of {', '.join(KINDS)}")
    special = [token for role, token in ROLES[family].items() if role != "unk" or _has_unknown(kind, family)]
    tokenizer = Tokenizer(_model(kind, ROLES[family]["unk"]))
    _set_text_steps(tokenizer, kind, lowercase)
    held = texts if isinstance(texts, list) else list(texts)
    counts = _count_characters(tokenizer, held)
    if not counts:
        raise DataError("there is no text to train a tokenizer on", fix="check the files")
    more = [] if kind == "byte-bpe" else _as_seen(tokenizer, more_characters)
    for character in more:
        del counts[character]
    room = vocab_size - len(special) - len(more)
    if room < (_BYTES if kind == "byte-bpe" else 1):
        least = len(special) + len(more) + (_BYTES if kind == "byte-bpe" else 1)
        raise ConfigError(f"vocab_size is {vocab_size}, wanted {least} or more for {kind}", fix="enlarge it")
    if kind == "characters":
        entries = [*special, *more, *_most_common(counts, room, 1.0)]
        tokenizer.model = _word_level({token: number for number, token in enumerate(entries)}, ROLES[family]["unk"])
        tokenizer.add_special_tokens(special)
    else:
        common = _most_common(counts, max(1, int(room * ALPHABET_SHARE)), COVERAGE)
        alphabet, room = sorted([*common, *more]), vocab_size - len(special)
        if kind == "wordpiece":  # by our own means, see there
            inside = [one for one in more if len(tokenizer.pre_tokenizer.pre_tokenize_str(2 * one)) == 1]
            entries = [*special, *learn_entries(tokenizer, held, alphabet, room, LONGEST_TOKEN, also_inside=inside)]
            tokenizer.model = _word_pieces(dict.fromkeys(entries), ROLES[family]["unk"])
            tokenizer.add_special_tokens(special)
        else:
            with _one_thread():
                tokenizer.train_from_iterator(held, _trainer(kind, vocab_size, special, alphabet, family))
            if kind == "unigram":
                tokenizer.model = _settled(tokenizer, special)
    _set_post_processor(tokenizer, family)
    return tokenizer


def _has_unknown(kind: Kind, family: Family) -> bool:
    return kind != "byte-bpe" or family == "encoder"


def _model(kind: Kind, unknown: str) -> Any:
    if kind == "wordpiece":
        return _word_pieces({unknown: None}, unknown)
    if kind == "bpe":
        return models.BPE(unk_token=unknown)
    if kind == "byte-bpe":
        return models.BPE()
    return models.Unigram() if kind == "unigram" else _word_level({unknown: 0}, unknown)


def _word_level(vocabulary: dict[str, int], unknown: str) -> Any:
    return models.WordLevel(vocabulary, unk_token=unknown)


def _word_pieces(entries: dict[str, None], unknown: str) -> Any:
    vocabulary = {token: number for number, token in enumerate(entries)}
    return models.WordPiece(vocabulary, unk_token=unknown, max_input_chars_per_word=100)


def _set_text_steps(tokenizer: Any, kind: Kind, lowercase: bool) -> None:
    """What happens to a text before the model, and behind it."""
    if kind == "wordpiece":
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        return
    folding: list[Any] = [normalizers.Lowercase()] if lowercase else []
    if kind == "byte-bpe":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    elif kind == "characters":
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        tokenizer.decoder = decoders.Fuse()
    else:
        folding = [normalizers.NFC(), *folding, normalizers.Replace(" ", "▁")]
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_SPLIT), "isolated")
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    if folding:
        tokenizer.normalizer = normalizers.Sequence(folding)


def _as_seen(tokenizer: Any, characters: str) -> list[str]:
    """Characters as the model sees them, without blanks, each once."""
    seen = characters if tokenizer.normalizer is None else tokenizer.normalizer.normalize_str(characters)
    return sorted({character for character in seen if not character.isspace()})


def _count_characters(tokenizer: Any, texts: list[str]) -> Counter[str]:
    """How often each character stands in the texts as the model sees them."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text if tokenizer.normalizer is None else tokenizer.normalizer.normalize_str(text))
    if isinstance(tokenizer.pre_tokenizer, pre_tokenizers.BertPreTokenizer):  # white space never reaches the model
        for space in [character for character in counts if character.isspace()]:
            del counts[space]
    return counts


def _most_common(counts: Counter[str], most: int, coverage: float) -> list[str]:
    """The commonest characters that make up a share of the text, at most so many, in the order of their code."""
    found: list[str] = []
    wanted, covered = coverage * counts.total(), 0
    for character, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        if covered >= wanted or len(found) == most:
            break
        found.append(character)
        covered += count
    return sorted(found)


def _trainer(kind: Kind, vocab_size: int, special: list[str], alphabet: list[str], family: Family) -> Any:
    shared: dict[str, Any] = {"vocab_size": vocab_size, "special_tokens": special, "show_progress": False}
    if kind == "byte-bpe":
        return trainers.BpeTrainer(
            **shared, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), max_token_length=LONGEST_TOKEN
        )
    if kind == "unigram":
        return trainers.UnigramTrainer(**shared, initial_alphabet=alphabet, unk_token=ROLES[family]["unk"])
    # The whole alphabet is given, as the trainer's own choice between equally rare characters is made by chance.
    shared |= {"initial_alphabet": alphabet, "limit_alphabet": len(alphabet)}
    return trainers.BpeTrainer(**shared, max_token_length=LONGEST_TOKEN)


def _settled(tokenizer: Any, special: list[str]) -> Any:
    """The same model with pieces and scores that do not vary from run to run.

    The trainer goes through a hash table, whose order differs from run to run. It shows in the last digits of sums,
    and in the scores of characters that no piece was left for: the trainer gives them falling scores in steps of
    0.0001 as they come. Here sums are rounded and these characters put in the order of their code.
    """
    model = json.loads(tokenizer.to_str())["model"]
    scores: dict[str, float] = {piece: score for piece, score in model["vocab"] if piece not in special}
    single = sorted((score, piece) for piece, score in scores.items() if len(piece) == 1)
    steps = [(score - single[0][0]) / 0.0001 for score, _ in single]
    run = [pair for pair, step in zip(single, steps, strict=True) if abs(step - round(step)) < 1e-5]
    for (score, _), piece in zip(run, sorted((piece for _, piece in run), reverse=True), strict=True):
        scores[piece] = score
    stepped = {piece for _, piece in run}
    rounded = {piece: round(score, 4 if piece in stepped else 3) for piece, score in scores.items()}
    ordered = sorted(rounded.items(), key=lambda pair: (-pair[1], pair[0]))
    return models.Unigram([*((token, 0.0) for token in special), *ordered], model["unk_id"], False)


def _set_post_processor(tokenizer: Any, family: Family) -> None:
    roles = ROLES[family]
    if family == "decoder":
        return
    first, last = (roles["cls"], roles["sep"]) if family == "encoder" else (roles["bos"], roles["eos"])
    pair = f"{first}:0 $A:0 {last}:0 $B:1 {last}:1" if family == "encoder" else f"{first} $A {last} {last} $B {last}"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=pair,
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (first, last)],
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in another order are other sums: with several threads, a unigram model differs from run to run."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def save_tokenizer(tokenizer: Tokenizer, folder: str | Path, *, model_max_length: int) -> None:
    """Write tokenizer.json and tokenizer_config.json, which `transformers.AutoTokenizer.from_pretrained` reads.

    Args:
        tokenizer: made by `train_tokenizer`.
        folder: is made; files of these names are replaced.
        model_max_length: most tokens that the model will take.

    Raises:
        TrainingError: the disk does not take it.
    """
    for name, content in tokenizer_files(tokenizer, model_max_length).items():
        durable.write_file_atomic(Path(folder) / name, content)


def tokenizer_files(tokenizer: Tokenizer, model_max_length: int) -> dict[str, bytes]:
    """The files of a tokenizer's folder: name → content."""
    vocabulary = tokenizer.get_vocab()
    marks = {"encoder": "[CLS]", "encoder-decoder": "<mask>"}
    family = next((name for name, token in marks.items() if token in vocabulary), "decoder")
    names = {f"{role}_token": token for role, token in ROLES[family].items() if token in vocabulary}
    inputs = (
        ["input_ids", "token_type_ids", "attention_mask"] if family == "encoder" else ["input_ids", "attention_mask"]
    )
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": model_max_length,
        "model_input_names": inputs,
        "clean_up_tokenization_spaces": False,
        "padding_side": "right",
        **names,
    }
    return {
        "tokenizer.json": tokenizer.to_str(pretty=True).encode(),
        "tokenizer_config.json": (json.dumps(config, indent=1, ensure_ascii=False) + "\n").encode(),
    }
