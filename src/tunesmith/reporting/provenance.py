"""Where the model comes from and what it cost: data, what was cut, time, sizes, and how to make it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tunesmith.metrics import ratio
from tunesmith.pages.charts import Caption, bar_track, bars
from tunesmith.reporting.figures import Figure
from tunesmith.reporting.language import Words
from tunesmith.reporting.material import Material, bare_name

MOST_LABELS = 15
MOST_BINS = 24
AGAIN = "again"
"""Folder of the repeated run in the command that is shown."""
_PATHS = (("model", "name"), ("data", "train"), ("data", "dev"), ("output", "folder"))


def describe_data(material: Material, words: Words) -> dict[str, Any]:
    """Rows, files, fingerprints, columns, labels and lengths."""
    data, labels = material.facts["data"], material.labels
    splits = [
        {
            "title": words.name("split", name),
            "file": bare_name(str(data["sources"].get(name, data["sources"]["train"]))),
            "rows": data[f"{name}_rows"],
            "fingerprint": data["fingerprints"].get(name),
        }
        for name in ("train", "dev")
    ]
    if "fingerprint" in material.metrics:
        file = bare_name(str(material.metrics["split"]))
        rows = material.metrics["scores"][material.metrics["headline"]]["n"]
        fingerprint = material.metrics["fingerprint"]
        splits.append({"title": words("split.shown"), "file": file, "rows": rows, "fingerprint": fingerprint})
    counted = sorted(zip(labels.names, labels.counts, strict=False), key=lambda pair: (-pair[1], pair[0]))
    most = max((count for _, count in counted), default=0)
    return {
        "splits": splits,
        "columns": data.get("columns", {}),
        "labels": [(name, count, bar_track(ratio(count, most))) for name, count in counted[:MOST_LABELS]],
        "other_labels": len(counted) - MOST_LABELS,
        "other_count": sum(count for _, count in counted[MOST_LABELS:]),
        "lengths": _lengths(material, words),
    }


def _lengths(material: Material, words: Words) -> Figure | None:
    if material.judged is None:
        return None
    key = "train" if material.judged.train_lengths_tokens else "judged"
    found = material.judged.train_lengths_tokens or material.judged.lengths_tokens
    edges, counts = bin_lengths(found)
    ordered = sorted(found)
    facts = {"low": ordered[0], "high": ordered[-1], "middle": ordered[len(ordered) // 2], "n": f"{len(ordered):,}"}
    title = words(f"lengths.{key}")
    caption = Caption(words.anchor("lengths"), title, words("lengths.text", **facts), words("lengths.x"), title)
    return Figure(title, bars(caption, edges, counts), (), words("lengths.text", **facts))


def bin_lengths(lengths: Sequence[int], most: int = MOST_BINS) -> tuple[list[float], list[int]]:
    """Equally wide bins of whole numbers.

    Example:
        >>> bin_lengths([1, 2, 2, 4], most=2)
        ([1, 3, 5], [3, 1])
    """
    low, high = min(lengths), max(lengths)
    width = -(-(high - low + 1) // most)
    count = (high - low) // width + 1
    counts = [0] * count
    for length in lengths:
        counts[(length - low) // width] += 1
    return [low + place * width for place in range(count + 1)], counts


def describe_ledger(material: Material, words: Words, *, with_texts: bool) -> list[dict[str, Any]]:
    """What of texts and answers never reached the model, by split; examples of lost answers only with texts."""
    found = material.trained.get("ledger", {})
    hidden: dict[str, Any] = {} if with_texts else {"lost_examples": []}
    return [{"title": words.name("split", name), **entry, **hidden} for name, entry in found.items()]


def describe_cost(material: Material) -> dict[str, Any]:
    """Seconds, steps, speed, sizes."""
    steps = [entry for entry in material.curves if "tokens" in entry and "seconds" in entry]
    tokens, seconds = sum(entry["tokens"] for entry in steps), sum(entry["seconds"] for entry in steps)
    trained = material.trained
    return {
        "duration": format_duration(trained["seconds"]),
        "steps": trained.get("steps"),
        "best_step": trained.get("best_step"),
        "tokens": tokens,
        "tokens_per_second": ratio(tokens, seconds),
        "parameters": material.facts["trainable_parameters"],
        "megabytes": f"{material.bytes / 1e6:,.1f}",
        "rate": f"{material.facts['learning_rate']['value']:g}",
    }


def format_duration(seconds: float) -> str:
    """A duration with units.

    Example:
        >>> format_duration(7.4), format_duration(83), format_duration(7322)
        ('7 s', '1 min 23 s', '2 h 2 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def describe_making(material: Material) -> dict[str, Any]:
    """Command, configuration, versions, seed, checksums; files without their folders."""
    facts = material.facts
    return {
        "command": shlex.join(["tunesmith", "fit", "--config", f"{material.name}/config.yaml", "--out", AGAIN]),
        "has_file": facts["config"]["data"]["train"] not in (None, "-"),
        "config": yaml.safe_dump(_bare(facts["config"]), sort_keys=False, allow_unicode=True),
        "seed": facts["seed"],
        "versions": facts["versions"],
        "base": bare_name(str(facts["base"]["name"])) if _is_path(facts["base"]["name"]) else facts["base"]["name"],
        "base_sha256": facts["base"]["sha256"],
        "files": [(name, entry["bytes"], entry["sha256"]) for name, entry in sorted(facts["files"].items())],
    }


def _bare(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with file names in place of paths of this machine."""
    shown: dict[str, Any] = {name: dict(section) for name, section in config.items()}
    for section, key in _PATHS:
        value = shown.get(section, {}).get(key)
        if isinstance(value, str) and (section != "model" or _is_path(value)):
            shown[section][key] = bare_name(value)
    return shown


def _is_path(name: str) -> bool:
    """Whether a base model is named by a folder and not by its hub id."""
    return name.startswith((".", "~", "/")) or "\\" in name or name.count("/") > 1
