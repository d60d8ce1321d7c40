"""The contracts everything else is written against: Encoded, Batch, Task, Method, StepReport.

A task says what a row is, how it becomes token sequences, what the loss is and how answers are judged. A method says
which parameters of a model are trained. The engine, the checkpoints and the artefact know these protocols only, never
the name of a task or a method.
"""

from tunesmith.contracts.answers import Beliefs, Column, Comparison, Counts, Labels, Mark, Samples
from tunesmith.contracts.batches import IGNORED, Batch, Encoded, Groups, Outputs, StepReport
from tunesmith.contracts.edits import Augmentable, Editable, Place
from tunesmith.contracts.methods import BringsRows, FindsHead, Method, RatesApart, Way
from tunesmith.contracts.models import EVERY_TRUNK, Context, HeadSpec, PretrainingHead, Tags
from tunesmith.contracts.tasks import (
    Baseline,
    Converses,
    Deciding,
    Features,
    GroupedObjective,
    JudgedTogether,
    Objective,
    Penalty,
    Prepares,
    Task,
    Writes,
)

__all__ = [
    "EVERY_TRUNK",
    "IGNORED",
    "Augmentable",
    "Baseline",
    "Batch",
    "Beliefs",
    "BringsRows",
    "Column",
    "Comparison",
    "Context",
    "Converses",
    "Counts",
    "Deciding",
    "Editable",
    "Encoded",
    "Features",
    "FindsHead",
    "GroupedObjective",
    "Groups",
    "HeadSpec",
    "JudgedTogether",
    "Labels",
    "Mark",
    "Method",
    "Objective",
    "Outputs",
    "Penalty",
    "Place",
    "Prepares",
    "PretrainingHead",
    "RatesApart",
    "Samples",
    "StepReport",
    "Tags",
    "Task",
    "Way",
    "Writes",
]
