"""`tunesmith demo`: the whole way on texts that ship with the package, in a few minutes on a CPU."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from tunesmith import api
from tunesmith.artifact import read_artifact
from tunesmith.config import RunConfig, resolve_config
from tunesmith.console import Reporter, show_next, show_predictions, show_scores
from tunesmith.errors import ConfigError, nearest
from tunesmith.events import Finished
from tunesmith.predictor import Predictor

SETTINGS: Mapping[str, Any] = {
    "data": {"columns": {"label": "sentiment"}, "dev_fraction": 0.3},
}
"""Everything as it is by default, but more is held out: 394 rows, so that the intervals are narrow."""

MODELS: Mapping[str, str] = {"en": "minilm", "zh": "zh-classics"}
"""What reads each language and ships with the package."""

SENTENCES: Mapping[str, tuple[str, ...]] = {
    "en": (
        "Quarterly profit doubled, and the board raised the dividend.",
        "The lender froze withdrawals without a word to its customers.",
        "The annual meeting takes place on 14 May in Leeds.",
        "Fees went up again, and the app still loses my statements.",
        "After two lean years the pension fund has closed its gap.",
    ),
    "zh": (
        "公司季度利润翻了一番，董事会提高了分红。",
        "这家平台突然冻结提现，没有给客户任何说明。",
        "年度股东大会将于五月十四日在杭州召开。",
        "手续费又涨了，手机银行还是老样子，动不动就闪退。",
        "熬过两年低谷之后，养老基金终于补上了缺口。",
    ),
}
"""Written for the demo; none of them stands in the sample files."""


FOLDERS = {"en": "tunesmith-demo", "zh": "tunesmith-demo-zh"}
"""One each, so that one demo may follow the other."""


def run_demo(console: Console, out: str | None = None, *, language: str = "en", model: str | None = None) -> None:
    """Fine-tune on the sample texts, show before and after, answer five sentences and say what comes next.

    Args:
        console: where to print.
        out: the model's folder, a complete one is used as it is; default: the one of the language.
        language: "en" or "zh".
        model: a base model; default: the one of the language that ships with the package.

    Raises:
        ConfigError: there are no sample texts in this language.
    """
    sample = find_sample(language)
    console.print(Text("Short texts from the world of money: good news, bad news, or neither?", "bold"))
    finished = _fit(console, make_config(sample, out or FOLDERS[language], model or MODELS[language]))
    console.print()
    show_scores(console, finished.metrics)
    console.print()
    _answer(console, finished.folder, SENTENCES[language])
    folder = shlex.quote(str(finished.folder))
    topic = f"tunesmith fit {shlex.quote(str(sample))} --set data.columns.label=topic"
    show_next(console, [f"tunesmith predict {folder} 'a sentence of yours'", topic, "tunesmith fit your.csv"])


def find_sample(language: str) -> Path:
    """The sample file of a language.

    Raises:
        ConfigError: there is none.

    Example:
        >>> find_sample("en").name
        'financial_en.csv'
    """
    if language not in SENTENCES:
        raise ConfigError(f"no sample texts in {language!r}: {nearest(language, SENTENCES)}", fix="--language en")
    return Path(str(resources.files("tunesmith") / "samples" / f"financial_{language}.csv"))


def make_config(sample: Path, out: str, model: str) -> RunConfig:
    """The run of the demo."""
    here = {"data": {"train": str(sample)}, "model": {"name": model}, "output": {"folder": out}}
    return resolve_config(SETTINGS, here)


def _fit(console: Console, config: RunConfig) -> Finished:
    with Reporter(console, hints=False) as reporter:
        for event in api.fit_events(config, in_one_go=True):
            reporter.show(event)
    if not isinstance(event, Finished):
        raise RuntimeError("a run ended without its last event")
    return event


def _answer(console: Console, folder: Path, sentences: tuple[str, ...]) -> None:
    predictor = Predictor(read_artifact(folder))
    answers = [prediction.model_dump() for prediction in predictor.predict(list(sentences))]
    console.print(Text("five sentences it has never seen:", "bold"))
    show_predictions(console, sentences, answers)
    console.print()
