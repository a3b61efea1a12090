"""What a text processor learns, and what it refuses to learn from."""

import random
import sys

import numpy as np
import pytest
import tensorflow as tf
from test_text import SENTENCES, UNITS, random_texts

from keras_attn import InputError, batches
from keras_attn.text import learn_text_processor, subwords, text_processor_from_config
from keras_attn.text.given import drawn

pytest.importorskip("tensorflow_text")
pytest.importorskip("sentencepiece")


@pytest.mark.parametrize("unit", ["words", "characters"])
def test_the_order_of_the_lines_does_not_change_the_vocabulary(unit):
    texts = random_texts("abcdefgh .,", 300)
    shuffled = random.Random(1).sample(texts, len(texts))
    options = {"unit": unit, "vocabulary_size": 9}
    assert learn_text_processor(texts, **options).vocabulary == learn_text_processor(shuffled, **options).vocabulary


@pytest.mark.parametrize(
    "unit, text, kept", [("words", "b a c b a b", ("b", "a")), ("characters", "bbbaacd", ("b", "a"))]
)
def test_the_most_frequent_tokens_are_kept_in_that_order(unit, text, kept):
    processor = learn_text_processor([text], unit, vocabulary_size=6)
    assert processor.vocabulary == kept
    assert processor.vocabulary_size == 6


def test_tokens_are_counted_after_normalisation():
    processor = learn_text_processor(["Ａ a A b b c"], vocabulary_size=5, lower_case=True)
    assert processor.vocabulary == ("a",)


def test_words_are_ten_thousand_at_most_and_characters_all_unless_told():
    lines = (f"w{number}" for number in range(10_500))
    assert learn_text_processor(lines).vocabulary_size == 10_000
    assert learn_text_processor(map(chr, range(0x4E00, 0x4E00 + 10_500)), "characters").vocabulary_size == 10_504


def test_tokens_are_counted_over_all_lines():
    lines = ["rare"] * 2 + ["a"] * 5000 + ["often"] * 3
    assert learn_text_processor(lines, vocabulary_size=6).vocabulary == ("a", "often")


@pytest.mark.parametrize("size", [4, 1, -1])
@pytest.mark.parametrize("unit", UNITS)
def test_a_vocabulary_without_room_is_refused(unit, size):
    with pytest.raises(InputError, match=rf"(?<!\d){size}\b"):
        learn_text_processor(SENTENCES, unit, vocabulary_size=size)


@pytest.mark.parametrize("unit", UNITS)
def test_a_vocabulary_of_zero_is_refused(unit):
    with pytest.raises(InputError):
        learn_text_processor(SENTENCES, unit, vocabulary_size=0)


def test_a_subword_vocabulary_without_room_for_the_characters_is_refused():
    with pytest.raises(InputError, match="12 subwords"):
        learn_text_processor(SENTENCES, "subwords", vocabulary_size=12)


def test_of_many_lines_some_are_drawn_for_the_subwords_in_every_process_the_same(monkeypatch):
    lines = [f"{number} " + "".join(random.Random(number).choices("abcdefgh", k=20)) for number in range(500)]
    some = drawn(iter(lines), 100)
    assert some == drawn(iter(lines), 100)
    assert len(some) == len(set(some)) == 100 and set(some) < set(lines)
    assert 20 < sum(line in lines[:250] for line in some) < 80  # from everywhere
    assert drawn(iter(lines), 500) == lines
    monkeypatch.setattr(subwords, "_TRAINING_LINES", 100)
    learned = [learn_text_processor(texts, "subwords", vocabulary_size=60).tokens for texts in (lines, some)]
    assert learned[0] == learned[1]


@pytest.mark.parametrize("texts", [[], ["", " \t"]])
@pytest.mark.parametrize("unit", UNITS)
def test_nothing_to_learn_from_is_refused(unit, texts):
    with pytest.raises(InputError, match="There is no text"):
        learn_text_processor(texts, unit)


@pytest.mark.parametrize("kind", [tf.constant, tf.data.Dataset.from_tensor_slices, iter, np.array])
def test_texts_may_come_in_any_container(kind):
    texts = [text.encode() for text in SENTENCES] if kind is np.array else SENTENCES
    assert learn_text_processor(kind(texts)).tokens == learn_text_processor(SENTENCES).tokens


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    "texts, sentence",
    [
        ("hello world", "A text is the string 'hello world', but there must be a list"),
        (["a", None], "Text 2 is None; every text must be a string"),
        ([("a", "b")], "Text 1 is \\('a', 'b'\\); every text must be a string"),
        (["a\ud83d"], "half of whose character is missing"),
    ],
)
def test_what_is_no_text_is_refused(unit, texts, sentence):
    with pytest.raises(InputError, match=sentence):
        learn_text_processor(texts, unit)


def test_an_unknown_unit_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="'syllables', but only 'words', 'characters', 'subwords'"):
        learn_text_processor(SENTENCES, "syllables")


@pytest.mark.parametrize("unit, form", [("words", "NFKC"), ("characters", "NFKC"), ("subwords", "NFKD")])
def test_each_unit_has_its_own_normalization_unless_told_otherwise(unit, form):
    assert learn_text_processor(SENTENCES, unit).normalization == form
    assert learn_text_processor(SENTENCES, unit, normalization="NFC").normalization == "NFC"


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("form", ["nfkc", ""])
def test_an_unknown_normalization_is_refused_with_the_known_ones(unit, form):
    with pytest.raises(InputError, match=f"'{form}', but only 'NFKC', 'NFC', 'NFKD', 'NFD'"):
        learn_text_processor(SENTENCES, unit, normalization=form)


def test_tensorflow_text_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    with pytest.raises(ImportError, match="pip install tensorflow-text"):
        learn_text_processor(SENTENCES)


@pytest.mark.parametrize("config, unit", [({"unit": "letters"}, "'letters'"), ({}, "None")])
def test_a_configuration_with_an_unknown_unit_is_refused(config, unit):
    with pytest.raises(InputError, match=f"{unit}.*'words'"):
        text_processor_from_config(config)


@pytest.mark.parametrize("source_unit", UNITS)
@pytest.mark.parametrize("target_unit", UNITS)
def test_each_side_may_have_its_own_unit(source_unit, target_unit):
    pairs = [(text, text) for text in SENTENCES if text]
    texts = (learn_text_processor(SENTENCES, unit) for unit in (source_unit, target_unit))
    inputs, labels = next(iter(batches(pairs, *texts)))
    assert len(labels) == len(inputs["source"]) == len(pairs)
