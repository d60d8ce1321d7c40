"""Does multiple choice learn a rule that needs question and choice? Made exams, words of the test never trained on.

A question names a thing and asks which of four words is of its kind, or which is not; three of four are distractors.
Half of the questions ask for "not", so neither the choice alone nor its likeness to the question tells: a model must
read what is asked. Things and choices of the test rows stand in no training row.

- English: nine kinds, such as animals and tools. What is of one kind, a pretrained model has to know.
- Chinese: eight kinds of made words that share their last character (白树, 金树), so that a character model can see it:
  each first character stands before several last ones. "tiny" is a model of two layers that knows nothing before.

Run: python -m benchmarks.choices [--language en|zh] [--model NAME]
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import HelpFormat, public_model, write_result

RESULT = "choices-{}"
CHOICES = 4
WANTED = 0.9
"""Least accuracy on the test rows; chance is 0.25."""
MODELS = {"en": "minilm", "zh": "tiny"}
ROWS = {"en": 4000, "zh": 5000}
EPOCHS = {"en": 3.0, "zh": 6.0}
FIRST = "白黑红青黄金银大小老新东西南北春秋水石玉香长高冷"
HELD_OUT = {"en": 10, "zh": 8}
"""Words of each kind that only the test has."""
KINDS = {
    "en": {
        "animal": "dog cat horse cow sheep goat lion tiger wolf rabbit fox deer donkey camel bear pig "
        "elephant giraffe zebra monkey gorilla mouse rat squirrel hedgehog beaver otter badger "
        "leopard cheetah panther hyena kangaroo koala panda moose buffalo hippopotamus rhinoceros "
        "antelope llama hamster",
        "tool": "hammer saw drill wrench chisel axe pliers screwdriver shovel rake knife hoe sickle "
        "crowbar plane file hatchet spade pickaxe scissors tongs clamp trowel mallet scythe "
        "shears pitchfork sledgehammer hacksaw chainsaw sander spanner anvil vise awl tweezers "
        "ladder wheelbarrow scraper stapler soldering-iron jackhammer",
        "fruit": "apple pear plum peach cherry grape lemon banana mango melon fig apricot kiwi pineapple "
        "strawberry raspberry orange lime grapefruit blueberry blackberry cranberry watermelon "
        "papaya pomegranate guava nectarine tangerine coconut date mulberry gooseberry lychee "
        "quince persimmon avocado cantaloupe clementine mandarin currant elderberry passionfruit",
        "city": "Paris London Rome Madrid Berlin Vienna Moscow Tokyo Cairo Athens Lisbon Oslo Dublin "
        "Prague Warsaw Budapest Chicago Boston Toronto Sydney Melbourne Mumbai Delhi Beijing "
        "Shanghai Seoul Bangkok Istanbul Amsterdam Brussels Stockholm Helsinki Copenhagen "
        "Barcelona Milan Naples Munich Hamburg Houston Seattle Denver Miami",
        "garment": "shirt coat hat scarf glove skirt jacket sweater sock dress cloak blouse trousers vest "
        "gown apron jeans shorts pants pajamas tuxedo cardigan hoodie raincoat overcoat robe "
        "kimono leggings stockings tights mittens cap beanie bra underwear bikini swimsuit poncho "
        "tunic blazer bathrobe necktie",
        "instrument": "piano violin guitar flute drum trumpet harp cello clarinet trombone organ banjo oboe "
        "tuba saxophone accordion viola mandolin ukulele bassoon harmonica xylophone cymbal "
        "tambourine lute lyre sitar bagpipes harpsichord keyboard synthesizer recorder piccolo "
        "bugle cornet fiddle zither marimba bongo triangle castanets glockenspiel",
        "vehicle": "car bus truck bicycle motorcycle train tractor van taxi tram lorry scooter ambulance "
        "jeep limousine carriage automobile minivan trolley wagon moped cab minibus pickup "
        "convertible sedan subway locomotive motorbike rickshaw bulldozer tanker ferry yacht "
        "helicopter airplane hovercraft snowmobile submarine canoe speedboat airliner",
        "color": "red blue green yellow purple silver brown pink gray black white crimson beige turquoise "
        "maroon indigo violet scarlet magenta cyan teal ivory lavender khaki golden amber azure "
        "bronze burgundy fuchsia mauve navy olive charcoal cream emerald ruby sapphire vermilion "
        "ochre auburn cobalt",
        "number": "two three four five six seven eight nine eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety "
        "hundred thousand million billion zero one ten trillion twenty-one thirty-two forty-three "
        "fifty-four sixty-five seventy-six eighty-seven ninety-eight twenty-nine",
    },
    "zh": {head: " ".join(first + head for first in FIRST) for head in "树鱼花山酒刀衣城"},
}
QUESTIONS = {
    "en": {
        "same": ("Which of these is of the same kind as {thing}?", "What belongs together with {thing}?"),
        "other": ("Which of these is of another kind than {thing}?", "What does not belong together with {thing}?"),
    },
    "zh": {
        "same": ("哪一个和{thing}同类？", "与{thing}一样的是什么？"),
        "other": ("哪一个和{thing}不同类？", "与{thing}不一样的是什么？"),
    },
}


def split_words(language: str) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Words of each kind for training and for the test; none stands in both."""
    drawn = random.Random(f"words/{language}")
    train: dict[str, list[str]] = {}
    test: dict[str, list[str]] = {}
    for kind, words in KINDS[language].items():
        mixed = drawn.sample(words.split(), len(words.split()))
        train[kind], test[kind] = mixed[HELD_OUT[language] :], mixed[: HELD_OUT[language]]
    return train, test


def make_row(language: str, words: Mapping[str, Sequence[str]], drawn: random.Random) -> dict[str, Any]:
    """One question; the wrong choices of "same" are of three other kinds, those of "other" of the thing's own."""
    kind = drawn.choice(list(words))
    asked = drawn.choice(["same", "other"])
    thing, *own = drawn.sample(words[kind], CHOICES)
    others = [drawn.choice(words[name]) for name in drawn.sample([name for name in words if name != kind], CHOICES - 1)]
    right, wrong = (own[0], others) if asked == "same" else (others[0], own)
    choices = [right, *wrong]
    drawn.shuffle(choices)
    question = drawn.choice(QUESTIONS[language][asked]).format(thing=thing)
    return {"question": question, "choices": choices, "label": choices.index(right), "asked": asked}


def write_rows(path: Path, language: str, words: Mapping[str, Sequence[str]], count: int) -> None:
    """So many rows as JSON lines; the same ones every time."""
    drawn = random.Random(f"{path.stem}/{language}")
    rows = [make_row(language, words, drawn) for _ in range(count)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def make_tiny(folder: Path, language: str) -> Path:
    """A BERT of two layers, 128 wide, with new weights, whose vocabulary are the characters of the rows."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    texts = [text for asked in QUESTIONS[language].values() for text in asked] + list(KINDS[language].values())
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    known = [*special, *sorted(set("".join(texts)) - set(" {}thing"))]
    core = Tokenizer(models.WordLevel({text: place for place, text in enumerate(known)}, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    pair = "[CLS] $A [SEP] $B:1 [SEP]:1"
    core.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", pair, [("[CLS]", 2), ("[SEP]", 3)])
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=64,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **names,
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(known),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    transformers.BertModel(config).save_pretrained(folder)
    return folder


def measure(language: str, arguments: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Fit and judge on words that were never trained on."""
    name = arguments.model or MODELS[language]
    model = make_tiny(scratch / "tiny", language) if name == "tiny" else name
    count, epochs = arguments.rows or ROWS[language], arguments.epochs or EPOCHS[language]
    for split, words, rows in zip(("train", "test"), split_words(language), (count, arguments.test_rows), strict=True):
        write_rows(scratch / f"{split}.jsonl", language, words, rows)
    out = scratch / "run"
    options = {"task": "multiple-choice", "model": model, "train": scratch / "train.jsonl", "out": out}
    seconds = tunesmith_cli.fit(options, {"train.epochs": epochs, "train.seed": arguments.seed})
    judged = tunesmith_cli.evaluate(out, scratch / "test.jsonl")
    accuracy = judged["scores"]["accuracy"]
    return {
        "model": public_model(str(model)),
        "seed": arguments.seed,
        "train_rows": count,
        "epochs": epochs,
        "accuracy": accuracy,
        "baselines": {name: scores["accuracy"] for name, scores in judged["baselines"].items()},
        "chance": 1 / CHOICES,
        "seconds": seconds,
        "passed": accuracy["value"] >= WANTED,
    }


def main() -> None:
    """Measure, write results/choices-<language>.json; fails where a model does not learn the rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormat, allow_abbrev=False)
    parser.add_argument("--language", choices=list(KINDS), help="one of them; both if not given")
    parser.add_argument("--model", help='base model, or "tiny"; default: minilm for English, tiny for Chinese')
    parser.add_argument("--rows", type=int, help=f"training rows; default: {ROWS}")
    parser.add_argument("--test-rows", type=int, default=300)
    parser.add_argument("--epochs", type=float, help=f"default: {EPOCHS}")
    parser.add_argument("--seed", type=int, default=13)
    arguments = parser.parse_args()
    failed = []
    for language in [arguments.language] if arguments.language else KINDS:
        with tempfile.TemporaryDirectory() as name:
            result = measure(language, arguments, Path(name))
        print(write_result(RESULT.format(language), result))
        failed += [] if result["passed"] else [f"{language}: accuracy {result['accuracy']['value']:.3f}"]
    if failed:
        raise SystemExit(f"{'; '.join(failed)}, wanted {WANTED}")


if __name__ == "__main__":
    main()
