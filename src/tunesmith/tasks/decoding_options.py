"""How tokens of written answers are chosen, as users set it."""

from __future__ import annotations

from pydantic import Field

from tunesmith.config import Section
from tunesmith.generation import Decoding


class DecodingOptions(Section):
    """How answers are written: the likeliest token each time, unless something is set. Options of tasks that write."""

    max_new_tokens: int = Field(default=128, ge=1)
    """Longest answer in tokens; longer right answers are cut in training, and counted."""
    beams: int = Field(default=1, ge=1, le=64)
    """Hypotheses that beam search follows; 1: none but the likeliest."""
    sample: bool = False
    """Draw tokens by their probability."""
    temperature: float = Field(default=1.0, gt=0, le=100)
    """When drawing: below 1 the likely tokens are drawn more often still."""
    top_k: int = Field(default=0, ge=0)
    """When drawing: among so many of the likeliest tokens; 0: among all."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """When drawing: among the likeliest tokens that together have this probability."""
    repetition_penalty: float = Field(default=1.0, ge=1)
    """Above 1, tokens that were there before are less likely."""
    no_repeat_ngram_tokens: int = Field(default=0, ge=0)
    """No run of so many tokens is written twice; 0: any may be."""
    length_penalty: float = 1.0
    """Of beam search: above 0 longer answers are liked, below 0 shorter ones."""

    @classmethod
    def names(cls) -> frozenset[str]:
        """These options alone, without those that a task adds."""
        return frozenset(DecodingOptions.model_fields)

    def decoding(self, seed: int = 13) -> Decoding:
        """The same for `generation`."""
        return Decoding(**{name: getattr(self, name) for name in self.names()}, seed=seed)
