"""What all paths of the server share."""

from __future__ import annotations

from dataclasses import dataclass, field


from tunesmith.serving.batching import Batcher
from tunesmith.serving.hosting import Hosted
from tunesmith.serving.limits import Limits
from tunesmith.serving.security import Gate


@dataclass
class State:
    """What changes while the server runs.

    Attributes:
        draining: it is about to end: what comes is still answered, connections are closed behind it.
    """

    draining: bool = False


@dataclass(frozen=True)
class Service:
    """The models and what stands around them.

    Attributes:
        models: by name.
        batcher: computes.
        gate: who may ask.
        limits: how much.
        state: what changes.
    """

    models: dict[str, Hosted]
    batcher: Batcher
    gate: Gate = field(default_factory=Gate)
    limits: Limits = field(default_factory=Limits)
    state: State = field(default_factory=State)

