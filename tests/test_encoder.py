import keras
import numpy as np
import pytest
from helpers import numbers, random_ids

from keras_attn.layers import Encoder

LENGTHS = (5, 3, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_in_numpy(inputs, weights):
    """Cho et al. 2014 with the reset gate after the product, as cuDNN has it; one sentence `(length, units)`."""
    kernel, recurrent, (bias, recurrent_bias) = weights
    units = recurrent.shape[0]
    state, states = np.zeros(units), []
    for x in inputs:
        update_x, reset_x, new_x = np.split(x @ kernel + bias, 3)
        update_h, reset_h, new_h = np.split(state @ recurrent + recurrent_bias, 3)
        update, reset = sigmoid(update_x + update_h), sigmoid(reset_x + reset_h)
        state = update * state + (1 - update) * np.tanh(new_x + reset * new_h)
        states.append(state)
    return np.array(states)


def lstm_in_numpy(inputs, weights):
    """Hochreiter and Schmidhuber 1997 with forget gate; one sentence `(length, units)`."""
    kernel, recurrent, bias = weights
    hidden = cell = np.zeros(recurrent.shape[0])
    states = []
    for x in inputs:
        enter, forget, new, leave = np.split(x @ kernel + hidden @ recurrent + bias, 4)
        cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(new)
        hidden = sigmoid(leave) * np.tanh(cell)
        states.append(hidden)
    return np.array(states)


@pytest.mark.parametrize("cell, in_numpy", [("gru", gru_in_numpy), ("lstm", lstm_in_numpy)])
def test_a_bidirectional_encoder_equals_numpy(rng, cell, in_numpy):
    encoder = Encoder(20, 4, embedding_units=3, cell=cell)
    source = random_ids(rng, 20, [5, 3])
    values, state = encoder(source, source != 0)
    weights = [weight + rng.normal(size=weight.shape) * 0.3 for weight in encoder.get_weights()]  # biases too
    encoder.set_weights(weights)
    values, state = encoder(source, source != 0)
    embeddings, forward, backward = weights[0], weights[1:4], weights[4:7]
    for row, ids in enumerate([source[0], source[1, :3]]):
        there = in_numpy(embeddings[ids], forward)
        back = in_numpy(embeddings[ids][::-1], backward)[::-1]
        np.testing.assert_allclose(numbers(values)[row, : len(ids)], np.hstack([there, back]), atol=1e-5)
        np.testing.assert_allclose(numbers(state[0][0])[row], np.hstack([there[-1], back[0]]), atol=1e-5)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
def test_padding_and_batch_mates_change_nothing(rng, cell, bidirectional, layers):
    encoder = Encoder(20, 4, layers=layers, cell=cell, bidirectional=bidirectional)
    source = random_ids(rng, 20, LENGTHS)
    values, state = encoder(source, source != 0)
    padded = np.pad(source[::-1], [(0, 0), (0, 4)])
    padded_values, padded_state = encoder(padded, padded != 0)
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(numbers(values)[row, :length], numbers(padded_values)[2 - row, :length], atol=1e-6)
    for ours, theirs in zip(keras.tree.flatten(state), keras.tree.flatten(padded_state)):
        np.testing.assert_allclose(numbers(ours), numbers(theirs)[::-1], atol=1e-6)


@pytest.mark.parametrize("cell, tensors", [("gru", 1), ("lstm", 2)])
def test_the_state_has_the_announced_shapes(rng, cell, tensors):
    encoder = Encoder(20, 4, layers=2, cell=cell)
    source = random_ids(rng, 20, LENGTHS)
    values, state = encoder(source, source != 0)
    assert values.shape == (3, 5, 8) and encoder.memory_units == 8
    assert [[tuple(tensor.shape) for tensor in layer] for layer in state] == [[(3, 8)] * tensors] * 2


def test_a_fully_padded_row_gives_a_state_of_zero(rng):
    encoder = Encoder(20, 4)
    source = random_ids(rng, 20, LENGTHS)
    _, ((state,),) = encoder(source, source != 0)
    np.testing.assert_array_equal(numbers(state)[2], np.zeros(8))


def test_an_unknown_cell_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'rnn'.*'gru' and 'lstm'"):
        Encoder(20, 4, cell="rnn")


def test_embeddings_start_wide_enough_to_learn_from():
    encoder = Encoder(1000, 64)
    encoder.build((None, None))
    assert 0.9 < np.std(encoder.embedding.get_weights()[0]) < 1.1
