"""What one request, one client and all of them together may take of the server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds that keep memory and time finite, whatever is sent.

    Attributes:
        body_bytes: most bytes of a request's body.
        head_bytes: most bytes of a request's line and headers.
        rows: most rows in a request.
        characters: most characters of a row, over all of its texts.
        waiting_rows: most rows that wait for the model at any time; further requests get 429.
        connections: most open connections; further ones get 503.
        head_s: within this time the headers of a request must be there, from the first byte or the connection on.
        body_s: likewise its body.
        answer_s: a request whose answer would come later gets 503; its work is dropped.
        idle_s: an idle connection is closed after it.
        read_s: a client that takes less of its answer than READ_BYTES within it is let go.
        remembered_rows: most answered rows that are kept in memory for feedback.
        remembered_bytes: likewise most bytes of them and their answers, which name every label.
        remembered_s: they are forgotten after it.
        comment_characters: most characters of a feedback's comment.
        batch_tokens: most tokens of one pass of a model.
        texts: most requests whose texts are written at the same time, in turns.
        waiting_texts: most such requests that wait for it; further ones get 429.
        prompts: most texts that are written for one request.
        new_tokens: most tokens of a text that is written.
        write_s: after it a text is cut where it is.
        linger_s: at the end, how long open connections may still bring a request.
        grace_s: at the end, how long work that was accepted may take.
    """

    body_bytes: int = 2_000_000
    head_bytes: int = 32_768
    rows: int = 256
    characters: int = 50_000
    waiting_rows: int = 2_048
    connections: int = 512
    head_s: float = 10.0
    body_s: float = 15.0
    answer_s: float = 10.0
    idle_s: float = 15.0
    read_s: float = 15.0
    remembered_rows: int = 20_000
    remembered_bytes: int = 50_000_000
    remembered_s: float = 3_600.0
    comment_characters: int = 2_000
    batch_tokens: int = 256
    texts: int = 8
    waiting_texts: int = 64
    prompts: int = 32
    new_tokens: int = 4_096
    write_s: float = 120.0
    linger_s: float = 1.0
    grace_s: float = 30.0
