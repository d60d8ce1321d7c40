"""How fast raw text becomes token ids on the disk, in how much memory, and if a killed run ends with the same bytes.

The text is made: words by Zipf's law, sentences, documents of a few hundred words, some of them twice. The clock runs
in a process of its own, which reads, drops duplicates, splits, tokenizes and writes, with a tokenizer trained before.

Run: python -m benchmarks.corpus_speed --megabytes 100
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.common import HelpFormat, print_table, usable_cores, write_result
from tunesmith.corpora.corpus import open_corpus
from tunesmith.corpora.shards import ShardOptions, build_shards
from tunesmith.corpora.tokenizer_facts import special_ids
from tunesmith.corpora.tokenizer_training import KINDS, save_tokenizer, train_tokenizer

WORDS, SAMPLE_DOCUMENTS = 50_000, 3_000
DOUBLED = 0.02


def make_words(chosen: random.Random) -> list[str]:
    """Words of 1 to 5 syllables, the commonest ones short."""
    syllables = [
        head + vowel + tail for head in "bcdfghklmnprstvw" for vowel in "aeiou" for tail in ("", "n", "s", "r")
    ]
    words: dict[str, None] = {}
    while len(words) < WORDS:
        length = 1 + min(4, int(len(words) / WORDS * 3 + chosen.random() * 2))
        words["".join(chosen.choices(syllables, k=length))] = None
    return list(words)


def make_documents(seed: int) -> Iterator[str]:
    """Documents without end, the same for a seed."""
    chosen = random.Random(seed)
    words = make_words(chosen)
    total, bounds = 0.0, []
    for rank in range(1, WORDS + 1):
        total += 1 / (rank + 2.7)  # Zipf's law as Mandelbrot corrected it
        bounds.append(total)
    earlier: list[str] = []
    while True:
        if earlier and chosen.random() < DOUBLED:
            yield chosen.choice(earlier)
            continue
        drawn = chosen.choices(words, cum_weights=bounds, k=int(chosen.lognormvariate(5.3, 0.8)) + 5)
        sentences, start = [], 0
        while start < len(drawn):
            count = chosen.randint(6, 24)
            sentences.append(" ".join(drawn[start : start + count]).capitalize() + ".")
            start += count
        document = " ".join(sentences)
        if len(earlier) < 1000:
            earlier.append(document)
        yield document


def write_corpus(path: Path, megabytes: int, seed: int) -> None:
    """Write JSON lines with about so many megabytes of text."""
    size = 0
    with path.open("w", encoding="utf-8") as file:
        for document in make_documents(seed):
            file.write(json.dumps({"text": document}) + "\n")
            size += len(document)
            if size >= megabytes * 1_000_000:
                return


def options_of(tokenizer: Any, duplicates: Any) -> ShardOptions:
    """The options of all runs."""
    prefix, suffix = special_ids(tokenizer)
    return ShardOptions(prefix_ids=prefix, suffix_ids=suffix, duplicates=duplicates, validation="documents")


def build(arguments: argparse.Namespace) -> None:
    """What the process that is timed does: build, then print seconds, memory and the progress as JSON."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(arguments.tokenizer / "tokenizer.json"))
    began, used = time.perf_counter(), time.process_time()
    last: Any = None
    for last in build_shards(
        arguments.folder, [str(arguments.corpus)], tokenizer, options_of(tokenizer, arguments.duplicates)
    ):
        print(f"shards {last.shards} resumed {last.resumed_shards}", flush=True)
    facts = {
        "seconds": time.perf_counter() - began,
        "processor_s": time.process_time() - used,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "resumed_shards": last.resumed_shards if last else 0,
    }
    print(json.dumps(facts), flush=True)


def run_child(arguments: argparse.Namespace, folder: Path, kill_after_shards: int = 0) -> dict[str, Any] | None:
    """Build in a fresh process; with `kill_after_shards`, kill it a moment after so many."""
    command = [sys.executable, "-m", "benchmarks.corpus_speed", "--child", "--folder", str(folder)]
    command += ["--corpus", str(arguments.corpus), "--tokenizer", str(arguments.tokenizer)]
    command += ["--duplicates", arguments.duplicates]
    environment = {**os.environ, "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("{"):
                return dict(json.loads(line))
            if kill_after_shards and int(line.split()[1]) >= kill_after_shards:
                time.sleep(1.0)
                child.send_signal(signal.SIGKILL)
                return None
    raise SystemExit("the process that builds the corpus ended without a word")


def hash_files(folder: Path) -> dict[str, str]:
    """Name → SHA-256 of all that a corpus holds."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}


def hash_file(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Build twice, once with a kill in the middle, and compare."""
    whole = run_child(arguments, folder / "whole")
    assert whole is not None
    corpus = open_corpus(folder / "whole", verify=True)
    shards = len(corpus.facts["shards"])
    assert run_child(arguments, folder / "killed", kill_after_shards=max(1, shards // 2)) is None
    resumed = run_child(arguments, folder / "killed")
    assert resumed is not None
    totals = corpus.facts["totals"]
    text_bytes = totals["train"]["text_bytes"] + totals["validation"]["text_bytes"]
    source_bytes = sum(source["bytes"] for source in corpus.facts["sources"])
    return {
        "source_megabytes": source_bytes / 1e6,
        "text_megabytes": text_bytes / 1e6,
        "shards": shards,
        "totals": totals,
        "whole": whole,
        "megabytes_per_s": source_bytes / 1e6 / whole["seconds"],
        "resumed": resumed,
        "is_identical": hash_files(folder / "whole") == hash_files(folder / "killed"),
    }


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormat, allow_abbrev=False)
    parser.add_argument("--megabytes", type=int, default=100, help="of text that is made")
    parser.add_argument("--kind", choices=KINDS, default="wordpiece", help="of the tokenizer")
    parser.add_argument("--vocabulary", type=int, default=16_000, help="entries of the tokenizer")
    parser.add_argument("--duplicates", choices=("none", "exact", "near"), default="exact")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--name", default="corpus_speed", help="of the result")
    parser.add_argument("--folder", type=Path, help="where text and corpora are written; default: a temporary one")
    for name in ("--corpus", "--tokenizer"):
        parser.add_argument(name, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Make the text and the tokenizer, measure, write the result."""
    arguments = parse_arguments()
    if arguments.child:
        build(arguments)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        arguments.corpus, arguments.tokenizer = folder / "text.jsonl", folder / "tokenizer"
        write_corpus(arguments.corpus, arguments.megabytes, arguments.seed)
        documents = make_documents(arguments.seed)
        sample = [next(documents) for _ in range(SAMPLE_DOCUMENTS)]
        began = time.perf_counter()
        tokenizer = train_tokenizer(arguments.kind, arguments.vocabulary, sample)
        training_s = time.perf_counter() - began
        save_tokenizer(tokenizer, arguments.tokenizer, model_max_length=512)
        found = measure(arguments, folder)
    settings = {key: getattr(arguments, key) for key in ("megabytes", "kind", "vocabulary", "duplicates", "seed")}
    sample_mb = sum(map(len, sample)) / 1e6
    trained = {"sample_megabytes": sample_mb, "seconds": training_s}
    write_result(arguments.name, {"settings": settings, "tokenizer_training": trained, "cores_used": 1, **found})
    rows = [
        ["MB/s on one core", f"{found['megabytes_per_s']:.2f}"],
        ["peak memory, MiB", f"{found['whole']['peak_mib']:.0f}"],
        ["documents", f"{found['totals']['train']['documents'] + found['totals']['validation']['documents']:,}"],
        ["duplicates dropped", f"{found['totals']['left_out']['duplicates']:,}"],
        ["shards before the kill", f"{found['resumed']['resumed_shards']} of {found['shards']}"],
        ["same bytes after kill and resume", str(found["is_identical"])],
    ]
    print_table(f"{found['source_megabytes']:.0f} MB of JSON lines, {usable_cores()} cores usable", ["", ""], rows)


if __name__ == "__main__":
    main()
