"""Trunk + head + tokenizer behind one face: packed hidden states in, logits out.

The head is Hugging Face's own task class. The trunk runs packed; then the class is called with its trunk answering the
hidden states that this head reads, so what is trained is exactly what `from_pretrained` loads later. Trunks that do not
go through the attention interface (DeBERTa-v2, encoders with decoders …) run padded; tasks never see which.

Letters in shapes: T tokens, S sequences, L longest sequence, D hidden width, C classes.
"""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers.masking_utils import sdpa_mask
from transformers.modeling_outputs import (
    BaseModelOutputWithPastAndCrossAttentions,
    BaseModelOutputWithPoolingAndCrossAttentions,
)

from tunesmith.attention import packed_attention, prefixed_attention, watched_attention
from tunesmith.contracts import Batch, HeadSpec
from tunesmith.crf import TransitionScores
from tunesmith.dropout import MaskPool, use_pool
from tunesmith.heads import drop_head, own_head, pooler_output, standard_pooling
from tunesmith.padding import fill_up, in_buckets, written_states
from tunesmith.pooling import pool_states
from tunesmith.segments import Blocks, make_blocks
from tunesmith.sharing import Answerable, Turn
from tunesmith.slots import put_slots, slot_ids
from tunesmith.trunk_parts import (
    LAST_NORMS,
    distinct,
    find_decoder,
    find_last,
    has_angles,
    is_stack,
    longest,
    position_offset,
    quiet_frozen,
)

PACKED = "tunesmith_packed"
ROUND_TOKENS = 32
"""On a CPU a packed row is filled up to a multiple of this, since each new size of a matrix costs a new kernel."""
transformers.AttentionInterface.register(PACKED, packed_attention)
transformers.AttentionMaskInterface.register(PACKED, lambda *arguments, **options: None)
PREFIXED, WATCHED = "tunesmith_prefixed", "tunesmith_watched"
for name, attend in ((PREFIXED, prefixed_attention), (WATCHED, watched_attention)):
    transformers.AttentionInterface.register(name, attend)
    transformers.AttentionMaskInterface.register(name, sdpa_mask)


class Model(nn.Module):
    """A trunk with a head and its tokenizer.

    Attributes:
        hf: the Hugging Face task model; its parameters are the model's.
        tokenizer: a Hugging Face fast tokenizer.
        target_tokenizer: that of what is written; the same one, except in some encoders with decoders.
        head_spec: what stands on the trunk.
        max_tokens: longest sequence in tokens.
        packed: whether the trunk runs packed (True) or padded.
        compact_ids: (V,) int64 map of token ids to rows of a compacted embedding, or None.
        masks: where dropout masks come from, or None to draw them anew.
        tokenizer_turn: held while rows are encoded where threads share the model: a call that cuts texts changes the
            tokenizer for everybody.
        output_scale: what the head's output is multiplied by to be in the units of the targets.
        output_offset: what is added then.
        has_decoder: whether an encoder reads and a decoder writes.
        has_angles: whether positions may be negative.
        slots: K, learnt vectors that stand in front of each text; what is given and returned does not show them.
        is_prefixed: whether attention layers hold learnt keys and values.
        companion: a second model that is trained along and thrown away, such as a generator of replaced tokens.
    """

    def __init__(self, hf: Any, tokenizer: Any, head_spec: HeadSpec, max_tokens: int | None = None) -> None:
        super().__init__()
        self.hf = hf
        self.tokenizer = tokenizer
        self.target_tokenizer = tokenizer
        self.tokenizer_turn = Turn()
        self.head_spec = head_spec
        self.packed = False
        self.compact_ids: Tensor | None = None
        self.masks: MaskPool | None = None
        self.output_scale, self.output_offset = 1.0, 0.0
        self.slots = 0
        self.is_prefixed = False
        self.companion: Model | None = None
        self.mlp = own_head(hf.config, head_spec)
        if head_spec.vectors > 1 or head_spec.form == "unit":
            drop_head(hf)
        self.crf = TransitionScores(head_spec.classes) if head_spec.form == "crf" else None
        self._accepts = frozenset(inspect.signature(hf.base_model.forward).parameters)
        self.has_decoder = find_decoder(hf) is not None
        last = find_last(hf)
        self._answerable = Answerable(last.forward)
        vars(last)["forward"] = self._answerable
        self.has_angles = has_angles(hf.base_model)
        self.position_offset = position_offset(hf.base_model)
        self.max_tokens = longest(hf.config, tokenizer, self.position_offset, max_tokens)

    @property
    def width(self) -> int:
        """D, the hidden width of the trunk."""
        return int(self.hf.config.get_text_config().hidden_size)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def extra_head(self) -> nn.Module | None:
        """The part of the head that Hugging Face has no class for; None for a standard head."""
        return self.mlp if self.mlp is not None else self.crf

    def head_parameters(self) -> list[nn.Parameter]:
        """Parameters of what stands on the trunk; the pooler in front of a classifier counts as head."""
        pooler = getattr(self.hf.base_model, "pooler", None)
        trunk = {id(p) for p in self.hf.base_model.parameters()}
        trunk -= {id(p) for p in pooler.parameters()} if pooler is not None else set()
        return [p for p in self.parameters() if id(p) not in trunk]

    @property
    def vocabulary_size(self) -> int:
        """V, rows of the token embedding."""
        return int(self.hf.config.get_text_config().vocab_size)

    def projection_parameters(self) -> list[nn.Parameter]:
        """Parameters that the head computes with, those that it shares with the trunk among them."""
        if self.has_decoder:
            return list(self.hf.get_output_embeddings().parameters())
        beside = [module for module in self.hf.children() if module is not self.hf.base_model]
        return list(dict.fromkeys(p for module in beside for p in module.parameters()))

    @property
    def trunk_kind(self) -> str:
        """ "encoder-decoder"; "decoder" where attention is causal; "encoder" elsewhere."""
        if self.has_decoder:
            return "encoder-decoder"
        modules = (module for layer in self.layers()[:1] for module in layer.modules())
        return "decoder" if any(getattr(module, "is_causal", False) for module in modules) else "encoder"

    @property
    def norms_first(self) -> bool:
        """Whether layers normalise what they read, not what they give: a last norm then stands above them."""
        names = (name for name, _ in self.hf.base_model.named_modules() if "embed" not in name)
        inside = re.compile(r"\.\d+\.")
        return any(name.rpartition(".")[2] in LAST_NORMS and not inside.search(name) for name in names)

    def layers(self) -> list[nn.Module]:
        """The trunk's layers from bottom to top, a decoder's above its encoder's; [] where they share their weights."""
        if self.has_decoder:
            stacks = (self.hf.get_encoder(), find_decoder(self.hf))
            return [layer for stack in stacks for layer in next(filter(is_stack, stack.children()), [])]
        count = getattr(self.hf.config.get_text_config(), "num_hidden_layers", None)
        for module in self.hf.base_model.modules():
            if isinstance(module, nn.ModuleList) and len(module) == count and distinct(module):
                return list(module)
        return []

    def depths(self) -> dict[str, int]:
        """Depth of each parameter by name: 0 embeddings, 1 … n the layers, n + 1 what stands above them."""
        layers = self.layers()
        inside = {id(p): depth for depth, layer in enumerate(layers, start=1) for p in layer.parameters()}
        embeddings = {id(p) for p in self.embedding_parameters()}
        names = dict(self.named_parameters())
        return {n: 0 if id(p) in embeddings else inside.get(id(p), len(layers) + 1) for n, p in names.items()}

    def embedding_parameters(self) -> list[nn.Parameter]:
        """Parameters in front of the first layer: token, position and type embeddings and their norm."""
        layer_ids = {id(p) for layer in self.layers() for p in layer.parameters()}
        base = self.hf.base_model
        parts = [base, self.hf.get_encoder(), find_decoder(self.hf)] if self.has_decoder else [base]
        children = [entry for part in parts for entry in part.named_children()]
        front = [module for name, module in children if "embed" in name or name in {"wte", "wpe", "shared"}]
        return list(dict.fromkeys(p for m in front for p in m.parameters() if id(p) not in layer_ids))

    @property
    def slot_positions(self) -> Tensor:
        """(K,) of the slots in front of a text, which keeps its own positions, so that it may be as long as before.

        Where positions are looked up all have the first one, which their vectors make up for.
        """
        return torch.arange(-self.slots, 0) if self.has_angles else torch.zeros(self.slots)

    def trunk(self, batch: Batch) -> Tensor:
        """Hidden states of every token: (T, D)."""
        if not self.slots or self.has_decoder:
            return self._states(batch)
        longer, places = put_slots(batch, self.slot_positions)
        return self._states(longer)[places]

    def _states(self, batch: Batch) -> Tensor:
        ids = batch.input_ids if self.compact_ids is None else self.compact_ids[batch.input_ids]
        if not self.packed:
            return self._trunk_padded(batch, ids)
        tail = -len(ids) % ROUND_TOKENS if ids.device.type == "cpu" else 0
        blocks = make_blocks(batch.bounds, ids.device, tail)
        blocks.masks = self.masks
        return self._trunk_packed(batch, ids, blocks)

    def _trunk_packed(self, batch: Batch, ids: Tensor, blocks: Blocks) -> Tensor:
        tail = blocks.tail_tokens
        ids = nn.functional.pad(ids, (0, tail), value=self._pad_id())
        positions = nn.functional.pad(batch.positions, (0, tail)) + self.position_offset
        types = nn.functional.pad(batch.segment_ids, (0, tail))
        options = self._optional(position_ids=positions[None], token_type_ids=types[None], use_cache=False)
        hidden: Tensor = self.hf.base_model(input_ids=ids[None], segments=blocks, **options).last_hidden_state
        return hidden[0, : len(ids) - tail]  # (T, D)

    def _trunk_padded(self, batch: Batch, ids: Tensor) -> Tensor:
        lengths = batch.bounds.diff().tolist()
        pieces, types = torch.split(ids, lengths), torch.split(batch.segment_ids, lengths)
        if self.has_decoder:  # as the task classes of Hugging Face have it, the decoder reads the same again
            return self.written(pieces, pieces)
        positions = torch.split(batch.positions + self.position_offset, lengths)

        def states_of(run: list[int]) -> Tensor:
            padded = fill_up([pieces[i] for i in run], self._pad_id())  # (B, L)
            mask = fill_up([torch.ones_like(pieces[i]) for i in run], 0)
            options = self._optional(token_type_ids=fill_up([types[i] for i in run], 0), use_cache=False)
            if self.slots:  # otherwise the trunk counts them itself
                options |= self._optional(position_ids=fill_up([positions[i] for i in run], 0))
            return torch.as_tensor(self.hf.base_model(input_ids=padded, attention_mask=mask, **options)[0])

        return in_buckets(lengths, states_of)

    def written(self, read: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Hidden states of the decoder where it writes each target, having read a sequence.

        Args:
            read: S rows of token ids.
            targets: S rows of token ids, N in all.

        Returns:
            (N, D), in order.
        """
        slots = torch.tensor(slot_ids(self.slots), dtype=torch.int64, device=self.device)
        return written_states(self.hf, [torch.cat([slots, ids]) for ids in read], targets, self._pad_id())

    def _optional(self, **options: Any) -> dict[str, Any]:
        if getattr(self.hf.config, "type_vocab_size", 0) < 2:
            options.pop("token_type_ids", None)
        return {name: value for name, value in options.items() if name in self._accepts}

    def _pad_id(self) -> int:
        pad = self.hf.config.get_text_config().pad_token_id or 0
        return pad if self.compact_ids is None else int(self.compact_ids[pad])

    def pool(self, hidden: Tensor, batch: Batch) -> Tensor:
        """One vector a sequence, by the head's pooling: (T, D) → (S, D)."""
        pooling = self.head_spec.pooling
        if pooling == "standard":
            pooling = standard_pooling(self.hf.config, self.trunk_kind)
        return pool_states(hidden, batch, pooling, self.hf.config.get_text_config().pad_token_id)

    def sequence_logits(self, vectors: Tensor) -> Tensor:
        """The head on one vector a sequence (or `vectors` of them), in the units of the targets: (S, D) → (S, C)."""
        if self.mlp is not None:
            return self.in_units(torch.as_tensor(self.mlp(vectors)))
        pad = self.hf.config.get_text_config().pad_token_id
        token = 0 if pad != 0 else 1  # decoders look for the last token that is no padding
        token = self.hf.config.eos_token_id if self.has_decoder else token  # and those with an encoder for the end
        ids = torch.full((vectors.shape[0], 1), token, dtype=torch.int64, device=vectors.device)
        return self.in_units(self._head(ids, vectors[:, None, :]))

    def token_logits(self, hidden: Tensor) -> Tensor:
        """The head on every token: (T, D) → (T, C)."""
        ids = torch.zeros((1, len(hidden)), dtype=torch.int64, device=hidden.device)
        return self._head(ids, hidden[None])[0]

    def span_logits(self, hidden: Tensor) -> Tensor:
        """How much each token is the first of an answer, and the last: (T, D) → (T, 2)."""
        ids = torch.zeros((1, len(hidden)), dtype=torch.int64, device=hidden.device)
        found = self._head_output(ids, hidden[None])
        return torch.stack([found.start_logits[0], found.end_logits[0]], dim=-1)

    def _head(self, ids: Tensor, hidden: Tensor) -> Tensor:
        return torch.as_tensor(self._head_output(ids, hidden).logits)

    def _head_output(self, ids: Tensor, hidden: Tensor) -> Any:
        """What the task class makes of hidden states (S, L, D); its trunk answers them instead of running."""
        if self.has_decoder:
            answer: Any = BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=hidden)
            options = {"decoder_input_ids": ids, "encoder_outputs": (hidden[:, :1],)}  # the encoder does not run either
        else:
            pooled = pooler_output(self.hf.base_model, hidden)
            answer = BaseModelOutputWithPoolingAndCrossAttentions(last_hidden_state=hidden, pooler_output=pooled)
            options = {}
            if self.head_spec.kind == "multiple_choice":  # ModernBERT's class takes means over a mask it must be given
                options = {"attention_mask": torch.ones_like(ids)}
        with self._answerable.answering(answer):
            return self.hf(input_ids=ids, **options)

    @property
    def has_units(self) -> bool:
        """Whether the targets are in other units than what the head gives."""
        return (self.output_scale, self.output_offset) != (1.0, 0.0)

    def set_units(self, scale: float = 1.0, offset: float = 0.0) -> None:
        """Have `sequence_logits` give the head's output times `scale` plus `offset`.

        So the head learns numbers around 0 ± 1, whatever they are in the user's data.
        """
        self.output_scale, self.output_offset = scale, offset

    def start_from(self, outputs: Sequence[float]) -> None:
        """Set the biases of the head's last layer to these C outputs; a layer without biases stays as it is."""
        last = self._last_layer()
        if last is not None and last.bias is not None:
            with torch.no_grad():
                last.bias.copy_(torch.tensor(outputs))

    def set_head(self, weights: Any, biases: Any) -> None:
        """Give the head's last layer these weights (C, D) and biases (C,), as numpy arrays; a layer that has both."""
        last = self._last_layer()
        assert last is not None
        with torch.no_grad():
            last.weight.copy_(torch.as_tensor(weights))
            last.bias.copy_(torch.as_tensor(biases))

    def in_units(self, outputs: Tensor) -> Tensor:
        """Outputs of the head in the units of the targets; any shape, float32 where there are units."""
        return outputs.float() * self.output_scale + self.output_offset if self.has_units else outputs

    def fold_outputs(self) -> None:
        """Put the scale and offset of outputs into the head's last layer, so that Hugging Face computes them, too.

        A layer without a bias, as decoders have, cannot hold the offset, a frozen one nothing; that stays outside.
        """
        last = self._last_layer()
        if not self.has_units or last is None or not all(p.requires_grad for p in last.parameters()):
            return
        with torch.no_grad():
            last.weight.mul_(self.output_scale)
            if last.bias is not None:
                last.bias.mul_(self.output_scale).add_(self.output_offset)
        self.set_units(offset=self.output_offset if last.bias is None else 0.0)

    def _last_layer(self) -> nn.Linear | None:
        """The linear layer that gives the head's output."""
        outside = self.mlp if self.mlp is not None else self.hf
        linear = [module for module in outside.modules() if isinstance(module, nn.Linear)]
        return next((layer for layer in reversed(linear) if layer.out_features == self.head_spec.classes), None)

    def train(self, mode: bool = True) -> Model:
        """Training mode, except in frozen parts: those compute as they will later, without dropout."""
        super().train(mode)
        if mode:
            quiet_frozen(self)
            if not any(parameter.requires_grad for parameter in self.embedding_parameters()):
                self._quiet_embeddings()
        return self

    def _quiet_embeddings(self) -> None:
        """Dropout behind embeddings is no part of them: GPT-2's stands alone, BART's is in its encoder and decoder."""
        for child in self.hf.base_model.children():
            if next(child.parameters(), None) is None:
                child.eval()
        for part in (self.hf.get_encoder(), find_decoder(self.hf)) if self.has_decoder else ():
            part.training = False  # it alone, not its layers

    def set_masks(self, masks: MaskPool | None) -> None:
        """Take dropout masks from a pool, or draw them anew (None)."""
        self.masks = masks
        use_pool(self, masks)
        if self.companion is not None:
            self.companion.masks = masks

    def set_packed(self, packed: bool) -> None:
        """Switch between the packed and the padded trunk."""
        self.hf.set_attn_implementation(PACKED if packed else self._plain_attention())
        self.packed = packed

    def _plain_attention(self) -> str:
        if self.is_prefixed:
            return PREFIXED
        return "sdpa" if getattr(self.hf, "_supports_sdpa", False) else "eager"


@contextlib.contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """Without dropout meanwhile. A model that is so already is left alone: the walks through all modules would take a
    millisecond, a tenth of the time of one sentence.
    """
    if not model.training:
        yield
        return
    model.eval()
    try:
        yield
    finally:
        model.train()
