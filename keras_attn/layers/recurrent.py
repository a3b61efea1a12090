"""The recurrent layers that encoder and decoder are stacked from."""

import keras

CELLS = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}

# Keras starts embeddings in U(-0.05, 0.05): so close to zero that the first recurrent layer sees hardly any
# difference between words, and learns several times more slowly than from a spread of one.
EMBEDDING_INITIALIZER_SPREAD = 1.0


def recurrent_layer(cell, units, **kwargs):
    """A GRU or LSTM layer that returns `(outputs, *state)`.

    Args:
        cell: `"gru"` or `"lstm"`.
        units: size of the state.
        **kwargs: for the Keras layer.

    Raises:
        ValueError: the cell is not one of these.
    """
    if cell not in CELLS:
        raise ValueError(f"cell is {cell!r}, but only {' and '.join(map(repr, CELLS))} are known.")
    return CELLS[cell](units, return_sequences=True, return_state=True, **kwargs)


def states_of(cell):
    """How many tensors the state of one layer has: one for a GRU, two (hidden and cell state) for an LSTM."""
    return {"gru": 1, "lstm": 2}[cell]


def embedding(vocabulary_size, units, seed=None, **kwargs):
    """Token ids `(...)` to vectors `(..., units)`, started wide enough to learn from."""
    spread = keras.initializers.RandomNormal(stddev=EMBEDDING_INITIALIZER_SPREAD, seed=seed)
    return keras.layers.Embedding(vocabulary_size, units, embeddings_initializer=spread, **kwargs)
