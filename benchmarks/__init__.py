"""Measurements of Tunesmith beside its peers; not part of the installed package."""
