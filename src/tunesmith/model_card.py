"""The model card: README.md of a finished folder, rendered from tunesmith.json and metrics.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import yaml

from tunesmith.card_use import describe_use, loads_elsewhere, name_pipeline
from tunesmith.contracts import Labels
from tunesmith.metrics import format_p

SHOWN_TEXTS = 20
"""Most texts that report.html shows."""


def render_card(facts: Mapping[str, Any], metrics: Mapping[str, Any], labels: Labels) -> str:
    """Write the card.

    Args:
        facts: what tunesmith.json says (task, method, base, data, versions, stores, head …).
        metrics: what metrics.json holds.
        labels: the answers.

    Returns:
        Markdown with a YAML header as the Hugging Face hub reads it.
    """
    header = {
        "base_model": _base_name(facts),
        "library_name": {"whole": "transformers", "adapter": "peft"}.get(facts["stores"], "tunesmith"),
        "pipeline_tag": name_pipeline(facts),
        "tags": ["tunesmith"],
    }
    parts = [
        "---\n" + yaml.safe_dump(header, sort_keys=False, allow_unicode=True) + "---",
        f"# {facts['task']['name']} model, tuned from {_code(_base_name(facts))}",
        _scores(metrics),
        describe_use(facts),
        _data(facts, labels, metrics),
        _training(facts, metrics),
        _probabilities(facts, metrics),
        _limits(),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _base_name(facts: Mapping[str, Any]) -> str:
    """The hub id; of a path its last part alone: cards are published, paths of this machine are not."""
    name = str(facts["base"]["name"])
    is_path = name.startswith((".", "~")) or PurePath(name).is_absolute()
    return PurePath(name).name or name if is_path else name


def _scores(metrics: Mapping[str, Any]) -> str:
    headline = metrics["headline"]
    lines = ["## Scores", "", _where(metrics["split"]), "", f"| system | {headline} |", "| --- | --- |"]
    for name, scores in metrics["baselines"].items():
        lines.append(f"| {name} | {_interval(scores[headline])} |")
    lines.append(f"| **this model** | **{_interval(metrics['scores'][headline])}** |")
    if "gain" in metrics:
        lines += [
            "",
            f"Gain over the model before fine-tuning: {_interval(metrics['gain'], signed=True)}{_p(metrics)}.",
        ]
    return "\n".join(lines)


def _where(split: str) -> str:
    if split == "training":
        return (
            "On the training rows themselves, since none were held out: this says little of other rows. "
            "`tunesmith evaluate` on labelled rows that were not trained on does."
        )
    if split != "dev":
        return f"On {split}, with 95 % intervals."
    return (
        "On the development rows, with 95 % intervals. The best of several weights was chosen on these rows too, so "
        "the score is a little flattering; `tunesmith evaluate` on other rows is not."
    )


def _interval(score: Mapping[str, float], signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{score['value']:{sign}.3f} [{score['low']:{sign}.3f}, {score['high']:{sign}.3f}]"


def _p(metrics: Mapping[str, Any]) -> str:
    """The gain's p-value; early versions had none."""
    p = metrics["gain"].get("p")
    return "" if p is None else f", {format_p(p)}"


def _data(facts: Mapping[str, Any], labels: Labels, metrics: Mapping[str, Any]) -> str:
    data = facts["data"]
    lines = ["## Data", ""]
    lines += [
        f"- {name} rows: {data[key]:,}" for name, key in (("training", "train_rows"), ("development", "dev_rows"))
    ]
    lines += [f"- SHA-256 of {name}: `{value}`" for name, value in data["fingerprints"].items()]
    if labels.names:
        shown = zip(labels.names[:30], labels.counts, strict=False)
        lines.append("- labels: " + ", ".join(f"{_code(name)} ({count:,})" for name, count in shown))
        lines += [f"- … and {len(labels.names) - 30} more"] if len(labels.names) > 30 else []
    lines.append("- licence of the data: not stated; add it before you publish this model")
    samples = f"; {len(metrics['samples'])} conversations in `metrics.json`" if metrics.get("samples") else ""
    lines.append(f"- texts of the data: none are stored in this folder, except {_stored_texts(facts)}{samples}")
    return "\n".join(lines)


def _training(facts: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return "\n".join(
        [
            "## Training",
            "",
            f"- method: {facts['method']['name']}, {facts['trainable_parameters']:,} parameters trained",
            *_merged(facts),
            f"- base: {_code(_base_name(facts))}, SHA-256 `{facts['base']['sha256']}`; "
            f"its licence applies{_licence(facts)}",
            f"- steps: {metrics['steps']:,}, best at {metrics['best_step']:,}; seed {facts['seed']}; "
            f"{metrics['seconds']:.0f} s",
            f"- versions: {versions}",
            "- `tunesmith fit --config config.yaml` repeats the run",
        ]
    )


def _merged(facts: Mapping[str, Any]) -> list[str]:
    """What was done to a model that was exported after its training."""
    exported = facts.get("exported")
    if exported is None:
        return []
    return [
        f"- exported by `tunesmith export`: on {exported['rows']:,} rows no output is more than "
        f"{exported['tolerance']:g} away from that of the model before"
    ]


def _licence(facts: Mapping[str, Any]) -> str:
    """What the base model's own card says, where it was looked up."""
    named = facts["base"].get("licence")
    return "" if named is None else f" ({_code(named)}, says its card)"


def _probabilities(facts: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """How far they can be trusted, and that other libraries give them without calibration."""
    found = metrics.get("calibration")
    if not found:
        return ""
    method, after = found["method"], found["after"]
    if method == "none":
        lines = ["Probabilities are those of the model: no calibration made them better on development rows."]
    else:
        lines = [f"Probabilities are calibrated on the development rows: {method} scaling, in `calibration.json`."]
    if after:
        error = _interval({**found["intervals"]["ece"], "value": after["ece"]})
        before = f"; {found['before']['ece']:.3f} without" if method != "none" else ""
        lines.append(f"On {found['answers']:,} answers they are off by {error} on average (calibration error{before}).")
    if method != "none" and loads_elsewhere(facts):
        lines.append("Hugging Face's `pipeline` and `from_pretrained` do not read that file: they answer uncalibrated.")
    return "\n".join(["## Probabilities", "", *lines])


def _limits() -> str:
    return (
        "## Limits\n\nThe scores hold for texts like those it was judged on. "
        "Biases of the base model and of the labels are carried over."
    )


def _stored_texts(facts: Mapping[str, Any]) -> str:
    """Where texts of users lie: who publishes the folder has to know."""
    rejected = "rejected rows in `rejected.jsonl`"
    if facts.get("config", {}).get("output", {}).get("report", "none") != "full":
        return rejected
    return f"{rejected} and up to {SHOWN_TEXTS} wrongly answered ones in `report.html`"


def _code(text: str) -> str:
    return "`" + text.replace("`", "'").replace("\n", " ") + "`"
