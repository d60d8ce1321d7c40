"""Chat: go on with a conversation, learnt from instructions and dialogues; on decoders.

What the assistant says is learnt, the token that ends each of its turns included; what others say is only read.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, field_validator
from torch import Tensor

from tunesmith import generation, metrics
from tunesmith.contracts import (
    Baseline,
    Batch,
    Beliefs,
    Column,
    Comparison,
    Context,
    Counts,
    Encoded,
    Groups,
    HeadSpec,
    Labels,
    Outputs,
    Samples,
    Tags,
)
from tunesmith.errors import DataError, ModelError
from tunesmith.guessing import count_loss, guess
from tunesmith.model import Model
from tunesmith.tasks import writing_baselines
from tunesmith.tasks.chat_rows import ASSISTANT, COLUMNS, USER, ChatPrediction, ChatRow, as_messages, contents
from tunesmith.tasks.chat_sequences import PROMPT, UNREAD, encode_chats, find_end, measure_turns
from tunesmith.tasks.chat_templates import read_template, settle_template
from tunesmith.tasks.decoding_options import DecodingOptions
from tunesmith.tasks.languages import is_chinese


class ChatConfig(DecodingOptions):
    """Options of chat."""

    template: str = ""
    """Jinja chat template: a file, or the template itself; empty: the model's own, else a plain one."""

    @field_validator("template")
    @classmethod
    def _read(cls, given: str) -> str:
        return read_template(given) if given else given


class Chat:
    """The task; see `contracts.Task` for what each method promises."""

    name: ClassVar[str] = "chat"
    title: ClassVar[str] = "chat"
    Row: ClassVar[type[BaseModel]] = ChatRow
    Prediction: ClassVar[type[BaseModel]] = ChatPrediction
    samples: ClassVar[Samples] = {
        "en": {"messages": "The room was clean, but the coffee was cold. What shall I write to the hotel?"},
        "zh": {"messages": "房间很干净，但是咖啡是凉的。我该怎么给酒店写信？"},
    }
    Config: ClassVar[type[BaseModel]] = ChatConfig
    better: ClassVar[Literal["max", "min"]] = "min"
    tags: ClassVar[Tags] = Tags(
        trunk=frozenset({"decoder"}),
        units="tokens",
        has_head=False,
        chosen_by="loss",
        free_options=DecodingOptions.names(),
    )
    columns: ClassVar[tuple[Column, ...]] = COLUMNS

    def __init__(self, config: ChatConfig) -> None:
        self.config = config

    def headline(self, labels: Labels) -> str:
        """Perplexity of what the assistant says."""
        return "perplexity"

    def labels(self, rows: Sequence[Any]) -> Labels:
        """No names; the statistics say how many turns there are."""
        turns = [len(row.messages) for row in rows]
        answers = [len(contents(row, ASSISTANT)) for row in rows]
        facts = {"rows": float(len(rows)), "turns": mean(turns or [0]), "answers": mean(answers or [0])}
        facts["chinese"] = float(is_chinese([text for row in rows for text in contents(row, ASSISTANT)]))
        return Labels((), (), "text", facts)

    def describe_labels(self, labels: Labels) -> str:
        """The conversations, for the plan."""
        facts = labels.statistics
        return f"conversations of {facts['turns']:.1f} turns, {facts['answers']:.1f} of them the assistant's"

    def head(self, labels: Labels) -> HeadSpec:
        """Scores of the vocabulary for each token."""
        return HeadSpec(kind="writing", names=())

    def encode(self, rows: Sequence[Any], context: Context, first_row: int = 0) -> list[Encoded]:
        """One item a row: the conversation; where the assistant's turns are, the target."""
        if context.trunk_kind == "encoder-decoder":
            raise ModelError(
                "chat needs a decoder, which goes on with what it has read; this model has an encoder",
                fix="choose a decoder such as a Llama, Qwen or GPT-2: --model ID; or --task text-to-text",
            )
        settle_template(context.tokenizer, self.config.template)
        return encode_chats([as_messages(row) for row in rows], context, self.config.max_new_tokens, first_row)

    def prompt(self, model: Model, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Token ids that the reply to a conversation is written from.

        Raises:
            DataError: what was said last is longer than the model can read.
        """
        row = ChatRow.model_validate({"messages": list(messages)})
        context = Context(model.tokenizer, model.target_tokenizer, Labels(()), model.max_tokens, model.trunk_kind)
        (item,) = self.encode([row], context)
        if item.lost or not item.meta[PROMPT]:
            message = f"the last message is longer than the {model.max_tokens} tokens that this model reads"
            raise DataError(message, fix="write a shorter one")
        self.prepare_head(model, context.labels)
        return list(item.sequences[0])

    def ask_again(self, row: Any) -> tuple[Any, list[dict[str, str]], str] | None:
        """The conversation up to the assistant's last turn, its messages, and that turn; None where no user asked."""
        messages = as_messages(row)
        last = max((place for place, message in enumerate(messages) if message["role"] == ASSISTANT), default=0)
        before = messages[:last]
        if not before or before[-1]["role"] != USER:
            return None
        return ChatRow.model_validate({"messages": before}), before, messages[last]["content"]

    def corrupt(self, item: Encoded, rng: random.Random) -> Encoded:
        """Nothing is masked."""
        return item

    def groups(self, items: Sequence[Encoded]) -> Groups:
        """Each row alone."""
        return [[index] for index in range(len(items))]

    def prepare_head(self, model: Model, labels: Labels) -> None:
        """Have replies end at the token that ends the assistant's turns; generation_config.json will say so."""
        settle_template(model.tokenizer, self.config.template)
        end, known = find_end(model.tokenizer), generation.end_ids(model)
        if end not in known:
            model.hf.generation_config.eos_token_id = sorted({*known, end})

    def forward(self, model: Model, batch: Batch) -> Outputs:
        """Hidden states (T, D), and the summed loss of the assistant's tokens."""
        return guess(model, batch)

    def loss(self, outputs: Outputs, batch: Batch, labels: Labels) -> tuple[Tensor, float]:
        """Summed cross-entropy of the assistant's tokens, and how many they are."""
        return count_loss(outputs)

    def write(self, model: Model, items: Sequence[Encoded]) -> list[Any]:
        """How well the assistant's turns are foreseen, and a reply where one is awaited."""
        judged = measure_turns(model, items)
        written = self._reply(model, [item for item in items if item.meta[PROMPT]])
        unread = [item.meta[UNREAD] for item in items]
        guess_nll = math.log(model.vocabulary_size)  # of what is not read nothing is known
        return [
            (nll + lost * guess_nll, tokens + lost, right, *written.get(item.row, (None, None)))
            for (nll, tokens, right), lost, item in zip(judged, unread, items, strict=True)
        ]

    def _reply(self, model: Model, items: Sequence[Encoded]) -> dict[int, tuple[str, bool]]:
        """Replies by row, and whether they came to their end."""
        if not items:
            return {}
        self.prepare_head(model, Labels(()))
        how = self.config.decoding()
        written = generation.write(model, [item.sequences[0] for item in items], how, [item.row for item in items])
        texts = model.tokenizer.batch_decode(written, skip_special_tokens=True)
        return {
            item.row: (text.replace("\ufffd", "").strip(), len(ids) < how.max_new_tokens)
            for item, ids, text in zip(items, written, texts, strict=True)
        }

    def signature(self, golds: Sequence[Any], labels: Labels) -> str:
        """Which tokens the perplexity is of."""
        return "perplexity|per:token|turns:assistant|ends:counted"

    def decode(self, outputs: Outputs, batch: Batch, labels: Labels) -> list[Any]:
        """Never asked: answers come from `write`."""
        raise NotImplementedError("replies are written, see `write`")

    def join(self, parts: Sequence[Any], labels: Labels) -> ChatPrediction:
        """The one part of a row."""
        nll, tokens, right, answer, is_ended = parts[0]
        return ChatPrediction(answer=answer, finished=is_ended, nll=nll, tokens=tokens, right_tokens=right)

    def beliefs(self, predictions: Sequence[Any], golds: Sequence[Any] | None, labels: Labels) -> Beliefs | None:
        """None: a reply is rarely right or wrong as a whole."""
        return None

    def revise(self, predictions: Sequence[Any], probabilities: Any, labels: Labels) -> list[Any]:
        """Unchanged: there are no probabilities."""
        return list(predictions)

    def withhold(self, prediction: Any, threshold: float) -> Any:
        """Unchanged: there are no probabilities."""
        return prediction

    def gold(self, row: Any, labels: Labels) -> Any:
        """What the assistant says."""
        return contents(row, ASSISTANT)

    def texts(self, row: Any) -> tuple[str, ...]:
        """All that is said."""
        return tuple(message.content for message in row.messages)

    def shared_texts(self, row: Any) -> tuple[str, ...]:
        """What the user says first."""
        return contents(row, USER)[:1]

    def answers(self, row: Any, labels: Labels) -> tuple[str, ...]:
        """None have names."""
        return ()

    def stratum(self, row: Any, labels: Labels) -> str:
        """All rows are of one."""
        return ""

    def compare(self, prediction: Any, gold: Any, labels: Labels) -> Comparison:
        """How many of the assistant's tokens the model would have chosen itself."""
        tokens, right = prediction.tokens, prediction.right_tokens
        return Comparison(
            error=float(tokens - right), confidence=None, given=(f"{right}/{tokens}",), right=(f"{tokens}/{tokens}",)
        )

    def tally(self, prediction: Any, gold: Any, labels: Labels) -> Counts:
        """Counts of one row."""
        return metrics.perplexity_counts(prediction.nll, prediction.tokens, prediction.right_tokens)

    def score(self, counts: Counts, labels: Labels) -> dict[str, float]:
        """perplexity, loss, token_accuracy."""
        return metrics.perplexity_scores(counts)

    def score_rows(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> dict[str, float]:
        """None besides."""
        return {}

    def tables(self, counts: Counts, labels: Labels) -> dict[str, dict[str, dict[str, float]]]:
        """None: there are no classes."""
        return {}

    def confusion(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[list[int]] | None:
        """None: there are no classes."""
        return None

    def baselines(self, labels: Labels) -> list[Baseline]:
        """The model before fine-tuning."""
        return [writing_baselines.Untouched()]
