import keras
import numpy as np
import pytest
from helpers import numbers, softmax

from keras_attn import functional

# The worked example that Korean learners pass on: one decoder hidden state, four encoder hidden states.
QUERY = [[10, 5, 10]]
VALUES = [[0, 1, 1], [5, 0, 1], [1, 1, 0], [0, 5, 1]]
WEIGHTS = [[2.86251858e-20, 1.0, 2.86251858e-20, 1.38879439e-11]]


def test_scores_of_the_worked_example():
    np.testing.assert_array_equal(numbers(functional.dot_score(QUERY, VALUES)), [[15, 60, 15, 35]])


def test_weights_of_the_worked_example():
    weights = functional.attention_weights([[15, 60, 15, 35]])
    np.testing.assert_allclose(numbers(weights), WEIGHTS, rtol=1e-6)


def test_alignment_vectors_of_the_worked_example():
    alignments = numbers(functional.alignment_vectors(WEIGHTS, VALUES))
    assert alignments.shape == (1, 4, 3)
    np.testing.assert_array_equal(np.round(alignments[0]), [[0, 0, 0], [5, 0, 1], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(alignments[0, 3], [0, 5 * 1.38879439e-11, 1.38879439e-11], rtol=1e-6)


def test_context_of_the_worked_example():
    context = functional.context_vector(WEIGHTS, VALUES)
    np.testing.assert_allclose(numbers(context), [[5, 6.94397194e-11, 1]], rtol=1e-6)


def test_the_context_vector_is_the_sum_of_the_alignment_vectors(rng):
    weights, values = rng.random((2, 3, 4)), rng.normal(size=(2, 4, 5))
    total = keras.ops.sum(functional.alignment_vectors(weights, values), axis=-2)
    np.testing.assert_allclose(numbers(functional.context_vector(weights, values)), numbers(total), rtol=1e-5)


def test_scores_equal_numpy_for_a_batch(rng):
    query, keys = rng.normal(size=(2, 3, 8)), rng.normal(size=(2, 5, 8))
    expected = np.einsum("btu,bsu->bts", query, keys)
    np.testing.assert_allclose(numbers(functional.dot_score(query, keys)), expected, rtol=1e-5, atol=1e-6)
    scaled = functional.scaled_dot_score(query, keys)
    np.testing.assert_allclose(numbers(scaled), expected / np.sqrt(8), rtol=1e-5, atol=1e-6)


def test_masked_positions_have_exactly_no_weight_and_the_others_share_it_as_if_alone(rng):
    scores = rng.normal(size=(1, 3, 5)) * 10
    weights = numbers(functional.attention_weights(scores, np.array([[1, 1, 1, 0, 0]], bool)))
    assert (weights[..., 3:] == 0).all()
    np.testing.assert_allclose(weights[..., :3], softmax(scores[..., :3]), rtol=1e-4)


def test_a_row_without_any_token_has_weights_of_zero():
    weights = functional.attention_weights(np.ones((2, 1, 3)), np.array([[0, 0, 0], [1, 0, 0]], bool))
    np.testing.assert_array_equal(numbers(weights), [[[0, 0, 0]], [[1, 0, 0]]])


def test_weights_are_at_least_float32_and_large_scores_do_not_overflow():
    weights = functional.attention_weights(keras.ops.cast([[1000.0, 0.0]], "float16"))
    assert weights.dtype == "float32"
    np.testing.assert_array_equal(numbers(weights), [[1, 0]])
    assert functional.attention_weights(np.zeros((1, 2), "float64")).dtype == "float64"


def test_query_and_keys_of_different_sizes_are_refused_with_both_shapes():
    with pytest.raises(ValueError, match=r"\(1, 3\).*\(4, 2\)"):
        functional.dot_score(np.ones((1, 3)), np.ones((4, 2)))
