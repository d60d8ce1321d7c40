"""Write the measured figures into the pages that quote them.

A figure stands behind an invisible marker, `<!--=bench_train textbook-->`, up to the end of its table cell. What is not
measured yet is said to be so.

Run: python -m benchmarks.fill_results
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.common import read_result
from benchmarks.few_shot_summary import summarize

ROOT = Path(__file__).parent.parent
PAGES = {
    "README.md": "not measured yet",
    "README.zh.md": "尚未测量",
    "docs/results.md": "not measured yet",
    "docs/zh/results.md": "尚未测量",
    "docs/methods.md": "not measured yet",
    "docs/zh/methods.md": "尚未测量",
    "docs/calibration.md": "not measured yet",
    "docs/zh/calibration.md": "尚未测量",
}
MARKER = re.compile(r"(<!--=([^>]+)-->)[^|\n]*")


def interval(score: Mapping[str, float], sign: str = "", digits: int = 3) -> str:
    """`0.931 [0.922, 0.940]`."""
    value, low, high = (f"{score[key]:{sign}.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def training_speed() -> dict[str, str]:
    """Sentences a second of each way, and how many times faster ours is, from bench_train.json."""
    found = read_result("bench_train")
    figures: dict[str, str] = {}
    for way, entry in (found["summary"]["conll2003"] if found else {}).items():
        speed, ratio = entry["sentences_per_s"], entry["tunesmith_over_this"]
        figures[f"bench_train {way}"] = f"{speed['median']:.0f} ({speed['low']:.0f}–{speed['high']:.0f})"
        figures[f"bench_train {way} ratio"] = f"{ratio['median']:.2f}× ({ratio['low']:.2f}–{ratio['high']:.2f})"
    return figures


def sst2() -> dict[str, str]:
    """Mean accuracy over seeds, from sst2_peer_cpu.json and sst2_tunesmith_cpu.json."""
    figures: dict[str, str] = {}
    for way in ("peer", "tunesmith"):
        found = read_result(f"sst2_{way}_cpu")
        if found:
            values = [seed["accuracy"] for seed in found["seeds"].values()]
            figures[f"sst2_{way} mean"] = f"{statistics.fmean(values):.4f}"
            figures[f"sst2_{way} seeds"] = ", ".join(f"{value:.4f}" for value in values)
    return figures


def pretraining() -> dict[str, str]:
    """Losses and seconds of the character models, from pretrain-shakespeare.json."""
    found = read_result("pretrain-shakespeare")
    figures: dict[str, str] = {}
    for name, run in (found["runs"] if found else {}).items():
        loss = {"value": run["validation_loss"], "low": run["low"], "high": run["high"]}
        figures[f"pretrain {name} loss"] = interval(loss)
        figures[f"pretrain {name} bits"] = f"{run['bits_per_byte']:.3f}"
        figures[f"pretrain {name} steps"] = f"{run['steps']:,}"
        figures[f"pretrain {name} seconds"] = f"{run['seconds']:.0f}"
    return figures


def domain() -> dict[str, str]:
    """What pretraining on headlines did to losses and to the fine-tuned score, from domain.json."""
    found = read_result("domain")
    if not found:
        return {}
    first, scores, compared = found["looks"][0], found["pretraining"]["scores"], found["compare"]
    gain = compared["scores"][compared["headline"]]
    return {
        "domain loss": f"{first['loss']:.2f} → {scores['loss']['value']:.2f}",
        "domain general loss": f"{first['general_loss']:.2f} → {scores['general_loss']['value']:.2f}",
        "domain minilm": f"{gain['a']:.3f}",
        "domain continued": f"{gain['b']:.3f}",
        "domain gain": interval(gain, "+"),
    }


def understanding() -> dict[str, str]:
    """Relations, questions, vectors, choices, and the Chinese tasks, each from its own result."""
    figures: dict[str, str] = {}
    for seed, run in (read_result("semeval") or {"runs": {}})["runs"].items():
        figures[f"semeval {seed}"] = interval(run["scores"]["relation_f1"])
        figures |= {f"semeval {seed} {name}": f"{score:.3f}" for name, score in run["baselines"].items()}
    for way, run in (read_result("squad_answers") or {"runs": {}})["runs"].items():
        for name in ("exact_match", "f1"):
            figures[f"squad {way} {name}"] = interval(run["scores"][name])
        figures[f"squad {way} seconds"] = f"{run['command_s']:,.0f}"
    for name, run in (read_result("embedding") or {"runs": {}})["runs"].items():
        for key in ("tfidf", "before", "after"):
            figures[f"embedding {name} {key}"] = f"{run[key]['value']:.3f}"
        figures[f"embedding {name} gain"] = interval(run["gain"], "+")
    for language in ("en", "zh"):
        found = read_result(f"choices-{language}")
        if found:
            figures[f"choices {language}"] = interval(found["accuracy"])
            figures |= {f"choices {language} {name}": f"{one['value']:.3f}" for name, one in found["baselines"].items()}
    for model in ("chinese_tasks", "chinese_tasks_120"):
        for name, run in (read_result(model) or {"runs": {}})["runs"].items():
            for score in ("relation_f1", "accuracy", "exact_match", "f1"):
                if score in run["scores"]:
                    figures[f"{model} {name} {score}"] = interval(run["scores"][score])
            for baseline, scores in run["baselines"].items():
                figures[f"{model} {name} {baseline}"] = f"{scores[run['headline']]['value']:.3f}"
    return figures


def writing() -> dict[str, str]:
    """Translation, made rows, real summaries, the spelling reform, chat and preferences, each from its own result."""
    figures: dict[str, str] = {}
    if found := read_result("translate"):
        for score in ("bleu", "chrf"):
            figures[f"translate {score}"] = interval(found["scores"][score], digits=1)
        figures["translate minutes"] = f"{found['command_s'] / 60:.0f}"
        figures["translate tokens"] = f"{found['tokens_per_s']:,.0f}"
        figures["translate signature"] = found["signature"].partition(";")[0].replace("|", ", ")  # | ends a cell
    for name, run in (read_result("writing") or {"runs": {}})["runs"].items():
        figures[f"writing {name}"] = f"{run['share']:.3f}"
        figures[f"writing {name} seconds"] = f"{run['command_s']:.0f}"
        figures |= {f"writing {name} {key}": f"{one['rouge_l']['value']:.3f}" for key, one in run["baselines"].items()}
    for name, run in (read_result("summaries") or {"runs": {}})["runs"].items():
        figures[f"summaries {name}"] = interval(run["scores"]["rouge_l"])
        figures |= {
            f"summaries {name} {key}": f"{one['rouge_l']['value']:.3f}" for key, one in run["baselines"].items()
        }
    if found := read_result("spelling"):
        figures |= {f"spelling {name}": interval(found[name]) for name in ("before", "after")}
    if found := read_result("chat"):
        figures |= {f"chat {name}": f"{found['content_perplexity'][name]:.2f}" for name in ("before", "after")}
        figures["chat factor"] = f"{found['content_perplexity']['factor']:.1f}×"
    if found := read_result("preference"):
        figures |= {f"preference {name}": interval(found[name]["margin"], digits=1) for name in ("before", "after")}
        figures["preference gain"] = interval(found["gain"], "+", digits=1)
    return figures


def zero_shot() -> dict[str, str]:
    """Accuracy of base models that answer by themselves, and what is found of each topic, from zero_shot.json."""
    figures: dict[str, str] = {}
    for name, run in (read_result("zero_shot") or {"runs": {}})["runs"].items():
        for way, found in run.get("draws", {}).items():
            figures[f"zero_shot {name} {way}"] = f"{statistics.fmean(found):.3f} ({min(found):.3f}–{max(found):.3f})"
        if "recall" in run:
            figures[f"zero_shot {name}"] = interval(run["accuracy"])
            figures |= {f"zero_shot {name} {label}": f"{share:.3f}" for label, share in run["recall"].items()}
    return figures


def chinese() -> dict[str, str]:
    """Losses, scores and gains over random weights by minutes of pretraining, from chinese_encoder.json."""
    found = read_result("chinese_encoder") or {"pretraining": {}, "tasks": {}}
    figures: dict[str, str] = {}
    for arm, run in found["pretraining"].items():
        figures[f"chinese {arm} loss"] = f"{run['scores']['loss']['value']:.2f}"
        figures[f"chinese {arm} steps"] = f"{run['steps']:,}"
    for task, entry in found["tasks"].items():
        for arm, parts in entry["against_random_weights"].items():
            for part, compared in parts.items():
                gain = compared["scores"][compared["headline"]]
                figures[f"chinese random {task} {part}"] = f"{gain['a']:.3f}"
                figures[f"chinese {arm} {task} {part}"] = f"{gain['b']:.3f}"
                figures[f"chinese {arm} {task} {part} gain"] = interval(gain, "+")
        for part, judged in entry["evaluation_of_random_weights_with_baselines"].items():
            for baseline, scores in judged["baselines"].items():
                figures[f"chinese {baseline} {task} {part}"] = f"{scores[judged['headline']]['value']:.3f}"
    return figures


def classification() -> dict[str, str]:
    """Test scores, baselines and gains, from classification.json."""
    figures: dict[str, str] = {}
    for name, entry in (read_result("classification") or {"sets": {}})["sets"].items():
        test: dict[str, Any] = entry["test"]
        headline = test["headline"]
        figures[f"classification {name}"] = interval(test["scores"][headline])
        for baseline, scores in test["baselines"].items():
            if headline in scores:
                figures[f"classification {name} {baseline}"] = f"{scores[headline]['value']:.3f}"
        figures[f"classification {name} gain"] = interval(test["gain"], "+") if "gain" in test else "–"
    return figures


def named_entities() -> dict[str, str]:
    """Whole-command seconds and test scores, from conll_ner.json; medians where there are several rounds."""
    found = read_result("conll_ner")
    if not found:
        return {}
    rounds = found["rounds"]
    figures = {"conll_ner ratio": f"{found['summary']['times_as_fast']:.2f}×"}
    for way in ("peer", "tunesmith"):
        figures[f"conll_ner {way} seconds"] = f"{statistics.median(runs[way]['command_s'] for runs in rounds):.0f}"
        figures[f"conll_ner {way}"] = f"{rounds[-1][way]['test_entity_f1']:.4f}"
    ours = rounds[-1]["tunesmith"]
    figures["conll_ner tunesmith interval"] = interval(ours["scores"]["entity_f1"])
    for baseline, scores in ours["baselines"].items():
        figures[f"conll_ner {baseline}"] = interval(scores["entity_f1"])
    for label in ("LOC", "MISC", "ORG", "PER"):
        figures[f"conll_ner {label}"] = f"{ours['per_class'][label]['f1']:.3f}"
    return figures


def methods() -> dict[str, str]:
    """Score, seconds, trained parameters and bytes of each method, from methods.json."""
    figures: dict[str, str] = {}
    found = (read_result("methods") or {"methods": {}})["methods"]
    for key, method in found.items():
        full = found.get(f"{key.split('/')[0]}/full", method)["mean"]
        figures[f"methods {key}"] = f"{method['mean']:.3f} ± {method['standard_deviation']:.3f}"
        figures[f"methods {key} difference"] = f"{100 * (method['mean'] - full):+.1f}"
        figures[f"methods {key} rate"] = f"{method['learning_rate']:.1e}"
        figures[f"methods {key} seconds"] = f"{method['command_s']:.0f}"
        figures[f"methods {key} parameters"] = f"{method['trainable_parameters']:,}"
        figures[f"methods {key} bytes"] = _format_bytes(method["weights_bytes"])
    return figures


def methods_gap() -> dict[str, str]:
    """Test score of each method, as it is and with one thing changed, from methods_gap.json."""
    found = (read_result("methods_gap") or {"runs": {}})["runs"]
    return {f"methods_gap {key}": interval(one) for key, one in found.items()}


def _format_bytes(count: int) -> str:
    """Bytes in the unit that shows their size."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def check() -> dict[str, str]:
    """Seconds and memory of `tunesmith check` on a million rows, from bench_check.json."""
    found = read_result("bench_check")
    if not found:
        return {}
    return {"check seconds": f"{found['check_s']:.0f}", "check memory": f"{found['peak_bytes'] / 1e9:.2f} GB"}


def calibration() -> dict[str, str]:
    """Calibration error and the like of test rows, and what detects texts of no class, from calibration.json."""
    figures: dict[str, str] = {}
    for name, entry in (read_result("calibration") or {"sets": {}})["sets"].items():
        test = entry["test"]
        for key in ("ece", "brier", "nll"):
            figures[f"calibration {name} {key}"] = f"{test['before'][key]:.3f} → {test['after'][key]:.3f}"
        figures[f"calibration {name} temperature"] = f"{test['temperature']:.2f}"
        figures[f"calibration {name}"] = interval(test["accuracy"])
        for wish, part in entry["abstention"].items():
            figures[f"calibration {name} {wish}"] = interval(part["accuracy"])
            figures[f"calibration {name} {wish} coverage"] = interval(part["coverage"])
        scope = entry.get("out_of_scope", {"scores": {}})
        for score, found in scope["scores"].items():
            figures[f"calibration {score}"] = interval({**found, "value": found["auroc"]})
            figures[f"calibration {score} fpr"] = f"{found['fpr_at_95_tpr']:.3f}"
        for kind, share in scope.get("withheld_at_coverage=0.9", {}).items():
            figures[f"calibration withheld {kind}"] = f"{share:.3f}"
    return figures


def few_shot() -> dict[str, str]:
    """Accuracy from few rows by way, the paired difference to SetFit, and seconds of one core, from few_shot.json."""
    figures: dict[str, str] = {}
    for place, arms in summarize((read_result("few_shot") or {"cells": {}})["cells"]).items():
        for arm, found in arms.pop("differences", {}).items():
            few = f"{found['value']:+.3f} ({found['draws']} of the draws)"  # too few for an interval over draws
            figures[f"few_shot {place} {arm} gain"] = interval(found, "+") if found["draws"] > 2 else few
        for arm, found in arms.items():
            spread = f" ± {found['deviation']:.3f}" if found["draws"] > 1 else ""
            figures[f"few_shot {place} {arm}"] = f"{found['mean']:.3f}{spread}"
        seconds = [arms[arm].get("cpu_s") if arm in arms else None for arm in ("setfit", "contrastive")]
        figures[f"few_shot {place} seconds"] = ", ".join("–" if one is None else f"{one:.0f}" for one in seconds)
    return figures


def augmented() -> dict[str, str]:
    """Accuracy with and without new rows, and the paired difference, from augment.json."""
    figures: dict[str, str] = {}
    for shots, found in (read_result("augment") or {"summary": {}})["summary"].items():
        for arm in ("none", "words"):
            if arm in found:
                figures[f"augment {shots} {arm}"] = f"{found[arm]['mean']:.3f} ± {found[arm]['deviation']:.3f}"
        if "difference" in found:
            gain = found["difference"]
            figures[f"augment {shots} difference"] = interval(gain, "+")
            figures[f"augment {shots} better"] = f"{gain['better']} of {gain['draws']}"
    return figures


TRAINED = (training_speed, sst2, classification, named_entities, methods, methods_gap, pretraining, domain, chinese)
PARTS = (*TRAINED, understanding, writing, zero_shot, check, calibration, few_shot, augmented)


def main() -> None:
    """Fill all pages."""
    figures = {name: figure for part in PARTS for name, figure in part().items()}
    for page, missing in PAGES.items():
        path = ROOT / page
        text = path.read_text(encoding="utf-8")
        filled = MARKER.sub(lambda found, missing=missing: f"{found[1]}{figures.get(found[2], missing)} ", text)
        path.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()
