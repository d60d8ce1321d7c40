"""Tokenizers trained on raw texts: the same each time, whole in Hugging Face, told honestly."""

import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from tunesmith.corpora.tokenizer_facts import describe_tokenizer, special_ids, unknown_id, word_start_table
from tunesmith.corpora.tokenizer_training import KINDS, ROLES, Family, Kind, save_tokenizer, train_tokenizer
from tunesmith.errors import ConfigError, DataError

_CHOSEN = random.Random(7)
WORDS = ["".join(_CHOSEN.choices("abdeiklmnorstu", k=_CHOSEN.randint(2, 8))) for _ in range(150)]
CHINESE = "深度学习模型在自然语言处理中的应用，取得了很好的效果。我们提出一种新的方法！"
TEXTS = [
    *(" ".join(_CHOSEN.choices(WORDS, k=40)).capitalize() + ".\nIt's 42 (or 7)!" for _ in range(60)),
    *("".join(_CHOSEN.sample(CHINESE, 25)) for _ in range(30)),
    *(CHINESE for _ in range(60)),
]
SIZES: dict[Kind, int] = {"wordpiece": 400, "bpe": 400, "byte-bpe": 500, "unigram": 300, "characters": 200}


@pytest.fixture(scope="module")
def trained() -> dict[Kind, Tokenizer]:
    return {kind: train_tokenizer(kind, SIZES[kind], TEXTS) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_texts_give_the_same_bytes(kind: Kind, trained: dict[Kind, Tokenizer]) -> None:
    for _ in range(3):
        assert train_tokenizer(kind, SIZES[kind], iter(TEXTS)).to_str() == trained[kind].to_str()
    assert train_tokenizer(kind, SIZES[kind], TEXTS[:40]).to_str() != trained[kind].to_str()


@pytest.mark.parametrize("family", ROLES)
@pytest.mark.parametrize("kind", KINDS)
def test_hugging_face_loads_it_whole(tmp_path: Path, kind: Kind, family: Family) -> None:
    ours = train_tokenizer(kind, SIZES[kind], TEXTS, family=family)
    assert ours.get_vocab_size() <= SIZES[kind]
    save_tokenizer(ours, tmp_path, model_max_length=77)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert theirs.is_fast
    assert theirs.model_max_length == 77
    assert theirs.padding_side == "right"
    assert ("token_type_ids" in theirs.model_input_names) == (family == "encoder")
    for role in ("pad", "unk", "cls", "sep", "mask", "bos", "eos"):
        token = ROLES[family].get(role)
        wanted = None if token is None else ours.token_to_id(token)
        assert getattr(theirs, f"{role}_token_id") == wanted, role
        if token is not None and (kind, role) != ("byte-bpe", "unk"):
            assert wanted is not None
    for text in (TEXTS[0], CHINESE, "", "a  b\n😀 é"):
        assert theirs(text)["input_ids"] == ours.encode(text).ids
    prefix, suffix = special_ids(theirs)
    ids = ours.encode(TEXTS[0], add_special_tokens=False).ids
    assert [*prefix, *ids, *(suffix if family != "decoder" else ())] == ours.encode(TEXTS[0]).ids
    assert suffix == (ours.token_to_id(ROLES[family].get("sep") or "</s>"),)


@pytest.mark.parametrize("kind", ["bpe", "byte-bpe", "unigram", "characters"])
def test_texts_come_back(kind: Kind, trained: dict[Kind, Tokenizer]) -> None:
    text = f"{TEXTS[0]}  {CHINESE}\n {WORDS[0]}"
    assert trained[kind].decode(trained[kind].encode(text).ids) == text


def test_byte_pairs_know_every_text(trained: dict[Kind, Tokenizer]) -> None:
    text = "Žluťoučký 😀 𠀀 \x07"
    assert trained["byte-bpe"].decode(trained["byte-bpe"].encode(text).ids) == text
    assert unknown_id(trained["byte-bpe"]) is None


def test_wordpiece_takes_chinese_by_character_and_bpe_merges_it(trained: dict[Kind, Tokenizer]) -> None:
    assert trained["wordpiece"].encode("深度学习", add_special_tokens=False).tokens == list("深度学习")
    assert len(trained["bpe"].encode("深度学习", add_special_tokens=False).tokens) < 4
    assert not [token for token in trained["bpe"].get_vocab() if "，" in token and len(token) > 1]


def test_wordpiece_goes_on_with_its_mark(trained: dict[Kind, Tokenizer]) -> None:
    tokens = trained["wordpiece"].encode(WORDS[0] + "uuu", add_special_tokens=False).tokens
    assert not tokens[0].startswith("##")
    assert all(token.startswith("##") for token in tokens[1:])
    assert "".join(token.removeprefix("##") for token in tokens) == WORDS[0] + "uuu"


def test_case_is_folded_on_request() -> None:
    for kind in KINDS:
        folded = train_tokenizer(kind, SIZES[kind], TEXTS, lowercase=True)
        word = WORDS[0]
        assert folded.encode(word.upper()).ids == folded.encode(word).ids


def test_rare_characters_are_unknown_and_counted(trained: dict[Kind, Tokenizer]) -> None:
    report = describe_tokenizer(trained["wordpiece"], [f"{WORDS[0]} ☃ {WORDS[1]}"], wished_vocabulary=400)
    assert report.unknown_rate == pytest.approx(1 / report.tokens)
    assert report.wished_vocabulary == 400
    small = train_tokenizer("characters", 15, TEXTS)
    assert small.get_vocab_size() == 15
    assert 0 < describe_tokenizer(small, TEXTS).unknown_rate < 1
    assert describe_tokenizer(trained["byte-bpe"], ["☃ 😀"]).unknown_rate == 0


def test_the_report_adds_up(trained: dict[Kind, Tokenizer]) -> None:
    report = describe_tokenizer(trained["characters"], ["ab de", "abd"])
    assert (report.tokens, report.characters_per_token, report.bytes_per_token) == (8, 1.0, 1.0)
    assert report.tokens_per_word == pytest.approx(8 / 3)
    chinese = describe_tokenizer(trained["wordpiece"], [CHINESE])
    assert chinese.tokens_per_word is None
    assert chinese.bytes_per_token == pytest.approx(3.0)
    assert len(report.longest) == 20
    assert len(describe_tokenizer(trained["bpe"], [CHINESE]).longest[0]) > 3


def test_a_file_that_says_to_cut_and_to_pad_is_not_obeyed() -> None:
    """As that of all-MiniLM-L6-v2 does: a document would end in a hundred padding tokens."""
    plain = train_tokenizer("wordpiece", SIZES["wordpiece"], TEXTS, family="encoder")
    padding = Tokenizer.from_str(plain.to_str())
    padding.enable_padding(length=40)
    padding.enable_truncation(5)
    assert special_ids(padding) == special_ids(plain)
    assert len(special_ids(padding)[1]) == 1
    assert describe_tokenizer(padding, TEXTS) == describe_tokenizer(plain, TEXTS)


@pytest.mark.parametrize("kind", KINDS)
def test_words_begin_where_they_should(kind: Kind, trained: dict[Kind, Tokenizer]) -> None:
    tokenizer = trained[kind]
    table = word_start_table(tokenizer)
    assert table.shape == (tokenizer.get_vocab_size(),)
    text = f"so {WORDS[0]} {WORDS[1]}"
    encoding = tokenizer.encode(text, add_special_tokens=False)
    words = {3, 4 + len(WORDS[0])}
    blanks = {place - 1 for place in words}
    found = {start for (start, _), number in zip(encoding.offsets, encoding.ids, strict=True) if table[number]}
    assert (found - {0}) <= words | blanks
    assert all(place in found or place - 1 in found for place in words)
    chinese = tokenizer.encode("学习。", add_special_tokens=False)
    assert table[chinese.ids[0]]
    if kind in ("wordpiece", "characters"):
        assert [bool(table[number]) for number in chinese.ids] == [True, True, True]
    assert all(table[tokenizer.token_to_id(token)] for token in ROLES["encoder"].values())


def test_bytes_inside_a_chinese_character_begin_no_word(trained: dict[Kind, Tokenizer]) -> None:
    tokenizer = trained["byte-bpe"]
    ids = tokenizer.encode("𠮷鑫", add_special_tokens=False).ids
    assert len(ids) == 7
    assert [bool(word_start_table(tokenizer)[number]) for number in ids] == [True, *[False] * 3, True, False, False]


@pytest.mark.parametrize(
    ("kind", "size", "message"),
    [("wordpiece", 5, "vocab_size is 5, wanted 6"), ("byte-bpe", 200, "wanted 261"), ("letters", 9, "no tokenizer")],
)
def test_what_cannot_be_is_refused(kind: Kind, size: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train_tokenizer(kind, size, TEXTS)
    with pytest.raises(DataError, match="no text"):
        train_tokenizer("wordpiece", 100, [" \n"])


@pytest.mark.parametrize("kind", KINDS)
def test_characters_that_come_later_are_known(kind: Kind) -> None:
    texts = ["to be or not to be, that is the question"] * 20
    later = "0189%鑫é"
    plain = train_tokenizer(kind, 400, texts)
    ours = train_tokenizer(kind, 400, texts, more_characters=later)
    assert train_tokenizer(kind, 400, texts, more_characters=later).to_str() == ours.to_str()
    text = "to be 10 or 98% 鑫 é9"
    if kind != "byte-bpe":
        assert unknown_id(plain) in plain.encode(text).ids
    assert unknown_id(ours) not in ours.encode(text).ids
