import random
import tracemalloc
import unicodedata

import pytest

from keras_attn import InputError
from keras_attn.data import read_tsv, split_pairs
from keras_attn.data.pairs import Stream
from keras_attn.data.split import _uniform, stream_split
from keras_attn.text import WordProcessor


@pytest.fixture
def repeated_sources():
    """300 different pairs of 100 sources, which have one to five targets each."""
    pairs = [(f"source {number}", f"target {copy}") for number in range(100) for copy in range(1 + number % 5)]
    random.Random(1).shuffle(pairs)
    return pairs


def sources(part):
    return {source for source, _ in part}


def test_no_source_is_in_two_parts(repeated_sources):
    train, validation, test = split_pairs(repeated_sources, 20, 30)
    assert [len(sources(part)) for part in (train, validation, test)] == [50, 20, 30]
    assert not sources(train) & sources(validation)
    assert not sources(train) & sources(test)
    assert not sources(validation) & sources(test)


def test_a_sentence_that_is_written_otherwise_is_the_same():
    sentences = [f"café {number}" for number in range(200)]
    forms = [
        str,
        lambda text: f" {text}\u00a0",
        lambda text: unicodedata.normalize("NFD", text).replace(" ", "  "),
        lambda text: f"\ufeff{text[:2]}\u200b{text[2:]}".replace(" ", "\x1b"),
    ]
    pairs = [(form(sentence), str(number)) for number, sentence in enumerate(sentences) for form in forms]
    train, validation, test = ({target for _, target in part} for part in split_pairs(pairs, 20, 30))
    assert (len(train), len(validation), len(test)) == (150, 20, 30)
    assert not train & validation and not train & test and not validation & test


def test_sentences_are_the_same_if_they_are_so_to_a_model():
    written = [
        "é",
        "Ａ b",
        "a\u200bb",
        "\ufeffab",
        "a\x00b",
        "a\x85b",
        "a\u3000b",
        " ",
        "\u200b",
        "a\u00a8b",
        "한",
        "Ǆ",
    ]
    forms = [form(text) for text in written for form in (str, lambda text: unicodedata.normalize("NFKD", text))]
    for lower_case in (True, False):
        to_model = WordProcessor(["a"], lower_case=lower_case).normalize(forms).numpy()
        assert [_uniform(text, lower_case).encode() for text in forms] == list(to_model)


@pytest.mark.parametrize("lower_case", [True, False])
def test_capitals_make_another_sentence_unless_told(lower_case):
    pairs = [(form(f"Straße {number}"), str(number)) for number in range(200) for form in (str, str.lower)]
    train, _, test = ({target for _, target in part} for part in split_pairs(pairs, 20, 30, lower_case=lower_case))
    assert bool(train & test) == (not lower_case)


def test_every_pair_is_in_a_part_and_in_the_order_of_the_pairs(repeated_sources):
    doubled = repeated_sources + repeated_sources[:10]
    parts = split_pairs(doubled, 20, 30)
    assert sorted(sum(parts, [])) == sorted(doubled)
    for part in parts:
        assert part == [pair for pair in doubled if pair[0] in sources(part)]


@pytest.mark.parametrize("count, held_out", [(3, 1), (39, 1), (40, 2), (200, 10), (41_000, 2000)])
def test_one_source_in_twenty_is_held_out_unless_told(count, held_out):
    split = split_pairs([(str(number), "") for number in range(count)])
    assert [len(part) for part in split] == [count - 2 * held_out, held_out, held_out]


def test_the_same_seed_gives_the_same_parts(repeated_sources):
    assert split_pairs(repeated_sources, seed=3) == split_pairs(repeated_sources, seed=3)


def test_the_order_of_the_pairs_does_not_decide_the_parts(repeated_sources):
    split, other = split_pairs(repeated_sources), split_pairs(repeated_sources[::-1])
    assert [sources(part) for part in split] == [sources(part) for part in other]


def test_another_seed_gives_other_parts(repeated_sources):
    assert sources(split_pairs(repeated_sources, seed=3).test) != sources(split_pairs(repeated_sources, seed=4).test)


@pytest.mark.parametrize("different, validation, test", [(0, 1, 1), (2, 1, 1), (5, 3, 2), (5, 5, 0)])
def test_too_few_sources_are_refused_with_the_counts(different, validation, test):
    pairs = [(str(number), str(copy)) for number in range(different) for copy in range(9)]
    with pytest.raises(InputError, match=f"{different} different .* {validation} for validation and {test} for the "):
        split_pairs(pairs, validation, test)


def test_two_sources_are_too_few_for_the_default():
    with pytest.raises(InputError, match="2 different"):
        split_pairs([("a", "b"), ("c", "d")])


def test_a_negative_count_is_refused():
    with pytest.raises(InputError):
        split_pairs([(str(number), "") for number in range(9)], validation=-1, test=2)


def test_the_classic_sentence_pairs_are_split_without_a_leak(shared):
    pairs = read_tsv(shared / "data" / "tatoeba" / "spa-eng.tsv.gz")
    assert len(pairs) == 118_964 and len({english for english, _ in pairs}) == 102_904
    parts = split_pairs(pairs)
    assert sum(map(len, parts)) == 118_964
    train, validation, test = ({english for english, _ in part} for part in parts)
    assert len(validation) == len(test) == 2_000
    assert not train & validation and not train & test and not validation & test


def test_what_can_be_gone_through_once_is_split_as_a_list_is(repeated_sources):
    assert split_pairs(iter(repeated_sources), 20, 30) == split_pairs(repeated_sources, 20, 30)


@pytest.mark.parametrize("pair", ["ab", ("a", None), ("\ud800", "b")])
def test_what_is_no_pair_of_strings_is_refused(pair):
    with pytest.raises(InputError, match="Element 3 of the pairs is"):
        split_pairs([("a", "b"), ("c", "d"), pair])


def test_a_stream_is_split_as_a_list_is(repeated_sources):
    streamed = stream_split(Stream(lambda: iter(repeated_sources)), 20, 30)
    assert [list(part) for part in streamed] == list(split_pairs(repeated_sources, 20, 30))
    assert [len(part) for part in streamed] == [len(list(part)) for part in streamed]


def test_what_is_held_out_stays_so_when_pairs_are_added(repeated_sources):
    more = repeated_sources + [(f"further {number}", "") for number in range(10)]
    before, after = (sources(split_pairs(pairs, 20, 30).validation) for pairs in (repeated_sources, more))
    assert len(before & after) >= 10


def test_a_stream_is_split_without_being_kept():
    count = 50_000
    pairs = Stream(
        lambda: ((f"a source sentence that is long enough {number}", "and its target") for number in range(count))
    )
    tracemalloc.start()
    parts = stream_split(pairs)
    assert sum(1 for _ in parts.train) == len(parts.train) == count - 4_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * count
