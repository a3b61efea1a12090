import numpy as np
import pytest
from helpers import numbers, random_ids, softmax

tf = pytest.importorskip("tensorflow")

from models import LoadedDie, bold_model

from keras_attn import GreedyDecoder, InputError, Sampling
from keras_attn.ids import END, START

LENGTHS = [5, 2, 7, 1]


@pytest.fixture
def source(rng):
    return random_ids(rng, 20, LENGTHS)


def first_tokens(**options):
    """How often each token came first in a thousand targets, in percent."""
    found = Sampling(LoadedDie(), count=1000, max_length=1, **options)(np.array([[7]], "int32"))
    return np.bincount(found.tokens.numpy()[0, :, 0], minlength=8) / 10


def test_tokens_come_as_often_as_they_are_probable():
    np.testing.assert_allclose(first_tokens(), 100 * LoadedDie.probabilities, atol=5)


def test_a_low_temperature_sharpens_and_a_high_one_flattens():
    for temperature in (0.5, 2.0):
        expected = LoadedDie.probabilities ** (1 / temperature)
        np.testing.assert_allclose(first_tokens(temperature=temperature), 100 * expected / expected.sum(), atol=5)


def test_the_lowest_temperature_leaves_the_most_probable_alone():
    assert first_tokens(temperature=1e-38)[4] == 100


def test_top_k_leaves_the_most_probable():
    drawn = first_tokens(top_k=2)
    np.testing.assert_allclose(drawn[4:6], [100 * 4 / 7, 100 * 3 / 7], atol=5)
    assert drawn[4:6].sum() == 100


def test_top_p_leaves_the_smallest_group_that_reaches_it():
    drawn = first_tokens(top_p=0.6)  # 0.4 do not reach it, 0.4 + 0.3 do
    np.testing.assert_allclose(drawn[4:6], [100 * 4 / 7, 100 * 3 / 7], atol=5)
    assert drawn[4:6].sum() == 100


@pytest.mark.slow
def test_the_most_probable_token_alone_is_greedy(source):
    model = bold_model()
    greedy = GreedyDecoder(model, max_length=10)(source)
    for options in ({"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-7}):
        found = Sampling(model, max_length=10, **options)(source)
        np.testing.assert_array_equal(found.tokens, greedy.tokens)
        np.testing.assert_allclose(found.log_probabilities, greedy.log_probabilities, rtol=1e-4)


def test_the_seed_decides_and_batch_mates_change_nothing(source):
    model = bold_model()
    search = Sampling(model, count=3, max_length=10, seed=1)
    found, again = search(source), search(source)
    other = Sampling(model, count=3, max_length=10, seed=2)(source)
    np.testing.assert_array_equal(found.tokens, again.tokens)
    assert found.tokens.shape != other.tokens.shape or (found.tokens.numpy() != other.tokens.numpy()).any()
    for row, length in enumerate(LENGTHS):
        alone = search(source[row : row + 1, :length])
        for place in range(3):
            tokens = [np.trim_zeros(each.numpy()[place], "b") for each in (alone.tokens[0], found.tokens[row])]
            np.testing.assert_array_equal(*tokens)


@pytest.mark.slow
def test_log_probabilities_are_the_models_own(source):
    model = bold_model()
    found = Sampling(model, count=2, temperature=3.0, max_length=6)(source[:1])
    for place in range(2):
        tokens = np.trim_zeros(found.tokens.numpy()[0, place], "b")
        target = np.array([[START, *tokens[:-1]]])
        probabilities = softmax(numbers(model({"source": source[:1], "target": target}))[0])
        gains = np.log(probabilities[np.arange(len(tokens)), tokens])
        np.testing.assert_allclose(found.token_log_probabilities[0, place, : len(tokens)], gains, atol=1e-4)


def test_an_empty_source_has_an_empty_target(source):
    source[1] = 0
    source[1, 0] = END
    found = Sampling(bold_model(), count=2, max_length=6)(source)
    assert not found.tokens.numpy()[1].any() and not found.scores.numpy()[1].any()


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"temperature": 0}, "temperature is 0, but it must be above 0"),
        ({"width": 3}, "Sampling has no option width"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_p": 0}, "top_p is 0, but it must be above 0 and at most 1"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"count": 0}, "count is 0"),
        ({"seed": -1}, "seed is -1, but it must be 0 or more"),
        ({"seed": 1.0}, "seed is 1.0, but it must be a whole number"),
        ({"seed": 2**31}, "seed is 2147483648, but it must be from 0"),
    ],
)
def test_a_number_out_of_its_range_is_refused(options, sentence):
    with pytest.raises(InputError, match=sentence):
        Sampling(bold_model(), **options)
