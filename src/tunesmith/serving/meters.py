"""Figures for Prometheus: how many requests, how long they wait and compute, how full the line is. No text, no ids."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tunesmith import __version__

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
TOKENS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
US = "tunesmith"
OTHER = "other"
"""Stands for paths that are not there, so that made-up ones do not make new series."""


class Meters:
    """All figures of one server."""

    def __init__(self) -> None:
        self.registry = kept = CollectorRegistry()
        self.requests = Counter(f"{US}_requests_total", "Requests by path and status", ("path", "code"), registry=kept)
        self.duration = _seconds("request", "From the head of a request to its answer", kept, ("path",))
        self.waiting = _seconds("queue", "Until the first row of a request is taken", kept)
        self.inference = _seconds("inference", "One pass of a model, tokenizing included", kept)
        self.batch_rows = Histogram(f"{US}_batch_size", "Rows of a pass", buckets=ROWS, registry=kept)
        self.batch_tokens = Histogram(f"{US}_batch_tokens", "Tokens of a pass, roughly", buckets=TOKENS, registry=kept)
        self.rows = Counter(f"{US}_rows_total", "Rows answered, by model", ("model",), registry=kept)
        self.written = Counter(f"{US}_written_tokens_total", "Tokens written, by model", ("model",), registry=kept)
        self.writing = Gauge(f"{US}_texts_in_writing", "Requests whose texts are being written", registry=kept)
        self.writing_line = Gauge(f"{US}_texts_waiting", "Requests whose texts wait to be written", registry=kept)
        self.feedback = Counter(f"{US}_feedback_total", "Feedback stored, by model", ("model",), registry=kept)
        self.queue_rows = Gauge(f"{US}_queue_size", "Rows that wait", registry=kept)
        self.remembered = Gauge(f"{US}_remembered_rows", "Answers kept in memory for feedback", registry=kept)
        self.version = Gauge(f"{US}_info", "The version, as a label", ("version",), registry=kept)
        self.version.labels(__version__).set(1)

    def see_pass(self, rows: int, tokens: int, seconds: float) -> None:
        """Count a pass of a model."""
        self.inference.observe(seconds)
        self.batch_rows.observe(rows)
        self.batch_tokens.observe(tokens)

    def see_request(self, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered.

        Args:
            path: of the table of paths, or OTHER.
            status: HTTP status.
            seconds: it took.
        """
        self.requests.labels(path, str(status)).inc()
        self.duration.labels(path).observe(seconds)

    def render(self) -> bytes:
        """The figures in the text format of Prometheus."""
        return bytes(generate_latest(self.registry))


def _seconds(what: str, text: str, registry: CollectorRegistry, labels: tuple[str, ...] = ()) -> Histogram:
    return Histogram(f"{US}_{what}_duration_seconds", text, labels, buckets=SECONDS, registry=registry)
