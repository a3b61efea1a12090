import collections
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from helpers import slow

from keras_attn import InputError
from keras_attn.data.batches import batches
from keras_attn.data.encoded import EncodedPairs
from keras_attn.text.sequences import source_ids


class Letters:
    """A text processor to which `a` is 4, `b` is 5, and so on."""

    def to_ids(self, texts):
        return tf.strings.unicode_decode(texts, "UTF-8") - (ord("a") - 4)


LETTERS = Letters()

SIZES = [{"batch_size": 8}, {"tokens_per_batch": 120}]


def batched(pairs, **options):
    return batches(pairs, LETTERS, LETTERS, **options)


def arrays(dataset):
    """One `(source, target, labels)` of NumPy arrays a batch."""
    return [(inputs["source"].numpy(), inputs["target"].numpy(), labels.numpy()) for inputs, labels in dataset]


def spelled(ids):
    return ["".join(chr(token + ord("a") - 4) for token in row if token >= 4) for row in ids]


def spelled_pairs(dataset):
    """The pairs of strings in each batch."""
    return [list(zip(spelled(source), spelled(target))) for source, target, _ in arrays(dataset)]


def padding_share(lengths_by_batch):
    return 1 - sum(map(sum, lengths_by_batch)) / sum(len(lengths) * max(lengths) for lengths in lengths_by_batch)


@pytest.fixture
def pairs(rng):
    """1,003 pairs whose source has 0 to 29 letters and whose target has about as many."""
    words = ["".join(rng.choice(list("abcdefghij"), length)) for length in rng.integers(0, 30, 1003)]
    return [(word, (word[::-1] + "zz")[: max(0, len(word) + rng.integers(-2, 3))]) for word in words]


def test_ids_are_surrounded_and_padded():
    [(source, target, labels)] = arrays(batched([("ab", "c"), ("c", "de")]))
    np.testing.assert_array_equal(source, [[4, 5, 3], [6, 3, 0]])
    np.testing.assert_array_equal(target, [[2, 6, 0], [2, 7, 8]])
    np.testing.assert_array_equal(labels, [[6, 3, 0], [7, 8, 3]])


def test_empty_strings_are_pairs_like_others():
    [(source, target, labels)] = arrays(batched([("", ""), ("a", "")]))
    np.testing.assert_array_equal(source, [[3, 0], [4, 3]])
    np.testing.assert_array_equal(target, [[2], [2]])
    np.testing.assert_array_equal(labels, [[3], [3]])


@pytest.mark.parametrize("size", SIZES)
def test_a_model_is_told_integers_of_any_length(pairs, size):
    ids = tf.TensorSpec([None, None], tf.int32)
    assert batched(pairs, **size).element_spec == ({"source": ids, "target": ids}, ids)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", [None, 5])
def test_every_batch_has_the_promised_layout(pairs, size, seed):
    for source, target, labels in arrays(batched(pairs, seed=seed, **size)):
        assert len(source) == len(target) == len(labels)
        for row in source:
            assert row[np.count_nonzero(row) - 1] == 3
        assert (target[:, 0] == 2).all()
        for given, wanted in zip(target, labels):
            length = np.count_nonzero(given)
            np.testing.assert_array_equal(wanted[: length - 1], given[1:length])
            assert wanted[length - 1] == 3
            assert not wanted[length:].any() and not given[length:].any()
        assert all(ids[:, -1].any() for ids in (source, target, labels))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", [None, 5])
def test_every_pair_comes_once_in_each_epoch(pairs, size, seed):
    pairs = pairs + pairs[:7]
    dataset = batched(pairs, seed=seed, **size)
    for _ in range(2):
        assert collections.Counter(sum(spelled_pairs(dataset), [])) == collections.Counter(pairs)


@pytest.mark.parametrize("size", SIZES)
def test_the_same_seed_and_epoch_give_the_same_batches(pairs, size):
    assert spelled_pairs(batched(pairs, seed=5, **size)) == spelled_pairs(batched(pairs, seed=5, **size))


def test_another_seed_gives_other_batches(pairs):
    assert spelled_pairs(batched(pairs, seed=5)) != spelled_pairs(batched(pairs, seed=6))


def test_the_second_epoch_puts_other_pairs_together(pairs):
    dataset = batched(pairs, seed=5, batch_size=8)
    first, second = ({frozenset(batch) for batch in spelled_pairs(dataset)} for _ in range(2))
    assert len(first & second) < len(first) / 10


@pytest.mark.parametrize("size", SIZES)
def test_training_can_begin_at_any_epoch(pairs, size):
    uninterrupted = batched(pairs, seed=5, **size)
    epochs = [spelled_pairs(uninterrupted) for _ in range(3)]
    resumed = batched(pairs, seed=5, first_epoch=1, **size)
    assert [spelled_pairs(resumed), spelled_pairs(resumed)] == epochs[1:]


@pytest.mark.parametrize("count", [10, 30, 300])
def test_an_epoch_ends_with_its_last_batch_though_nobody_asks_for_another(pairs, count):
    asked_to_the_end, counted = (batched(pairs[:count], seed=5, batch_size=10) for _ in range(2))
    for _ in range(3):
        iterator = iter(counted)
        sources = [next(iterator)[0]["source"].numpy().tolist() for _ in range(int(counted.cardinality()))]
        assert sources == [inputs["source"].numpy().tolist() for inputs, _ in asked_to_the_end]


def test_short_and_long_batches_take_turns(pairs):
    longest = [source.shape[1] for source, _, _ in arrays(batched(pairs[:300], seed=5, batch_size=10))]
    assert longest != sorted(longest)
    assert abs(np.mean(longest[:15]) - np.mean(longest[15:])) < 10


def peek_and_wait(dataset):
    """Takes the first batch, as Keras does to build a model, and stays there for a while."""
    iterator = iter(dataset)
    next(iterator)
    time.sleep(0.3)


@pytest.mark.parametrize("count", [1000, slow(30)])
@pytest.mark.parametrize("size", [{"batch_size": 10}, slow({"tokens_per_batch": 200})])
def test_a_look_at_the_first_batch_does_not_use_an_epoch_up(pairs, size, count):
    first_epoch = spelled_pairs(batched(pairs[:count], seed=5, **size))
    dataset = batched(pairs[:count], seed=5, **size)
    peek_and_wait(dataset)
    assert spelled_pairs(dataset) == first_epoch


def test_a_pass_without_its_last_batch_does_not_use_an_epoch_up(pairs):
    dataset = batched(pairs[:300], seed=5, batch_size=10)
    beginning = spelled_pairs(dataset.take(29))
    assert spelled_pairs(dataset)[:29] == beginning


def test_no_tuning_of_the_pipeline_holds_up_the_end_of_an_epoch(pairs):
    assert batched(pairs[:30], seed=5, batch_size=10).options().autotune.enabled is False


@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize("batch_size, last", [(8, 3), (59, 0), (5000, 1003)])
def test_all_batches_but_one_have_the_batch_size(pairs, seed, batch_size, last):
    dataset = batched(pairs, seed=seed, batch_size=batch_size)
    sizes = [len(batch) for batch in spelled_pairs(dataset)]
    full, rest = divmod(1003, batch_size)
    assert sorted(sizes, reverse=True) == [batch_size] * full + [rest] * bool(rest)
    assert rest == last
    assert dataset.cardinality() == len(sizes)


@pytest.mark.parametrize("seed", [None, 5])
def test_tokens_per_batch_is_a_limit_that_is_nearly_reached(pairs, seed):
    dataset = batched(pairs, seed=seed, tokens_per_batch=120)
    padded = [max(source.size, target.size) for source, target, _ in arrays(dataset)]
    assert max(padded) <= 120
    assert np.mean(padded) > 80


@pytest.mark.parametrize("pair", [("a" * 50, "b"), ("a", "b" * 50)])
@pytest.mark.parametrize("seed", [None, 5])
def test_a_sentence_longer_than_a_batch_is_alone_in_one(pairs, pair, seed):
    found = spelled_pairs(batched(pairs[:100] + [pair], seed=seed, tokens_per_batch=40))
    assert [batch for batch in found if pair in batch] == [[pair]]


@pytest.mark.parametrize("seed", [None, 5])
def test_no_batch_is_empty_where_every_sentence_is_longer_than_a_batch(seed):
    pairs = [("aaaa", "b"), ("aaa", "b")]
    assert sorted(spelled_pairs(batched(pairs, seed=seed, tokens_per_batch=2))) == [[pairs[1]], [pairs[0]]]


@pytest.mark.parametrize("size", [{"batch_size": 16}, {"tokens_per_batch": 240}])
@pytest.mark.parametrize("seed", [None, 5])
def test_sentences_of_like_length_are_together(pairs, size, seed):
    found = spelled_pairs(batched(pairs, seed=seed, **size))
    mixed = [pairs[start : start + 16] for start in range(0, len(pairs), 16)]
    for side in range(2):
        sorted_share, mixed_share = (
            padding_share([[len(pair[side]) + 1 for pair in batch] for batch in plan]) for plan in (found, mixed)
        )
        assert sorted_share < mixed_share / 3


def test_without_a_seed_pairs_are_in_order_of_their_longer_side_in_every_epoch(pairs):
    dataset = batched(pairs, batch_size=8)
    first, second = spelled_pairs(dataset), spelled_pairs(dataset)
    assert first == second
    lengths = [max(len(source), len(target)) for source, target in sum(first, [])]
    assert lengths == sorted(lengths)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", [None, 5])
def test_longer_pairs_than_max_length_are_left_out(size, seed):
    short = [("aaaa", "bbbb"), ("a", "bbbb"), ("", "")]
    long = [("aaaa", "b" * 9), ("a" * 9, "bbbb"), ("a" * 9, "b" * 9)]
    assert sorted(sum(spelled_pairs(batched(short + long, max_length=7, seed=seed, **size)), [])) == sorted(short)


@pytest.mark.parametrize("pair", [("aaaaaaa", "b"), ("a", "bbbbbbb")])
def test_a_pair_of_just_max_length_tokens_stays(pair):
    assert spelled_pairs(batched([pair], max_length=7)) == [[pair]]


@pytest.mark.parametrize("pairs, max_length", [([], None), ([], 5), ([("a" * 9, "b"), ("a", "b" * 9)], 5)])
def test_no_pair_left_is_refused(pairs, max_length):
    with pytest.raises(InputError, match=f"{len(pairs)} pairs"):
        batched(pairs, max_length=max_length)


@pytest.mark.parametrize("size", [{"batch_size": 0}, {"batch_size": -1}, {"tokens_per_batch": 0}])
def test_sizes_below_one_are_refused(size):
    [(name, value)] = size.items()
    with pytest.raises(InputError, match=f"{name} is {value}"):
        batched([("a", "b")], **size)


@pytest.mark.parametrize("count", [4096, 5000, 9000])
def test_pairs_may_come_one_by_one_and_in_any_number(rng, count):
    pairs = [("".join(rng.choice(list("abcdefghij"), 6)), "b") for _ in range(count)]
    assert sorted(sum(spelled_pairs(batched(iter(pairs), seed=1, batch_size=999)), [])) == sorted(pairs)


@pytest.mark.parametrize("pair", ["ab", ("a", "b", "c"), ("a", None), ("\ud800", "b")])
def test_what_is_no_pair_of_strings_is_refused(pair):
    with pytest.raises(InputError, match="Element 2 of the pairs is"):
        batches([("a", "b"), pair], LETTERS, LETTERS)


def test_two_passes_at_once_do_not_disturb_each_other(pairs):
    encoded = EncodedPairs(pairs, LETTERS, LETTERS)
    read = lambda rows: encoded.read(rows)[1].tolist()
    expected = [read([row]) for row in range(len(pairs))]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda row: read([row]), range(len(pairs)))) == expected


def test_ids_of_a_corpus_are_not_kept_in_memory():
    count = 30_000
    pairs = ((f"{'abcdefghij' * 3}", f"{'abcdefghij' * 3}") for _ in range(count))
    tracemalloc.start()
    encoded = EncodedPairs(pairs, LETTERS, LETTERS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(encoded.lengths) == count
    assert peak < 100 * count  # the ids alone are 250 bytes a pair, and their strings more


def test_sources_to_translate_look_as_in_training():
    np.testing.assert_array_equal(source_ids(LETTERS, tf.constant(["ab", "", "c"])), [[4, 5, 3], [3, 0, 0], [6, 3, 0]])


def test_no_source_to_translate_is_an_empty_batch():
    assert source_ids(LETTERS, tf.constant([], tf.string)).shape[0] == 0
