"""The encoder: token ids in, one state for every source position out."""

import keras
from keras import ops

from keras_attn.layers.recurrent import embedding, recurrent_layer, states_of


@keras.saving.register_keras_serializable(package="keras_attn")
class Encoder(keras.layers.Layer):
    """Reads the source sentence with a stack of recurrent layers.

    1. embedding of the ids, with dropout;
    2. each layer reads the sentence (both ways and side by side if `bidirectional`), with dropout in between.

    Args:
        vocabulary_size: how many ids there are.
        units: size of the state of each layer and direction.
        embedding_units: size of the embedding; `units` if `None`.
        layers: how many recurrent layers.
        cell: `"gru"` or `"lstm"`.
        bidirectional: whether each layer reads in both directions.
        dropout: share of the embedding and of what goes from layer to layer that training sets to zero.

    Call arguments:
        source: int `(batch, source_length)`.
        mask: boolean `(batch, source_length)`, true where there is a token.
        training: whether dropout is on.

    Output:
        A pair. Values: `(batch, source_length, memory_units)`, where `memory_units` is `units`, or twice that if
        `bidirectional`; what stands at a masked position means nothing. State: one list a layer, of one tensor
        (GRU: hidden state) or two (LSTM: hidden and cell state) of shape `(batch, memory_units)`, as it was after
        the last token (and for the way back, after the first).

    Source: Bahdanau et al. 2015, section 3.2.
    """

    def __init__(
        self,
        vocabulary_size,
        units,
        embedding_units=None,
        layers=1,
        cell="gru",
        bidirectional=True,
        dropout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.units = units
        self.embedding_units = embedding_units or units
        self.cell = cell
        self.bidirectional = bidirectional
        policy = {"dtype": self.dtype_policy}
        self.embedding = embedding(vocabulary_size, self.embedding_units, **policy)
        self.dropout = keras.layers.Dropout(dropout, **policy)
        self.recurrent = [recurrent_layer(cell, units, **policy) for _ in range(layers)]
        if bidirectional:
            self.recurrent = [keras.layers.Bidirectional(layer, **policy) for layer in self.recurrent]

    @property
    def memory_units(self):
        """Size of the values and of the final state."""
        return self.units * (2 if self.bidirectional else 1)

    @property
    def state_shape(self):
        """Shapes of the final state: a list for each layer."""
        return [[(None, self.memory_units)] * states_of(self.cell) for _ in self.recurrent]

    def build(self, source_shape):
        self.embedding.build(source_shape)
        size = self.embedding_units
        for layer in self.recurrent:
            layer.build((*source_shape, size))
            size = self.memory_units

    def call(self, source, mask, training=None):
        values = self.embedding(source)
        state = []
        for layer in self.recurrent:
            values = self.dropout(values, training=training)
            values, *final = layer(values, mask=mask, training=training)
            state.append(self._join_directions(final))
        return values, state

    def _join_directions(self, final):
        if not self.bidirectional:
            return final
        half = len(final) // 2
        return [ops.concatenate(pair, axis=-1) for pair in zip(final[:half], final[half:])]

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "units": self.units,
            "embedding_units": self.embedding_units,
            "layers": len(self.recurrent),
            "cell": self.cell,
            "bidirectional": self.bidirectional,
            "dropout": self.dropout.rate,
        }
