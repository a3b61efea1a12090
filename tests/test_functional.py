import keras
import numpy as np
import pytest
import tensorflow as tf
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


def test_general_scores_are_dot_products_with_a_matrix_between(rng):
    query, keys, kernel = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 6)), rng.normal(size=(6, 4))
    expected = np.einsum("btu,mu,bsm->bts", query, kernel, keys)
    np.testing.assert_allclose(numbers(functional.general_score(query, keys, kernel)), expected, rtol=1e-5)


def test_vectors_whose_size_is_not_known_beforehand_are_projected(rng):
    vectors, kernel = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 5))
    signature = [tf.TensorSpec([None, None, None], tf.float64)]
    projected = tf.function(lambda vectors: functional.project(vectors, kernel), signature)
    assert projected.get_concrete_function().output_shapes.as_list() == [None, None, 5]
    np.testing.assert_allclose(projected(vectors), vectors @ kernel)


def test_vectors_and_matrices_may_be_lists():
    query, keys, kernel = [[[1, 2]]], [[[3], [4]]], [[5, 6]]
    np.testing.assert_array_equal(functional.general_score(query, keys, kernel), [[[51, 68]]])
    np.testing.assert_array_equal(functional.location_score(query, [[1, 0], [0, 1]], 2), [[[1, 2]]])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_cosine_scores_are_about_directions_alone_and_a_vector_of_zeros_fits_none(dtype):
    query = keras.ops.cast([[3, 4], [0, 0]], dtype)
    keys = keras.ops.cast([[3, 4], [-4, 3], [-6, -8], [0, 5], [0, 0]], dtype)
    scores = functional.cosine_score(query, keys)
    np.testing.assert_allclose(numbers(scores), [[1, 0, -1, 0.8, 0], [0, 0, 0, 0, 0]], atol=1e-3)


def test_additive_scores_equal_the_equation_for_each_pair(rng):
    query, keys, scale, bias = (rng.normal(size=size) for size in [(2, 3, 4), (2, 5, 4), 4, 4])
    scores = numbers(functional.additive_score(query, keys, scale, bias))
    without_bias = numbers(functional.additive_score(query, keys, scale))
    for row, target, source in np.ndindex(2, 3, 5):
        together = query[row, target] + keys[row, source]
        np.testing.assert_allclose(scores[row, target, source], scale @ np.tanh(together + bias), rtol=1e-5)
        np.testing.assert_allclose(without_bias[row, target, source], scale @ np.tanh(together), rtol=1e-5)


def test_a_weight_normalized_vector_has_its_direction_and_the_given_length():
    np.testing.assert_allclose(numbers(functional.weight_normalized(np.array([0.3, 0.4]), 10)), [6, 8], rtol=1e-6)


def test_location_scores_of_a_short_source_are_those_of_its_positions(rng):
    query, kernel = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 5))
    scores = functional.location_score(query, kernel, 3)
    np.testing.assert_allclose(numbers(scores), (query @ kernel)[..., :3], rtol=1e-5)


def test_location_scores_give_positions_after_their_last_no_weight(rng):
    query, kernel = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 5))
    weights = numbers(functional.attention_weights(functional.location_score(query, kernel, 8)))
    np.testing.assert_allclose(weights[..., :5], softmax(query @ kernel), rtol=1e-5)
    np.testing.assert_array_equal(weights[..., 5:], 0)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_location_scores_give_no_weight_where_the_mask_lets_only_later_positions_through(dtype):
    scores = functional.location_score(keras.ops.ones((1, 2), dtype), keras.ops.ones((2, 3), dtype), 5)
    weights = functional.attention_weights(scores, np.array([0, 0, 0, 1, 1], bool))
    np.testing.assert_array_equal(numbers(weights), np.zeros((1, 5)))


def test_a_window_reaches_as_far_as_its_width_on_both_sides_and_no_farther_than_the_source():
    mask = functional.window_mask(np.array([[0, 2], [2.5, 9]]), 5, 2)
    expected = [[[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], [[0, 1, 1, 1, 1], [0, 0, 0, 0, 0]]]
    np.testing.assert_array_equal(numbers(mask), np.array(expected, bool))


def test_a_gaussian_is_one_at_its_center_and_falls_to_both_sides():
    found = functional.gaussian(np.array([1.0, 2.5]), 4, 2)
    expected = [np.exp([-1 / 8, 0, -1 / 8, -4 / 8]), np.exp([-6.25 / 8, -2.25 / 8, -0.25 / 8, -0.25 / 8])]
    np.testing.assert_allclose(numbers(found), expected, rtol=1e-6)


def test_each_query_can_have_a_mask_of_its_own():
    mask = np.array([[[1, 1, 0], [0, 1, 1], [0, 0, 0]]], bool)
    expected = [[[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 0]]]
    np.testing.assert_array_equal(numbers(functional.attention_weights(np.zeros((1, 3, 3)), mask)), expected)


def test_the_coverage_loss_worked_by_hand():
    weights = np.array([[0.5, 0.5, 0], [0.5, 0.25, 0.25], [0, 0, 1]])
    # Looked at before: nothing, then [0.5, 0.5, 0], then [1, 0.75, 0.25].
    np.testing.assert_allclose(numbers(functional.coverage_loss(weights)), [0, 0.5 + 0.25, 0.25], rtol=1e-6)


def test_the_coverage_loss_equals_its_equation_for_a_batch(rng):
    weights = softmax(rng.normal(size=(2, 4, 5)))
    found = numbers(functional.coverage_loss(weights))
    for row, target in np.ndindex(2, 4):
        coverage = weights[row, :target].sum(0)
        np.testing.assert_allclose(found[row, target], np.minimum(weights[row, target], coverage).sum(), atol=1e-6)


def starts(batch, source_length):
    """The previous weights of a first query: all at position 0."""
    return np.eye(1, source_length).repeat(batch, 0)


def probabilities(scores):
    return 1 / (1 + np.exp(-scores))


def recursion_of_raffel(scores, previous):
    """Raffel et al. 2017, equations 9 and 10, for one row."""
    stopping, reaching, weights = probabilities(scores), 0.0, []
    for position in range(len(scores)):
        reaching = (1 - stopping[position - 1]) * reaching + previous[position]
        weights.append(stopping[position] * reaching)
    return np.array(weights)


def walk(stops, start):
    """The first position from the start on where to stop, or the source's length."""
    while start < len(stops) and not stops[start]:
        start += 1
    return start


def test_monotonic_weights_follow_the_recursion_of_the_paper(rng):
    ours = expected = starts(2, 6)
    for scores in rng.normal(size=(4, 2, 6)) * 2:
        ours = functional.monotonic_weights(scores, ours)
        expected = np.array([recursion_of_raffel(*row) for row in zip(scores, expected)])
        np.testing.assert_allclose(numbers(ours), expected, rtol=1e-5, atol=1e-7)


def test_monotonic_weights_are_how_often_a_random_walk_stops_there(rng):
    scores, previous = rng.normal(size=4), rng.dirichlet(np.ones(4))
    stopping = probabilities(scores)
    expected = np.zeros(5)
    for start, *stops in np.ndindex(4, 2, 2, 2, 2):
        chance = np.where(stops, stopping, 1 - stopping).prod()
        expected[walk(stops, start)] += previous[start] * chance
    np.testing.assert_allclose(numbers(functional.monotonic_weights(scores, previous)), expected[:4], rtol=1e-5)


def test_monotonic_weights_of_a_long_source_with_strong_scores_stay_exact(rng):
    scores = np.concatenate([np.full(300, 50), rng.normal(size=300) - 4]).astype("float32")
    previous = np.eye(600, dtype="float32")[300]
    found = numbers(functional.monotonic_weights(scores, previous))
    np.testing.assert_allclose(found, recursion_of_raffel(scores.astype("float64"), previous), rtol=1e-4, atol=1e-7)


def test_monotonic_weights_of_decided_scores_are_those_without_chance(rng):
    soft = hard = starts(8, 40)
    for scores in rng.choice([-50.0, 50.0], size=(5, 8, 40), p=[0.8, 0.2]):
        soft, hard = functional.monotonic_weights(scores, soft), functional.hard_monotonic_weights(scores, hard)
        np.testing.assert_allclose(numbers(soft), numbers(hard), atol=1e-6)
        assert (numbers(soft).sum(-1) <= 1 + 1e-6).all()


def test_monotonic_weights_add_up_to_one_where_the_last_position_stops_everything(rng):
    scores = rng.normal(size=(3, 6))
    scores[:, -1] = 1000
    weights = functional.monotonic_weights(scores, rng.dirichlet(np.ones(6), size=3))
    np.testing.assert_allclose(numbers(weights).sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("weigh", [functional.monotonic_weights, functional.hard_monotonic_weights])
def test_a_monotonic_alignment_gives_padding_nothing_and_the_rest_what_it_has_without(rng, weigh):
    scores, previous = rng.normal(size=(2, 6)) + 1, starts(2, 6)
    weights = numbers(weigh(scores, previous, np.array([[1, 1, 1, 0, 0, 0]] * 2, bool)))
    np.testing.assert_array_equal(weights[:, 3:], 0)
    np.testing.assert_allclose(weights[:, :3], numbers(weigh(scores[:, :3], previous[:, :3])), rtol=1e-5)


@pytest.mark.parametrize("weigh", [functional.monotonic_weights, functional.hard_monotonic_weights])
def test_the_worked_example_of_a_monotonic_alignment_can_be_written_as_lists(weigh):
    weights = weigh([-1000.0, 1000.0, 1000.0], [1.0, 0.0, 0.0])
    np.testing.assert_allclose(numbers(weights), [0, 1, 0], atol=1e-6)


def test_hard_monotonic_weights_follow_a_walk_along_the_source(rng):
    weights, positions = starts(20, 6), [0] * 20
    for scores in rng.normal(size=(4, 20, 6)) - 0.5:
        weights = functional.hard_monotonic_weights(scores, weights)
        positions = [walk(row > 0, position) for row, position in zip(scores, positions)]
        np.testing.assert_array_equal(numbers(weights), np.eye(7)[positions, :6])
    assert {6} < set(positions)  # some have gone past the end, some not


def test_a_hard_monotonic_alignment_that_has_chosen_nothing_chooses_nothing_ever_after():
    nothing = functional.hard_monotonic_weights(np.array([[-1.0, -1.0]]), starts(1, 2))
    np.testing.assert_array_equal(numbers(nothing), [[0, 0]])
    np.testing.assert_array_equal(numbers(functional.hard_monotonic_weights(np.ones((1, 2)), nothing)), [[0, 0]])


def weighted_sum_and_gradients(scores, previous, mask, factors):
    scores, previous = tf.constant(scores), tf.constant(previous)
    with tf.GradientTape() as tape:
        tape.watch([scores, previous])
        total = tf.reduce_sum(functional.monotonic_weights(scores, previous, mask) * factors)
    return total.numpy(), [gradient.numpy() for gradient in tape.gradient(total, [scores, previous])]


def test_gradients_of_monotonic_weights_equal_numeric_differences(rng):
    inputs, factors = [rng.normal(size=6), rng.dirichlet(np.ones(6))], rng.normal(size=6)
    mask = np.array([1, 1, 1, 1, 1, 0], bool)
    _, gradients = weighted_sum_and_gradients(*inputs, mask, factors)
    for gradient, changed in zip(gradients, inputs):
        for position in range(6):
            differences = []
            for step in (1e-5, -2e-5):
                changed[position] += step
                differences.append(weighted_sum_and_gradients(*inputs, mask, factors)[0])
            changed[position] += 1e-5
            np.testing.assert_allclose(gradient[position], (differences[0] - differences[1]) / 2e-5, atol=1e-7)


def test_gradients_of_monotonic_weights_are_finite_where_scores_are_decided(rng):
    scores = rng.choice([-50.0, 50.0], size=(3, 30))
    mask = np.arange(30) < [[30], [10], [0]]
    _, gradients = weighted_sum_and_gradients(scores, starts(3, 30), mask, rng.normal(size=(3, 30)))
    assert all(np.isfinite(gradient).all() for gradient in gradients)
