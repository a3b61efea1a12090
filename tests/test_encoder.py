import keras
import numpy as np
import pytest
from helpers import disturb_weights, gru_in_numpy, lstm_in_numpy, numbers, random_ids

from keras_attn.layers import Encoder, RecurrentStack, TokenEmbedding

LENGTHS = (5, 3, 0)


def encoder_with_source(rng, embedding_units=3, **options):
    encoder = Encoder(TokenEmbedding(20, embedding_units), RecurrentStack(4, **{"bidirectional": True, **options}))
    encoder.build((None, None))
    disturb_weights(encoder, rng)
    return encoder, random_ids(rng, 20, LENGTHS)


@pytest.mark.parametrize("cell, in_numpy", [("gru", gru_in_numpy), ("lstm", lstm_in_numpy)])
def test_a_bidirectional_encoder_equals_numpy(rng, cell, in_numpy):
    encoder, source = encoder_with_source(rng, cell=cell)
    values, state = encoder(source, source != 0)
    (table,) = encoder.embedding.get_weights()
    (layer,) = encoder.stack.recurrent
    for row, length in enumerate(LENGTHS[:2]):
        embedded = table[source[row, :length]]
        there = in_numpy(embedded, layer.forward_layer.get_weights())
        back = in_numpy(embedded[::-1], layer.backward_layer.get_weights())[::-1]
        np.testing.assert_allclose(numbers(values)[row, :length], np.hstack([there, back]), atol=1e-5)
        np.testing.assert_allclose(numbers(state[0][0])[row], np.hstack([there[-1], back[0]]), atol=1e-5)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("bidirectional", [True, "first", False])
@pytest.mark.parametrize("layers", [1, 2])
def test_padding_and_batch_mates_change_nothing(rng, cell, bidirectional, layers):
    encoder, source = encoder_with_source(rng, layers=layers, cell=cell, bidirectional=bidirectional)
    values, state = encoder(source, source != 0)
    padded = np.pad(source[::-1], [(0, 0), (0, 4)])
    padded_values, padded_state = encoder(padded, padded != 0)
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(numbers(values)[row, :length], numbers(padded_values)[2 - row, :length], atol=1e-6)
    for ours, theirs in zip(keras.tree.flatten(state), keras.tree.flatten(padded_state)):
        np.testing.assert_allclose(numbers(ours), numbers(theirs)[::-1], atol=1e-6)


@pytest.mark.parametrize("cell, tensors", [("gru", 1), ("lstm", 2)])
@pytest.mark.parametrize("bidirectional, units", [(True, [8, 8]), ("first", [8, 4]), (False, [4, 4])])
def test_values_and_state_have_the_announced_shapes(rng, cell, tensors, bidirectional, units):
    encoder, source = encoder_with_source(rng, layers=2, cell=cell, bidirectional=bidirectional)
    values, state = encoder(source, source != 0)
    assert values.shape == (3, 5, units[1]) and encoder.memory_units == units[1]
    assert [[tuple(tensor.shape) for tensor in layer] for layer in state] == [[(3, size)] * tensors for size in units]
    assert encoder.state_shape == [[(None, size)] * tensors for size in units]


def test_a_fully_padded_row_gives_a_state_of_zero(rng):
    encoder, source = encoder_with_source(rng)
    _, ((state,),) = encoder(source, source != 0)
    np.testing.assert_array_equal(numbers(state)[2], np.zeros(8))


def test_the_configuration_makes_the_same_layer(rng):
    encoder, _ = encoder_with_source(rng, layers=2, cell="lstm", bidirectional="first", residual=True, dropout=0.2)
    again = keras.layers.deserialize(keras.layers.serialize(encoder))
    assert again.get_config() == encoder.get_config()
