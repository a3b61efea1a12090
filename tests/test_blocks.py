import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from keras_attn.kernels.blocks import best_continuations, best_token, in_blocks, most_probable

SIZES = [1, 15, 16, 250, 257, 1009]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("known", [True, False])
def test_the_best_token_is_the_first_with_the_highest_logit(rng, size, known):
    logits = rng.integers(-3, 3, (2, 4, size)).astype("float32")
    logits[0] -= 1e9  # far from the zeros that filling up might leave
    shape = [None, None, size if known else None]
    find = tf.function(lambda logits: best_token(in_blocks(logits)), input_signature=[tf.TensorSpec(shape)])
    np.testing.assert_array_equal(find(logits), logits.argmax(-1))


@pytest.mark.parametrize("size", SIZES)
def test_the_most_probable_has_the_probability_of_a_softmax(rng, size):
    logits = (30 * rng.normal(size=(3, size))).astype("float32")
    largest, gain = most_probable(tf.constant(logits), in_blocks(tf.constant(logits)))
    np.testing.assert_array_equal(largest, logits.max(-1))
    shifted = logits.astype("float64") - logits.max(-1, keepdims=True)
    np.testing.assert_allclose(gain, -np.log(np.exp(shifted).sum(-1)), atol=1e-5)


@pytest.mark.parametrize("size", [1, 7, 30, 509, 1000])
@pytest.mark.parametrize("width", [1, 2, 5])
def test_the_best_continuations_are_those_of_a_sort(rng, size, width):
    """Numbers of which many are equal, and some minus infinity."""
    gains = -rng.integers(0, 9, (50, width, size)).astype("float32")
    gains[rng.random(gains.shape) < 0.3] = -np.inf
    gains[3] = -np.inf
    gains[10:] -= 9 * (rng.random(gains[10:].shape) > 3 / size)  # the best are few, and in different blocks
    totals = -rng.integers(0, 3, (50, width)).astype("float32")
    totals[2, 1:] = -np.inf
    places, tokens = best_continuations(tf.constant(totals), in_blocks(tf.constant(gains)))
    everything = (totals[:, :, None] + gains).reshape(50, -1)
    expected = np.argsort(-everything, axis=1, kind="stable")[:, :width]
    possible = np.take_along_axis(everything, expected, axis=1) > -np.inf
    np.testing.assert_array_equal((places * size + tokens)[possible], expected[possible])
    for found, count in ((places, width), (tokens, size)):
        assert tf.reduce_all((found >= 0) & (found < count))


def test_where_there_are_fewer_continuations_than_places_none_comes_twice():
    logits = tf.constant([[[0.3, 0.1]] * 3])
    totals = tf.constant([[0.0, float("-inf"), float("-inf")]])
    places, tokens = best_continuations(totals, in_blocks(logits))
    written = list(zip(places.numpy()[0].tolist(), tokens.numpy()[0].tolist()))
    assert written[:2] == [(0, 0), (0, 1)]
    assert written[2][0] > 0 or written[2][1] == 0
