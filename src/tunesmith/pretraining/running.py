"""A whole pretraining as a generator of events: reading, plan, steps, looks, samples, the finished folder."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith import artifact, checkpoint, durable, engine
from tunesmith.checkpoint import CURVES
from tunesmith.contracts import StepReport
from tunesmith.corpora.corpus import Corpus
from tunesmith.corpora.files import fingerprint
from tunesmith.errors import CheckpointError, ConfigError, ModelError, TunesmithError
from tunesmith.events import Evaluated, Finished, Notice, Plan, Reading, Sample, Saved
from tunesmith.folder_lock import lock_folder
from tunesmith.pretraining import items, looking, planning, preparing, showing, speed
from tunesmith.pretraining.card import render_card
from tunesmith.pretraining.config import PretrainConfig
from tunesmith.pretraining.preparing import Setup, prepare
from tunesmith.run_identity import CHECKPOINTS, check_folder, drop_leftovers, versions
from tunesmith.same_run import Identity, differences, hash_names
from tunesmith.settings import to_yaml
from tunesmith.training import Course, Training

Event = Notice | Reading | Plan | StepReport | Evaluated | Sample | Saved | Finished
LAST_LOOK = 10
"""How many times the tokens of a look in between the last one takes."""
LOOKS = 20
"""In a run, where nobody says otherwise."""
LEAST_LOOK_TOKENS = 4096
OWN = frozenset({preparing.CORPUS, preparing.GENERAL, preparing.TOKENIZER})


def run(config: PretrainConfig, *, in_one_go: bool = False) -> Iterator[Event]:
    """Pretrain and write the finished folder; the same call again continues or finds it complete.

    Args:
        config: everything the run depends on; output.folder is needed.
        in_one_go: see `fitting.run`.

    Raises:
        TunesmithError: see `errors`; the training state saved last stays good.
        Interrupted: Ctrl-C or SIGTERM came; the state was saved.
    """
    began = time.perf_counter()
    if not config.corpus.files:
        raise ConfigError("no text was given", fix="--corpus FILES: text, JSON lines or Parquet")
    if config.output.folder is None:
        raise ConfigError("no folder was given to write the model into", fix="--out DIR")
    folder = Path(config.output.folder)
    check_folder(folder, config.model.name, OWN)
    with lock_folder(folder):
        for parent in (folder, folder / CHECKPOINTS):
            durable.clean_temporary(parent, is_locked=True)
        if artifact.is_complete(folder):
            metrics = find_finished(folder, config)
            if metrics is not None:
                yield Finished(folder, metrics, 0.0, already_complete=True)
                return
        setup = yield from prepare(config, folder)
        pretraining = _Pretraining(setup, folder)
        training = pretraining.training
        yield from (Notice(text) for text in training.notices)
        facts, command = planning.describe_plan(setup, folder, pretraining.every_steps)
        yield Plan(facts, command, setup.schedule.total_steps, training.state.step, folder)
        for event in training.steps(in_one_go=in_one_go):
            pretraining.count(event)
            yield event
            if isinstance(event, Evaluated):
                yield from (Sample(event.step, text) for text in pretraining.samples())
        try:
            metrics = pretraining.finish(began)
        except KeyboardInterrupt:
            raise training.interrupted() from None
        yield Finished(folder, metrics, time.perf_counter() - began)


class _Pretraining:
    """A prepared run: its training, and what is made of the best weights."""

    def __init__(self, setup: Setup, folder: Path) -> None:
        self.setup = setup
        self.folder = folder
        self.tokens, self.seconds = 0, 0.0
        trainable = {name: p for name, p in setup.model.named_parameters() if p.requires_grad}
        self.identity = make_identity(setup, hash_names(trainable))
        section = setup.config.evaluate
        self.every_steps = section.steps or max(1, setup.schedule.total_steps // LOOKS)
        in_between = self.every_steps * setup.config.train.batch_size * setup.config.model.context_tokens
        self.look_tokens = min(section.tokens, max(LEAST_LOOK_TOKENS, in_between // 4))
        job = engine.Job(
            model=setup.model,
            task=setup.objective,
            labels=looking.NOTHING,
            groups=items.Groups(setup.windows),
            schedule=setup.schedule,
            settings=setup.config.train,
            precision=setup.precision,
        )
        course = Course(
            job=job,
            learning_rate=setup.learning_rate.value,
            identity=self.identity,
            folder=folder / CHECKPOINTS,
            headline="loss",
            every_steps=self.every_steps,
            overwrite=setup.config.output.overwrite,
        )
        self.training = Training(course, self.look)

    def count(self, event: object) -> None:
        """Note the speed of a step."""
        if isinstance(event, StepReport):
            self.tokens += event.tokens
            self.seconds += event.seconds

    def guess(self, corpus: Corpus, most_tokens: int) -> looking.Guessed:
        """Losses of the held-out text of a corpus."""
        setup = self.setup
        seed, batch_tokens = setup.config.train.seed, setup.config.evaluate.batch_tokens
        chosen = items.held_out_items(setup.held_out(corpus), setup.objective, most_tokens, seed)
        return looking.guess(setup.model, setup.objective, chosen, batch_tokens, setup.precision)

    def look(self) -> dict[str, float]:
        """Scores of held-out text with the weights as they are."""
        most = self.look_tokens
        scores = self._scores(self.guess(self.setup.corpus, most).loss, self.setup.corpus)
        if self.setup.general is not None:
            scores["general_loss"] = self.guess(self.setup.general, most).loss
        return scores

    def _scores(self, loss: float, corpus: Corpus) -> dict[str, float]:
        part = corpus.part("validation")
        scores_words = self.setup.model.companion is None
        return looking.as_scores(loss, part.total_tokens / part.total_bytes if scores_words else None)

    def samples(self) -> Iterator[str]:
        """Texts as the model completes or fills them in."""
        setup, count = self.setup, self.setup.config.evaluate.samples
        if setup.model.companion is not None or not count:
            return
        windows = setup.held_out(setup.corpus)
        most_tokens = count * windows.context_tokens
        for item in items.held_out_items(windows, setup.objective, most_tokens, setup.config.train.seed):
            yield showing.show_sample(setup.model, item, setup.precision, family=setup.objective.family)

    def finish(self, began: float) -> Mapping[str, Any]:
        """Put the best weights back, judge them and write the finished folder."""
        setup = self.setup
        self.training.put_best_back()
        metrics = {
            **self._judge(),
            "best_step": self.training.state.best_step,
            "steps": self.training.state.step,
            "speed": self._speed(),
            "seconds": time.perf_counter() - began,
        }
        facts = make_facts(setup, self.identity)
        texts = {
            "metrics.json": json.dumps(metrics, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
            "config.yaml": to_yaml(setup.config),
            "README.md": render_card(facts, metrics),
            CURVES: self.training.curves.read_text("utf-8"),
        }
        artifact.write_pretrained(self.folder, setup.model.cpu(), facts, texts)
        with suppress(OSError):  # the next call takes them away
            checkpoint.clear(self.folder / CHECKPOINTS)
        return metrics

    def _judge(self) -> dict[str, Any]:
        """Scores with intervals, as metrics.json holds them."""
        setup, most = self.setup, LAST_LOOK * self.setup.config.evaluate.tokens
        found = self.guess(setup.corpus, most)
        point, bounds = (
            self._scores(found.loss, setup.corpus),
            [self._scores(bound, setup.corpus) for bound in found.interval()],
        )
        scores = {
            name: {"value": value, "low": bounds[0][name], "high": bounds[1][name], "n": int(sum(found.units))}
            for name, value in point.items()
        }
        if setup.general is not None:
            general = self.guess(setup.general, most)
            low, high = general.interval()
            entry = {"value": general.loss, "low": low, "high": high, "n": int(sum(general.units))}
            scores["general_loss"] = entry
        return {"headline": "loss", "scores": scores}

    def _speed(self) -> dict[str, float]:
        """Tokens a second of this process, and the operations they are, beside what the processor can do."""
        setup = self.setup
        if not self.seconds:
            return {}
        share = setup.objective.guessed_share
        per_token = speed.flops_per_token(setup.model, setup.config.model.context_tokens, share)
        rate = self.tokens / self.seconds
        possible = speed.measure_product_rate(setup.model.device, setup.precision)
        return {
            "tokens_per_s": rate,
            "flops_per_s": rate * per_token,
            "matrix_product_flops_per_s": possible,
            "share": rate * per_token / possible,
        }


def make_identity(setup: Setup, trainable_sha256: str) -> Identity:
    """What must be the same when the run is continued."""
    return Identity(
        config=preparing.as_json(setup.config),
        data_fingerprints=preparing.fingerprints(setup),
        base_model_sha256=setup.base.sha256 if setup.base is not None else "",
        versions=versions(setup.precision, setup.model.device),
        trainable_sha256=trainable_sha256,
    )


def make_facts(setup: Setup, identity: Identity) -> dict[str, Any]:
    """What tunesmith.json says about a finished pretraining."""
    base = setup.base
    parts = {name: setup.corpus.part(name) for name in ("train", "validation")}
    return {
        "objective": identity.config["objective"],
        "architecture": setup.model.hf.config.model_type,
        "parameters": sum(p.numel() for p in setup.model.hf.parameters()),
        "base": None if base is None else {"name": base.name, "revision": base.revision, "sha256": base.sha256},
        "data": {
            "fingerprints": identity.data_fingerprints,
            "sources": list(setup.config.corpus.files),
            **{
                name: {"documents": part.total_documents, "bytes": part.total_bytes, "tokens": part.total_tokens}
                for name, part in parts.items()
            },
        },
        "vocabulary": len(setup.model.tokenizer),
        "learning_rate": {"value": setup.learning_rate.value, "reason": setup.learning_rate.reason},
        "seed": setup.config.train.seed,
        "config": identity.config,
        "versions": identity.versions,
    }


def find_finished(folder: Path, config: PretrainConfig) -> Mapping[str, Any] | None:
    """What an earlier run of the same command gave; None where another one's folder is to be overwritten.

    Raises:
        ModelError: a damaged or fine-tuned model stands there.
        CheckpointError: it is another run's, and is not to be overwritten.
    """
    overwrite = config.output.overwrite
    try:
        facts = artifact.read_facts(folder)
        if facts.get("kind") != artifact.PRETRAINED:
            raise ModelError(f"{folder} holds a fine-tuned model", fix="give another --out")
    except ModelError:
        if overwrite:
            return None
        raise
    saved = Identity(facts["config"], facts["data"]["fingerprints"], "", {}, "")
    now = replace(saved, config=preparing.as_json(config), data_fingerprints=_fingerprints_now(config, saved))
    found = differences(saved, now)
    if not found:
        drop_leftovers(folder, replace(now, base_model_sha256=(facts["base"] or {"sha256": ""})["sha256"]))
        metrics: Mapping[str, Any] = json.loads((folder / "metrics.json").read_text("utf-8"))
        return metrics
    if overwrite:
        return None
    raise CheckpointError(
        f"{folder} holds a finished model of another run: {'; '.join(found)}",
        fix="give another --out, or --set output.overwrite=true to replace it",
    )


def _fingerprints_now(config: PretrainConfig, saved: Identity) -> dict[str, Any]:
    """Those of the files as they are; of files that are gone, those of then."""
    found = dict(saved.data_fingerprints)
    for name, sources in ((preparing.CORPUS, config.corpus.files), (preparing.GENERAL, config.corpus.general)):
        if sources:
            with suppress(OSError, TunesmithError):
                found[name] = preparing.hashes(fingerprint(sources))
    return found
