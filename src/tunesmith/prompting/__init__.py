"""Answers of base models that were not trained for them."""

from tunesmith.prompting.answering import ZeroShot, zero_shot

__all__ = ["ZeroShot", "zero_shot"]
