"""The table of ways to learn from few labelled rows: a new one is a file here and a line below."""

from __future__ import annotations

from typing import Any

from tunesmith.config import NO_WAY, RunConfig, resolve_config
from tunesmith.contracts import Way
from tunesmith.errors import ConfigError
from tunesmith.few_shot.contrastive import Contrastive
from tunesmith.few_shot.pet import Pet
from tunesmith.settings import build_named

WAYS: dict[str, type[Any]] = {
    "contrastive": Contrastive,
    "pet": Pet,
}


def make_way(config: RunConfig) -> Way | None:
    """The way that a configuration names, its options checked; None where it names none.

    Raises:
        ConfigError: the name or an option is unknown, or the way is none for this task.
    """
    if config.few_shot.name == NO_WAY:
        if config.few_shot.options:
            raise ConfigError(
                f"few_shot.{next(iter(config.few_shot.options))} is set, and few_shot.name is {NO_WAY}",
                fix=f"name the way: --few-shot {next(iter(WAYS))}",
            )
        return None
    way: Way = build_named("few_shot", WAYS, config.few_shot.name, config.few_shot.options)
    if config.task.name not in way.tasks:
        raise ConfigError(
            f"--few-shot {way.name} is for {', '.join(sorted(way.tasks))}, and the task is {config.task.name}",
            fix="leave --few-shot out, or name the task: --task",
        )
    return way


def with_defaults(config: RunConfig) -> RunConfig:
    """The configuration with what the way sets where the user left it open.

    Example:
        >>> config = with_defaults(RunConfig.model_validate({"few_shot": {"name": "contrastive"},
        ...     "task": {"name": "text-classification"}, "train": {"max_steps": 7}}))
        >>> config.task.options["head"], config.train.max_steps, config.data.dev_fraction
        ('unit', 7, 0.0)
    """
    way = make_way(config)
    return config if way is None else resolve_config(way.defaults, config.model_dump(exclude_unset=True))
