"""Words put in the place of others where a masked language model finds them likely (Kobayashi 2018; Wu et al. 2019)."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

import torch

from tunesmith import base_models
from tunesmith.contracts import Editable, Encoded, HeadSpec, Place
from tunesmith.errors import ModelError
from tunesmith.model import Model
from tunesmith.model_loading import ModelOptions, load_model
from tunesmith.packing import pack, sorted_runs
from tunesmith.word_edits import ALONE, Edit, free_words

CANDIDATES = 10
"""Likeliest words among which is drawn, each as often as the model finds it likely."""
_LOOKED_AT = 100
"""Likeliest entries of the vocabulary among which these are looked for; others are pieces, signs, the word itself."""
_BATCH_TOKENS = 8192
_STARTS = ("\u0120", "\u2581")
"""What byte-level and SentencePiece vocabularies put in front of a word: a visible blank."""
_ALONE = re.compile(f"[{ALONE}]")
_LETTERS = re.compile(f"(?:(?![{ALONE}])[^\\W\\d_])+")


class LikelyWords:
    """A masked language model that proposes words.

    Args:
        name: of the base model.

    Raises:
        ModelError: it cannot be loaded, has no trained head for this, or no token that masks.
    """

    def __init__(self, name: str) -> None:
        base = base_models.resolve(name)
        head = HeadSpec("masked_lm", ())
        self.model: Model = load_model(base, head, ModelOptions(needs_trained_head=True)).requires_grad_(False).eval()
        self.tokenizer: Any = self.model.tokenizer
        if self.tokenizer.mask_token_id is None:
            raise ModelError(f"{name} has no token that masks a word", fix="choose another model: --model")
        pieces = self.tokenizer.convert_ids_to_tokens(range(len(self.tokenizer)))
        self._marks_starts = any(piece.startswith(_STARTS) for piece in pieces)

    def edits(
        self, texts: Sequence[Editable], counts: Sequence[int], chances: Sequence[random.Random]
    ) -> list[list[Edit]]:
        """Edits of each text: so many words become others; [] where none can."""
        chosen = [self._choose(*given) for given in zip(texts, counts, chances, strict=True)]
        encoded = [self._mask(of, words) for of, words in zip(texts, chosen, strict=True)]
        found: list[list[Edit]] = [[] for _ in texts]
        asked = [place for place, ids in enumerate(encoded) if ids]
        for run in sorted_runs([len(encoded[place]) for place in asked], _BATCH_TOKENS):
            places = [asked[index] for index in run]
            for place, proposals in zip(places, self._propose([encoded[place] for place in places]), strict=True):
                found[place] = self._draw(texts[place], chosen[place], proposals, chances[place])
        return found

    def _choose(self, of: Editable, count: int, chance: random.Random) -> list[Place]:
        words = [] if self.tokenizer.mask_token in of.text else free_words(of)
        fitting = [place for place in words if _kind(of.text[slice(*place)])]
        return sorted(chance.sample(fitting, min(count, len(fitting))))

    def _mask(self, of: Editable, words: Sequence[Place]) -> list[int]:
        """Token ids of the text with its chosen words masked, cut as long as the model reads; [] where none is."""
        if not words:
            return []
        starts = [0, *(end for _, end in words)]
        ends = [*(start for start, _ in words), len(of.text)]
        pieces = [of.text[start:end] for start, end in zip(starts, ends, strict=True)]
        masked = self.tokenizer.mask_token.join(pieces)
        ids: list[int] = self.tokenizer(masked, truncation=True, max_length=self.model.max_tokens)["input_ids"]
        return ids if self.tokenizer.mask_token_id in ids else []

    def _propose(self, sequences: Sequence[list[int]]) -> list[list[tuple[list[float], list[int]]]]:
        """For each mask of each sequence the likeliest entries: probabilities and ids."""
        batch = pack([[Encoded((ids,), None, row)] for row, ids in enumerate(sequences)])
        with torch.inference_mode():
            places = torch.nonzero(batch.input_ids == self.tokenizer.mask_token_id)[:, 0]
            logits = self.model.token_logits(self.model.trunk(batch)[places])
            most = logits.float().softmax(-1).topk(min(_LOOKED_AT, logits.shape[-1]))
        rows = iter(zip(most.values.tolist(), most.indices.tolist(), strict=True))
        return [[next(rows) for token in ids if token == self.tokenizer.mask_token_id] for ids in sequences]

    def _draw(
        self,
        of: Editable,
        words: Sequence[Place],
        proposals: Sequence[tuple[list[float], list[int]]],
        chance: random.Random,
    ) -> list[Edit]:
        """One of the likeliest words for each that was masked; masks that were cut off are the last ones."""
        edits = []
        for (start, end), (shares, ids) in zip(words, proposals, strict=False):
            old = of.text[start:end]
            fitting = [
                (word, share) for word, share in zip(map(self._word, ids), shares, strict=True) if _fits(word, old)
            ]
            fitting = fitting[:CANDIDATES]
            if fitting:
                (new,) = chance.choices([word for word, _ in fitting], [share for _, share in fitting])
                edits.append(Edit(start, end, new.capitalize() if old[:1].isupper() else new))
        return edits

    def _word(self, token: int) -> str:
        """The whole word that an entry is; "" for pieces of words and special tokens."""
        if token in self.tokenizer.all_special_ids or token >= len(self.tokenizer):
            return ""
        piece = self.tokenizer.convert_ids_to_tokens(token)
        word = str(self.tokenizer.decode([token])).strip()
        is_piece = self._marks_starts and not piece.startswith(_STARTS) and not _ALONE.fullmatch(word)
        return "" if is_piece else word


def _kind(word: str) -> str:
    """What may stand in for a word: one of letters for one of letters, a Chinese character for another, no number."""
    return "letters" if _LETTERS.fullmatch(word) else "alone" if _ALONE.fullmatch(word) else ""


def _fits(word: str, old: str) -> bool:
    return word.casefold() != old.casefold() and _kind(word) == _kind(old) != ""
