import keras
import numpy as np
import pytest
from helpers import numbers

from keras_attn.layers.time import over_time


def running_sums(vectors, counts):
    """Sums of all vectors so far, and how many there were, in several types and places."""

    def step(inputs, state):
        total, count = state["sum"][0] + inputs["vector"], state["count"] + 1
        return (total, keras.ops.cast(count[:, None], "float32") + inputs["offset"]), {"sum": [total], "count": count}

    state = {"sum": [keras.ops.zeros_like(vectors[:, 0])], "count": keras.ops.zeros_like(counts[:, 0, 0], "int32")}
    outputs = keras.ops.zeros_like(vectors[:, 0]), keras.ops.zeros_like(counts[:, 0])
    return over_time(step, state, outputs, {"vector": vectors, "offset": counts})


@pytest.fixture
def vectors(rng):
    return keras.ops.convert_to_tensor(rng.normal(size=(2, 5, 3)), "float32")


@pytest.fixture
def offsets():
    return keras.ops.ones((2, 5, 1))


def test_each_position_gets_the_state_after_the_one_before(vectors, offsets):
    sums, counts = running_sums(vectors, offsets)
    np.testing.assert_allclose(numbers(sums), numbers(vectors).cumsum(1), rtol=1e-5)
    np.testing.assert_array_equal(numbers(counts), np.tile(np.arange(2, 7)[None, :, None], (2, 1, 1)))


def test_types_are_kept(vectors, offsets):
    sums, counts = running_sums(keras.ops.cast(vectors, "bfloat16"), offsets)
    assert (sums.dtype, counts.dtype) == ("bfloat16", "float32")


def test_float64_is_as_exact_as_it_is(rng, offsets):
    vectors = rng.normal(size=(2, 5, 3))
    sums, _ = running_sums(keras.ops.convert_to_tensor(vectors, "float64"), offsets)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(sums), vectors.cumsum(1), rtol=1e-13)


def test_shapes_may_be_unknown_and_gradients_flow(vectors, offsets):
    tf = pytest.importorskip("tensorflow")
    signature = [tf.TensorSpec([None, None, 3]), tf.TensorSpec([None, None, 1])]

    @tf.function(input_signature=signature)
    def sums_and_gradient(vectors, offsets):
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            sums, _ = running_sums(vectors, offsets)
            total = tf.reduce_sum(sums)
        return sums, tape.gradient(total, vectors)

    sums, gradient = sums_and_gradient(vectors, offsets)
    np.testing.assert_allclose(sums, numbers(vectors).cumsum(1), rtol=1e-5)
    # The vector at a position is part of its own sum and of all later ones.
    np.testing.assert_array_equal(gradient, np.tile(np.arange(5, 0, -1)[None, :, None], (2, 1, 3)))
