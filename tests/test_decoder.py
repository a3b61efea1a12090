import keras
import numpy as np
import pytest
from helpers import numbers, softmax
from test_encoder import gru_in_numpy

from keras_attn.layers import Decoder

TARGET = np.array([[2, 5, 6, 7], [2, 8, 0, 0]], "int32")
MASK = np.array([[1, 1, 1], [1, 0, 0]], bool)


def decoder_with_inputs(rng, layers=1, cell="gru", **options):
    decoder = Decoder(12, 4, embedding_units=5, layers=layers, cell=cell, **options)
    values = rng.normal(size=(2, 3, 6)).astype("float32")
    state = [[rng.normal(size=(2, 4)).astype("float32") for _ in range(1 + (cell == "lstm"))] for _ in range(layers)]
    decoder.build((None, None), [[(2, 4)]], ((None, None, 6), None, None))
    return decoder, state, decoder.remember(values, MASK)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("options", [{}, {"scaled": False, "dropout": 0.5, "attention_dropout": 0.5}])
def test_the_whole_target_at_once_equals_step_by_step(rng, cell, layers, options):
    decoder, state, memory = decoder_with_inputs(rng, layers, cell, **options)
    logits, weights = decoder(TARGET, state, memory)
    assert logits.shape == (2, 4, 12) and weights.shape == (2, 4, 3)
    for position in range(4):
        step_logits, state, step_weights = decoder.step(TARGET[:, position], state, memory)
        np.testing.assert_allclose(numbers(step_logits), numbers(logits)[:, position], atol=1e-5)
        np.testing.assert_allclose(numbers(step_weights), numbers(weights)[:, position], atol=1e-6)


def test_it_equals_numpy(rng):
    decoder, _, memory = decoder_with_inputs(rng)
    zeros = [[np.zeros((2, 4), "float32")]]
    logits, _ = decoder(TARGET, zeros, memory)
    embeddings, *gru, keys, attentional, attentional_bias, output, output_bias = decoder.get_weights()
    values = numbers(memory.values)[0]
    hidden = gru_in_numpy(embeddings[TARGET[0]], gru)
    context = softmax(hidden @ (values @ keys).T / np.sqrt(4)) @ values
    vector = np.tanh(np.hstack([hidden, context]) @ attentional + attentional_bias)
    np.testing.assert_allclose(numbers(logits)[0], vector @ output + output_bias, atol=1e-5)


def test_padding_of_the_source_changes_nothing(rng):
    decoder, state, memory = decoder_with_inputs(rng)
    logits, weights = decoder(TARGET, state, memory)
    longer = decoder.remember(np.pad(numbers(memory.values), [(0, 0), (0, 2), (0, 0)]), np.pad(MASK, [(0, 0), (0, 2)]))
    longer_logits, longer_weights = decoder(TARGET, state, longer)
    np.testing.assert_allclose(numbers(longer_logits), numbers(logits), atol=1e-6)
    np.testing.assert_allclose(numbers(longer_weights)[..., :3], numbers(weights), atol=1e-6)


def test_a_target_position_sees_nothing_after_it(rng):
    decoder, state, memory = decoder_with_inputs(rng)
    changed = TARGET.copy()
    changed[:, 2:] = 9
    before, after = decoder(TARGET, state, memory)[0], decoder(changed, state, memory)[0]
    np.testing.assert_array_equal(numbers(before)[:, :2], numbers(after)[:, :2])
    assert not np.allclose(numbers(before)[:, 2:], numbers(after)[:, 2:])


def test_the_configuration_makes_the_same_layer():
    decoder = Decoder(12, 4, layers=2, cell="lstm", dropout=0.2, scaled=False, attention_dropout=0.1, project_keys=True)
    again = keras.layers.deserialize(keras.layers.serialize(decoder))
    assert again.get_config() == decoder.get_config()
