"""Everything before the first step: tokenizer, token ids, model, plan."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tunesmith import base_models, durable, engine, manifests
from tunesmith.architectures import DEFAULTS, describe_architecture, make_model
from tunesmith.base_models import BaseModelFolder
from tunesmith.corpora.corpus import Corpus, open_corpus
from tunesmith.corpora.documents import DocumentOptions
from tunesmith.corpora.files import fingerprint
from tunesmith.corpora.sampling import sample_texts
from tunesmith.corpora.shard_files import count_bytes
from tunesmith.corpora.shards import ShardOptions, build_shards
from tunesmith.corpora.tokenizer_facts import describe_tokenizer, special_ids, word_start_table
from tunesmith.corpora.tokenizer_training import Family, Kind, tokenizer_files, train_tokenizer
from tunesmith.corpora.windows import Windows
from tunesmith.errors import ConfigError, DataError
from tunesmith.events import Notice, Reading
from tunesmith.model import Model
from tunesmith.model_loading import ModelOptions, load_model, load_tokenizer
from tunesmith.objectives import OBJECTIVES, make_objective
from tunesmith.objectives.tokens import Tokens
from tunesmith.optimization import LearningRate, choose_pretraining_rate
from tunesmith.packing import Schedule, Sizes, schedule_run
from tunesmith.pretraining.config import PretrainConfig
from tunesmith.settings import build_named

CORPUS, GENERAL, TOKENIZER = "corpus", "general", "tokenizer"
"""Folders inside a run's folder."""
RECIPE, REPORT = "made_from.json", "report"
"""Beside a new tokenizer: what it was trained on and how, and how it cuts texts."""
REPORTED_BYTES, REPORTED_ENTRIES = 1_000_000, 5
LEAST_POSITIONS = 512
KINDS: Mapping[Family, Kind] = {"encoder": "wordpiece", "decoder": "byte-bpe", "encoder-decoder": "bpe"}


@dataclass(frozen=True)
class Setup:
    """A pretraining, ready to start.

    Attributes:
        config: the resolved configuration.
        objective: what is learnt.
        base: the model that is continued; None where all weights are new.
        corpus: token ids and facts of the text.
        general: those of the general text; None where none was given.
        model: with its companion, on its device.
        windows: what is trained on.
        schedule: all steps.
        learning_rate: the highest one and why.
        precision: of the arithmetic.
    """

    config: PretrainConfig
    objective: Any
    base: BaseModelFolder | None
    corpus: Corpus
    general: Corpus | None
    model: Model
    windows: Windows
    schedule: Schedule
    learning_rate: LearningRate
    precision: torch.dtype

    def held_out(self, corpus: Corpus) -> Windows:
        """The text of a corpus that is looked at."""
        return Windows(corpus.part("validation"), self.config.model.context_tokens, shift=self.objective.shifted)


def prepare(config: PretrainConfig, folder: Path) -> Generator[Notice | Reading, None, Setup]:
    """Train or load the tokenizer, turn the text into token ids, build the model and plan the steps.

    Raises:
        TunesmithError: text, tokenizer, model and objective do not fit together.
    """
    kind = build_named("objective", OBJECTIVES, config.objective.name, config.objective.options)
    base = None if config.model.name is None else base_models.resolve(config.model.name, revision=config.model.revision)
    tokenizer = yield from _find_tokenizer(config, folder, base, kind.family)
    corpus = yield from _read(config, folder, tokenizer, CORPUS)
    general = (yield from _read(config, folder, tokenizer, GENERAL)) if config.corpus.general else None
    objective = make_objective(config.objective.name, config.objective.options, _facts(tokenizer))
    model = _build(config, objective, base, tokenizer)
    windows = Windows(corpus.part("train"), config.model.context_tokens, shift=objective.shifted)
    section = config.train
    sizes = Sizes(section.batch_size, section.batch_tokens)
    schedule = schedule_run(windows.lengths_tokens, sizes, section.seed, section.epochs, section.max_steps)
    device = engine.choose_device(section.device)
    model.to(device)
    return Setup(
        config=config,
        objective=objective,
        base=base,
        corpus=corpus,
        general=general,
        model=model,
        windows=windows,
        schedule=schedule,
        learning_rate=choose_pretraining_rate(section.learning_rate, model, continued=base is not None),
        precision=engine.choose_precision(section.precision, device),
    )


def _find_tokenizer(
    config: PretrainConfig, folder: Path, base: BaseModelFolder | None, family: Family
) -> Generator[Notice | Reading, None, Any]:
    """The tokenizer of the base model, of a folder, or a new one in the run's folder."""
    if base is not None:
        return load_tokenizer(base.folder)
    if config.tokenizer.folder is not None:
        return load_tokenizer(Path(config.tokenizer.folder))
    target, section = folder / TOKENIZER, config.tokenizer
    kind = KINDS[family] if section.kind == "auto" else section.kind
    recipe = _recipe(config, kind, family)
    if not _is_made_from(target, recipe):
        yield Notice(f"training a {kind} tokenizer of up to {section.vocabulary:,} entries")
        _make_tokenizer(config, target, recipe)
    yield Notice(_say_report(manifests.verify_folder(target, RECIPE)[REPORT]))
    return load_tokenizer(target)


def _make_tokenizer(config: PretrainConfig, target: Path, recipe: Mapping[str, Any]) -> None:
    """Train a tokenizer and write its folder, recipe and report with it, in the place of another one."""
    section = config.tokenizer
    texts = list(sample_texts(config.corpus.files, _document_options(config), most_bytes=section.sample_bytes))
    found = train_tokenizer(
        recipe["tokenizer"]["kind"],
        section.vocabulary,
        texts,
        lowercase=section.lowercase,
        family=recipe["tokenizer"]["family"],
        more_characters=section.more_characters,
    )
    some = texts[:: max(1, sum(map(count_bytes, texts)) // REPORTED_BYTES)]
    report = asdict(describe_tokenizer(found, some, wished_vocabulary=section.vocabulary))
    with durable.disk_errors(target):
        if target.exists():
            durable.discard(target)
    files = tokenizer_files(found, _positions(config))
    durable.write_folder(target, files, manifest_name=RECIPE, manifest={**recipe, REPORT: report})


def _say_report(report: Mapping[str, Any]) -> str:
    longest = ", ".join(list(dict.fromkeys(word.strip() for word in report["longest"]))[:REPORTED_ENTRIES])
    return (
        f"tokenizer of {report['vocabulary']:,} entries: {report['bytes_per_token']:.2f} bytes, "
        f"{report['characters_per_token']:.2f} characters a token, {report['unknown_rate']:.2%} unknown; "
        f"longest: {longest}"
    )


def _recipe(config: PretrainConfig, kind: Kind, family: Family) -> dict[str, Any]:
    """All that a new tokenizer depends on: where any of it has changed, an old one is of no use."""
    return {
        "tokenizer": {**config.tokenizer.model_dump(mode="json"), "kind": kind, "family": family},
        "positions": _positions(config),
        "documents": asdict(_document_options(config)),
        "texts": hashes(fingerprint(config.corpus.files)),
    }


def _is_made_from(folder: Path, recipe: Mapping[str, Any]) -> bool:
    try:
        written = manifests.verify_folder(folder, RECIPE)
    except manifests.DamagedFolder:
        return False
    return all(written.get(name) == value for name, value in recipe.items())


def _positions(config: PretrainConfig) -> int:
    """Longest text that a new model takes, in tokens."""
    return max(config.model.max_tokens or LEAST_POSITIONS, config.model.context_tokens)


def _document_options(config: PretrainConfig) -> DocumentOptions:
    section = config.corpus
    return DocumentOptions(section.text_field, section.unit, section.segmented, section.skip_bad)


def _read(config: PretrainConfig, folder: Path, tokenizer: Any, what: str) -> Generator[Reading, None, Corpus]:
    section = config.corpus
    shared = section.folder if what == CORPUS else None
    target = folder / what if shared is None else Path(shared)
    prefix, suffix = special_ids(tokenizer)
    options = ShardOptions(
        documents=_document_options(config),
        prefix_ids=prefix,
        suffix_ids=suffix,
        duplicates=section.duplicates,
        validation=section.validation,
        validation_fraction=section.validation_fraction,
    )
    sources = section.files if what == CORPUS else section.general
    overwrite = config.output.overwrite and shared is None  # what other runs use is not this run's to replace
    for progress in build_shards(target, sources, tokenizer, options, overwrite=overwrite):
        yield Reading(progress.text_bytes, progress.source_bytes, progress.documents)
    corpus = open_corpus(target)
    if not corpus.part("validation").total_tokens:
        documents = corpus.part("train").total_documents
        raise DataError(
            f"of {documents:,} {'document' if documents == 1 else 'different documents'} none was held out to look at",
            fix="--set corpus.validation=tail holds out the end of each; or give a larger corpus.validation_fraction",
        )
    return corpus


def _facts(tokenizer: Any) -> Tokens:
    begins = word_start_table(tokenizer)
    special = torch.zeros(len(begins), dtype=torch.bool).numpy()
    special[[token for token in tokenizer.all_special_ids if token < len(begins)]] = True
    return Tokens(len(begins), tokenizer.mask_token_id, special, begins)


def _build(config: PretrainConfig, objective: Any, base: BaseModelFolder | None, tokenizer: Any) -> Model:
    section = config.model
    share = getattr(objective.config, "generator_size", None)
    if base is None:
        architecture = section.architecture or DEFAULTS[config.objective.name]
        described = describe_architecture(architecture, section.size, tokenizer, _positions(config), section.options)
        options = ModelOptions(config.train.seed, None, section.dropout)
        return make_model(described, tokenizer, objective.head(), options, share)
    if share is not None:
        raise ConfigError(
            "replaced-token detection needs a generator, which a finished model does not bring",
            fix="leave --model out, or choose --objective mlm",
        )
    options = ModelOptions(config.train.seed, None, section.dropout)
    model = load_model(base, objective.head(), options)
    if section.context_tokens > model.max_tokens:
        raise ConfigError(
            f"model.context_tokens is {section.context_tokens}, but {base.name} takes at most {model.max_tokens}",
            fix=f"--set model.context_tokens={model.max_tokens}",
        )
    return model


def fingerprints(setup: Setup) -> dict[str, Any]:
    """What stands for the text in the run's identity."""
    parts = {CORPUS: setup.corpus, GENERAL: setup.general}
    found: dict[str, Any] = {
        name: hashes(corpus.facts["sources"]) for name, corpus in parts.items() if corpus is not None
    }
    return {**found, TOKENIZER: setup.corpus.facts["tokenizer_sha256"]}


def hashes(sources: Sequence[Mapping[str, Any]]) -> list[str]:
    """SHA-256 of each file of a corpus, in order."""
    return [str(source["sha256"]) for source in sources]


def as_json(config: PretrainConfig) -> dict[str, Any]:
    """The configuration as plain values."""
    values: dict[str, Any] = json.loads(config.model_dump_json())
    return values
