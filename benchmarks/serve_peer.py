"""The server that everybody writes first: FastAPI around `transformers.pipeline`. The peer of serve_load.py.

MODEL=runs/sst2 uvicorn benchmarks.serve_peer:app --port 8001
"""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

app = FastAPI()
classifier: Any = pipeline("text-classification", model=os.environ["MODEL"])


class Row(BaseModel):
    """What is asked about."""

    text: str


@app.post("/predict")
def predict(row: Row) -> Any:
    """Answer one text."""
    return classifier(row.text)[0]
