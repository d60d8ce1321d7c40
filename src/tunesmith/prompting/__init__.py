"""Answers of base models that were not trained for them."""
