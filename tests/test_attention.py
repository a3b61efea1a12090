import keras
import numpy as np
import pytest
from helpers import numbers, softmax

from keras_attn import BahdanauStyleDotAttention

MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool)


@pytest.fixture
def query(rng):
    return rng.normal(size=(2, 3, 6)).astype("float32")


@pytest.fixture
def values(rng):
    return rng.normal(size=(2, 4, 6)).astype("float32")


def theirs(query, values):
    """Keras's own layer, each sentence without its padding: `(context, weights)` padded again."""
    layer = keras.layers.Attention()
    context, weights = layer([query[:1], values[:1]], return_attention_scores=True)
    short_context, short_weights = layer([query[1:], values[1:, :2]], return_attention_scores=True)
    weights = keras.ops.concatenate([weights, keras.ops.pad(short_weights, [(0, 0), (0, 0), (0, 2)])])
    return keras.ops.concatenate([context, short_context]), weights


def test_it_equals_the_attention_layer_of_keras(query, values):
    for ours, expected in zip(BahdanauStyleDotAttention()(query, values, mask=MASK), theirs(query, values)):
        np.testing.assert_allclose(numbers(ours), numbers(expected), rtol=1e-5, atol=1e-6)


def test_its_gradients_equal_those_of_the_attention_layer_of_keras(query, values):
    tf = pytest.importorskip("tensorflow")
    layer = BahdanauStyleDotAttention()
    query, values = tf.constant(query), tf.constant(values)

    def gradients(attend):
        with tf.GradientTape() as tape:
            tape.watch([query, values])
            loss = tf.reduce_sum(attend(query, values)[0] ** 2)
        return tape.gradient(loss, [query, values])

    found = gradients(lambda query, values: layer(query, values, mask=MASK))
    for ours, expected in zip(found, gradients(theirs)):
        np.testing.assert_allclose(numbers(ours), numbers(expected), rtol=1e-4, atol=1e-5)


def test_scaled_equals_numpy(query, values):
    context, weights = BahdanauStyleDotAttention(scaled=True)(query, values)
    expected = softmax(np.einsum("btu,bsu->bts", query, values) / np.sqrt(6))
    np.testing.assert_allclose(numbers(weights), expected, rtol=1e-5)
    np.testing.assert_allclose(numbers(context), expected @ values, rtol=1e-4, atol=1e-5)


def test_one_step_is_one_row_of_the_whole_target(query, values):
    attention = BahdanauStyleDotAttention()
    contexts, weights = attention(query, values, mask=MASK)
    context, weight = attention(query[:, 1], values, mask=MASK)
    assert context.shape == (2, 6) and weight.shape == (2, 4)
    np.testing.assert_allclose(numbers(context), numbers(contexts[:, 1]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(numbers(weight), numbers(weights[:, 1]), rtol=1e-5, atol=1e-6)


def test_values_of_another_size_are_projected_to_keys(rng, query):
    values = rng.normal(size=(2, 4, 10)).astype("float32")
    attention = BahdanauStyleDotAttention()
    context, weights = attention(query, values)
    (matrix,) = attention.get_weights()
    expected = softmax(np.einsum("btu,bsu->bts", query, values @ matrix))
    np.testing.assert_allclose(numbers(weights), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(numbers(context), expected @ values, rtol=1e-4, atol=1e-5)


def test_keys_given_are_used_as_they_are(query, values):
    attention = BahdanauStyleDotAttention(project_keys=True)
    expected = attention(query, values)
    found = attention(query, values, keys=attention.project(values))
    np.testing.assert_array_equal(numbers(found[1]), numbers(expected[1]))


@pytest.mark.parametrize("project_keys, matrices", [(True, 1), (False, 0), (None, 0)])
def test_keys_are_projected_when_asked_for(query, values, project_keys, matrices):
    attention = BahdanauStyleDotAttention(project_keys=project_keys)
    attention(query, values)
    assert len(attention.weights) == matrices


def test_sizes_that_differ_are_refused_where_projection_is_forbidden(query):
    with pytest.raises(ValueError, match=r"\(2, 3, 6\).*\(2, 4, 5\).*project_keys"):
        BahdanauStyleDotAttention(project_keys=False)(query, np.ones((2, 4, 5)))


def test_dropout_acts_in_training_alone_and_leaves_the_returned_weights_whole(query, values):
    attention = BahdanauStyleDotAttention(dropout=0.5)
    plain = attention(query, values)
    dropped = attention(query, values, training=True)
    assert not np.allclose(numbers(dropped[0]), numbers(plain[0]))
    np.testing.assert_array_equal(numbers(dropped[1]), numbers(plain[1]))


def test_it_works_in_a_functional_model(query, values):
    inputs = keras.Input((3, 6)), keras.Input((4, 6))
    model = keras.Model(inputs, BahdanauStyleDotAttention()(*inputs))
    context, weights = model.predict([query, values], verbose=0)
    assert context.shape == (2, 3, 6) and weights.shape == (2, 3, 4)


def test_the_configuration_makes_the_same_layer():
    layer = BahdanauStyleDotAttention(project_keys=True, scaled=True, dropout=0.25, seed=3)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert again.get_config() == layer.get_config()
