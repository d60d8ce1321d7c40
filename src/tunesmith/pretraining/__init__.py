"""Pretraining: from raw text to a model, and from a general model to a domain model."""
