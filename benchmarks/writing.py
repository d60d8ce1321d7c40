"""Text to text from nothing on made rows: summaries, styles, programs; judged by what they are for.

- summary: an article's one important sentence, in other words; ROUGE-L beside its first sentence.
- control: the same news in the style that is asked for; a classifier of its own, trained on other messages, says which
  style was written.
- code: an expression in words becomes a program, which is run; its value must be the wanted one.

Each model is made by `tunesmith new` (bart, four layers in all, 192 wide) and trained by `tunesmith fit`.

Run: python -m benchmarks.writing [--sets summary control code]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import HelpFormat, kept_entries, print_table, write_result, write_rows
from benchmarks.writing_sets import draw_rows, make_article, make_message, make_order, run_program

RESULT = "writing"
MAKERS = {"summary": make_article, "control": make_message, "code": make_order}
WANTED = {"summary": 0.9, "control": 0.9, "code": 0.9}
MOST_LEAD = 0.5
COUNTS = {"train": 6000, "dev": 200, "test": 500}
SETTINGS: Mapping[str, Any] = {
    "train.epochs": 12,
    "train.batch_size": 64,
    "train.learning_rate": 1e-3,
    "train.beta2": 0.98,
    "task.max_new_tokens": 60,
    "evaluate.baselines": "false",
}


def measure(name: str, arguments: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Make the rows, train a model on them and judge what it writes."""
    counts = {**COUNTS, "other": 600}
    drawn = draw_rows(MAKERS[name], list(counts.values()), arguments.seed)
    files = {split: write_rows(scratch / f"{split}.jsonl", rows) for split, rows in zip(counts, drawn, strict=True)}
    base, out = scratch / "untrained", scratch / "model"
    tunesmith_cli.new(files["train"], base, {"size": "micro", "vocabulary": 400}, {})
    options = {"task": "text-to-text", "model": base, "train": files["train"], "dev": files["dev"], "out": out}
    seconds = tunesmith_cli.fit(options, {**SETTINGS, "train.seed": arguments.seed})
    judged = tunesmith_cli.evaluate(out, files["test"])
    answers = tunesmith_cli.predict(out, files["test"], scratch / "answers.jsonl")
    share = JUDGES[name](judged, drawn[2], answers, files, scratch)
    return {
        "share": share,
        "scores": judged["scores"],
        "baselines": {key: value for key, value in judged["baselines"].items() if key != "frozen"},
        "command_s": seconds,
        "passed": share >= WANTED[name]
        and (name != "summary" or judged["baselines"]["lead_1"]["rouge_l"]["value"] <= MOST_LEAD),
    }


def judge_summaries(judged: Mapping[str, Any], *_: Any) -> float:
    """ROUGE-L of the test articles."""
    return float(judged["scores"]["rouge_l"]["value"])


def judge_styles(
    _: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    answers: Sequence[str],
    files: Mapping[str, Path],
    scratch: Path,
) -> float:
    """Share of the messages that a classifier, trained on messages of other rows, takes for the style asked for."""
    others = [json.loads(line) for line in files["other"].read_text(encoding="utf-8").splitlines()]
    known = write_rows(scratch / "styles.jsonl", [{"text": r["target"], "label": r["control"]} for r in others])
    tunesmith_cli.fit(
        {"task": "text-classification", "train": known, "out": scratch / "styles"}, {"evaluate.baselines": "false"}
    )
    asked = write_rows(
        scratch / "asked.jsonl",
        [{"text": answer or "(none)", "label": row["control"]} for answer, row in zip(answers, rows, strict=True)],
    )
    return float(tunesmith_cli.evaluate(scratch / "styles", asked)["scores"]["accuracy"]["value"])


def judge_programs(_: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], answers: Sequence[str], *__: Any) -> float:
    """Share of the programs that leave the wanted value."""
    return sum(run_program(answer) == row["value"] for answer, row in zip(answers, rows, strict=True)) / len(rows)


JUDGES: Mapping[str, Any] = {"summary": judge_summaries, "control": judge_styles, "code": judge_programs}


def main() -> None:
    """Measure, write results/writing.json after each set; fails where one is not learnt."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormat, allow_abbrev=False)
    parser.add_argument("--sets", nargs="+", choices=list(MAKERS), default=list(MAKERS))
    parser.add_argument("--seed", type=int, default=13)
    arguments = parser.parse_args()
    settings = {**SETTINGS, "rows": COUNTS, "seed": arguments.seed}
    runs = kept_entries(RESULT, "runs", settings)
    for name in arguments.sets:
        if name not in runs:
            with tempfile.TemporaryDirectory() as folder:
                runs[name] = measure(name, arguments, Path(folder))
            print(write_result(RESULT, {"settings": settings, "runs": runs}))
    titles = {"summary": "ROUGE-L", "control": "style as asked", "code": "wanted value"}
    rows = [[name, titles[name], f"{run['share']:.3f}", f"{run['command_s']:.0f} s"] for name, run in runs.items()]
    print_table("made rows, from nothing", ["set", "what", "share", "fit"], rows)
    failed = [name for name, run in runs.items() if not run["passed"]]
    if failed:
        raise SystemExit(f"not learnt: {', '.join(failed)}")


if __name__ == "__main__":
    main()
