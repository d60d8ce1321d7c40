"""The page to try the models on (a placeholder)."""

from __future__ import annotations

from fastapi import FastAPI

from tunesmith.serving.service import Service


def add_page(app: FastAPI, service: Service) -> None:
    """Add `/` and `/static/…`."""
