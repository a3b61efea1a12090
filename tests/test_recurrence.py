"""The recurrent unit with its gradient written out: against Keras's layer, NumPy and itself among other neighbours."""

import keras
import numpy as np
import pytest
from helpers import gru_in_numpy, run_python

tf = pytest.importorskip("tensorflow")

from keras_attn import products
from keras_attn.kernels import recurrence
from keras_attn.kernels.backend import has_no_faster_layers
from keras_attn.kernels.recurrence import gated_recurrence
from keras_attn.layers.stack import GRU

UNITS, INPUT_UNITS = 4, 3
UNDER_JAX = """
import jax, keras, numpy as np
from keras import ops
from keras_attn.layers.stack import GRU

rng = np.random.default_rng(0)
inputs, start = rng.normal(size=(4, 5, 3)).astype("float32"), rng.normal(size=(4, 4)).astype("float32")
mask = np.arange(5) < np.array([5, 0, 3, 1])[:, None]
weights = [rng.normal(size=shape).astype("float32") for shape in ((3, 12), (4, 12), (2, 12))]

def value_and_gradients(kind, go_backwards, dtype="float32"):
    layer = kind(4, return_sequences=True, return_state=True, go_backwards=go_backwards, dtype=dtype)
    layer.build((None, None, 3))
    layer.set_weights(weights)
    order = mask[:, ::-1] if go_backwards else mask
    def value(weights, inputs, start):
        others = [variable.value for variable in layer.non_trainable_variables]
        (outputs, state), _ = layer.stateless_call(weights, others, inputs, initial_state=start, mask=mask, training=True)
        return ops.sum(ops.where(order[..., None], outputs, 0) * np.arange(4)) + ops.sum(state**2)
    given = [variable.value for variable in layer.trainable_variables], inputs, start
    return jax.tree.leaves(jax.jit(jax.value_and_grad(value, (0, 1, 2)))(*given))

for go_backwards in (False, True):
    found = value_and_gradients(GRU, go_backwards)
    theirs = value_and_gradients(keras.layers.GRU, go_backwards)
    for ours, expected in zip(found, theirs, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)
    for halved, expected in zip(value_and_gradients(GRU, go_backwards, "mixed_bfloat16"), theirs, strict=True):
        assert 0 < np.linalg.norm(halved - expected) < 0.02 * np.linalg.norm(expected)
layer = GRU(4)
keras.layers.GRU.inner_loop = None
print(keras.backend.backend(), len(found), layer(inputs).shape)
"""
LENGTHS = {"mixed": [5, 3, 1, 4], "with an empty row": [2, 0, 5], "full": [5, 5], "one": [5], "nobody": []}


def weights_of(rng):
    """Kernel, recurrent kernel and bias, all away from zero."""
    shapes = (INPUT_UNITS, 3 * UNITS), (UNITS, 3 * UNITS), (2, 3 * UNITS)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def inputs_of(rng, lengths, padding=0):
    """Inputs with numbers everywhere, a start, and the mask."""
    size = 5 + padding
    inputs = rng.normal(size=(len(lengths), size, INPUT_UNITS)).astype("float32")
    start = rng.normal(size=(len(lengths), UNITS)).astype("float32")
    return inputs, start, np.arange(size) < np.array(lengths, int).reshape(-1, 1)


def layers_of(weights, **options):
    """Ours and Keras's own with these weights."""
    layers = [kind(UNITS, return_sequences=True, return_state=True, **options) for kind in (GRU, keras.layers.GRU)]
    for layer in layers:
        layer.build((None, None, INPUT_UNITS))
        layer.set_weights(weights)
    return layers


def outputs_and_gradients(layer, inputs, start, mask):
    """Outputs where there is no padding, final state, and gradients of a value that hangs on each number of these."""
    inputs, start = tf.constant(inputs), tf.constant(start)
    with tf.GradientTape() as tape:
        tape.watch([inputs, start])
        found = layer(inputs, initial_state=start, mask=mask, training=True)
        outputs, state = (tf.cast(each, "float32") for each in found)
        order = np.flip(mask, axis=1) if layer.go_backwards else mask
        outputs = tf.boolean_mask(outputs, order)
        weights = 1 + tf.range(tf.size(outputs), dtype=tf.int32) % 7
        value = tf.reduce_sum(tf.cast(weights, tf.float32) * tf.reshape(outputs, [-1])) + tf.reduce_sum(state**2)
    variables = [weight.value for weight in layer.trainable_weights]
    return [outputs, state, *tape.gradient(value, [inputs, start, *variables])]


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_it_equals_the_layer_of_keras_and_its_gradients(rng, lengths, go_backwards):
    given = inputs_of(rng, LENGTHS[lengths])
    ours, theirs = layers_of(weights_of(rng), go_backwards=go_backwards)
    for found, expected in zip(*(outputs_and_gradients(layer, *given) for layer in (ours, theirs)), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-5)


def test_in_bfloat16_it_multiplies_in_it_and_is_nearer_to_float32_than_the_layer_of_keras(rng, monkeypatch):
    weights, given = weights_of(rng), inputs_of(rng, LENGTHS["mixed"])
    kinds = set()

    def product(left, right, **options):
        kinds.update((left.dtype, right.dtype))
        return products.product(left, right, **options)

    monkeypatch.setattr(recurrence, "product", product)
    _, exact = layers_of(weights)
    halved = layers_of(weights, dtype="mixed_bfloat16")
    expected, ours, theirs = (outputs_and_gradients(layer, *given) for layer in (exact, *halved))
    for right, found, other in zip(expected, ours, theirs, strict=True):
        rounding, others_rounding = (np.linalg.norm(tf.cast(each, "float32") - right) for each in (found, other))
        assert rounding < others_rounding
    assert kinds == {tf.bfloat16}


def test_keras_is_not_asked(rng, monkeypatch):
    ours, _ = layers_of(weights_of(rng))
    monkeypatch.setattr(keras.layers.GRU, "inner_loop", None)
    inputs, start, mask = inputs_of(rng, LENGTHS["mixed"])
    ours(inputs, initial_state=start, mask=mask)


def test_it_equals_numpy(rng):
    weights = weights_of(rng)
    inputs = rng.normal(size=(2, 6, INPUT_UNITS)).astype("float32")
    states = gated_recurrence(tf.constant(inputs), tf.zeros([2, UNITS]), None, *map(tf.constant, weights))
    for found, sentence in zip(states, inputs, strict=True):
        np.testing.assert_allclose(found, gru_in_numpy(sentence, weights), atol=1e-5)


def test_gradients_equal_finite_differences(rng):
    inputs, start, mask = inputs_of(rng, [3, 2])
    given = [tf.constant(each) for each in (inputs, start, *weights_of(rng))]
    function = tf.function(lambda inputs, start, *weights: gated_recurrence(inputs, start, mask, *weights)[:, -1])
    for written_out, numeric in zip(*tf.test.compute_gradient(function, given, delta=1e-2), strict=True):
        np.testing.assert_allclose(written_out, numeric, atol=5e-3)


def test_more_padding_changes_no_bit(rng):
    weights, (inputs, start, mask) = weights_of(rng), inputs_of(rng, [5, 3, 1, 0], padding=3)

    def last(until, padding):
        values = [tf.Variable(weight) for weight in weights]
        with tf.GradientTape() as tape:
            padded = np.where(mask[..., None], inputs, padding).astype("float32")[:, :until]
            states = gated_recurrence(tf.constant(padded), tf.constant(start), mask[:, :until], *values)
            value = tf.reduce_sum(states[:, -1])
        return [states[:, -1], *tape.gradient(value, values)]

    for short, long in zip(last(5, 0.0), last(8, 9.0), strict=True):
        np.testing.assert_allclose(short, long, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(last(8, 9.0)[0][3], start[3])


@pytest.mark.parametrize("batch, length", [(None, None), (2, None), (None, 3), (0, None)])
def test_shapes_may_be_known_only_when_it_runs(rng, batch, length):
    ours, _ = layers_of(weights_of(rng))
    inputs = rng.normal(size=(2 if batch is None else batch, 3, INPUT_UNITS)).astype("float32")

    def gradient(inputs):
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(ours(inputs)[0] ** 2)
        return tape.gradient(value, ours.trainable_weights[0].value)

    traced = tf.function(gradient, input_signature=[tf.TensorSpec([batch, length, INPUT_UNITS])])
    np.testing.assert_allclose(traced(inputs), gradient(tf.constant(inputs)), rtol=1e-5)


@pytest.mark.slow
def test_under_jax_it_equals_the_layer_of_keras_too(tmp_path):
    pytest.importorskip("jax")
    printed = run_python(UNDER_JAX, cwd=tmp_path, KERAS_BACKEND="jax")
    assert printed.split(maxsplit=2) == ["jax", "6", "(4, 4)\n"]


def test_with_tensorflow_a_graphics_processor_has_something_faster(monkeypatch):
    assert has_no_faster_layers()
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
    assert not has_no_faster_layers()


def test_recurrent_dropout_is_left_to_keras_in_training_alone(rng, monkeypatch):
    ours, _ = layers_of(weights_of(rng), recurrent_dropout=0.5)
    monkeypatch.setattr(keras.layers.GRU, "inner_loop", None)
    inputs = np.ones((1, 2, INPUT_UNITS), "float32")
    ours(inputs, training=False)
    with pytest.raises(TypeError, match="not callable"):
        ours(inputs, training=True)
