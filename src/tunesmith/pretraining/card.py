"""README.md of a pretrained model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TITLES = {
    "loss": "loss, nats a token",
    "perplexity": "perplexity of a token",
    "bits_per_byte": "bits a byte of text",
    "general_loss": "loss on the general text",
}


def render_card(facts: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """The model card as Markdown.

    Args:
        facts: what tunesmith.json says.
        metrics: what metrics.json holds.
    """
    data, base = facts["data"], facts["base"]
    begins = "All weights were new." if base is None else f"Continued from {base['name']} ({base['sha256'][:12]}…)."
    rows = [
        f"| {TITLES.get(name, name)} | {score['value']:.3f} | {score['low']:.3f} – {score['high']:.3f} |"
        for name, score in metrics["scores"].items()
    ]
    train, held_out = data["train"], data["validation"]
    return "\n".join(
        [
            "# A pretrained language model",
            "",
            f"{facts['architecture']}, {facts['parameters']:,} parameters, {facts['vocabulary']:,} entries in its "
            f"vocabulary, pretrained with Tunesmith by {facts['objective']['name']}. {begins}",
            "",
            "```bash",
            "tunesmith fit data.csv --model THIS_FOLDER",
            "```",
            "",
            "## Text",
            "",
            f"{train['documents']:,} documents, {train['bytes']:,} bytes, {train['tokens']:,} tokens; held out: "
            f"{held_out['tokens']:,} tokens. Sources: {', '.join(f'`{source}`' for source in data['sources'])}.",
            "",
            "The weights are made of these texts and can repeat parts of them. Their licence decides what may be done",
            "with the model; Tunesmith does not know it. Where the run kept its token ids (`corpus/`), these are the",
            "texts again.",
            "",
            "## Scores on held-out text",
            "",
            "| | value | 95 % interval |",
            "| --- | --- | --- |",
            *rows,
            "",
            f"After {metrics['steps']:,} steps; the weights are those of step {metrics['best_step']:,}. Seed "
            f"{facts['seed']}; `config.yaml` repeats the run.",
            "",
        ]
    )
