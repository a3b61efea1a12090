"""The decoder: one set of weights, and two ways through it."""

import keras
from keras import ops

from keras_attn.layers.attention import BahdanauStyleDotAttention
from keras_attn.layers.memory import Memory
from keras_attn.layers.recurrent import embedding, recurrent_layer


@keras.saving.register_keras_serializable(package="keras_attn")
class Decoder(keras.layers.Layer):
    """Writes the target with a stack of recurrent layers that attend to the memory.

    1. embedding of the tokens, with dropout;
    2. recurrent layers, from the bridge's state on;
    3. attention: the top layer's hidden state asks, the memory answers with a context vector;
    4. attentional vector: `tanh(W [hidden state; context vector] + b)`, with dropout;
    5. logits: one number for each id of the target vocabulary.

    Calling the layer goes over a whole target at once, as training with teacher forcing does; `step` goes one token
    further, as decoding does. Both give the same numbers.

    Args:
        vocabulary_size: how many ids there are.
        units: size of the state of each layer, and of the attentional vector.
        embedding_units: size of the embedding; `units` if `None`.
        layers: how many recurrent layers.
        cell: `"gru"` or `"lstm"`.
        dropout: share of the embedding, of what goes from layer to layer and of the attentional vector that
            training sets to zero.
        project_keys, scaled, attention_dropout: as in `BahdanauStyleDotAttention`.

    Call arguments:
        target: int `(batch, target_length)`, beginning with the start token.
        state: a list for each layer, of tensors `(batch, units)`.
        memory: `Memory` from `remember`.
        training: whether dropout is on.

    Output:
        A pair. Logits: `(batch, target_length, vocabulary_size)`. Attention weights:
        `(batch, target_length, source_length)`.

    Source: Luong et al. 2015, section 3 and equation 5, with the bias of the usual tanh layer.
    """

    def __init__(
        self,
        vocabulary_size,
        units,
        embedding_units=None,
        layers=1,
        cell="gru",
        dropout=0.0,
        project_keys=None,
        scaled=True,
        attention_dropout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.units = units
        self.embedding_units = embedding_units or units
        self.cell = cell
        policy = {"dtype": self.dtype_policy}
        self.embedding = embedding(vocabulary_size, self.embedding_units, **policy)
        self.dropout = keras.layers.Dropout(dropout, **policy)
        self.recurrent = [recurrent_layer(cell, units, **policy) for _ in range(layers)]
        self.attention = BahdanauStyleDotAttention(project_keys, scaled, attention_dropout, **policy)
        self.attentional = keras.layers.Dense(units, activation="tanh", name="attentional", **policy)
        self.logits = keras.layers.Dense(vocabulary_size, name="logits", **policy)

    def build(self, target_shape, state_shape, memory_shape):
        values_shape = memory_shape[0]
        self.embedding.build(target_shape)
        size = self.embedding_units
        for layer in self.recurrent:
            layer.build((*target_shape, size))
            size = self.units
        hidden_shape = (*target_shape, self.units)
        self.attention.build(hidden_shape, values_shape)
        self.attentional.build((*target_shape, self.units + values_shape[-1]))
        self.logits.build(hidden_shape)

    def remember(self, values, mask):
        """The memory of a source sentence, its keys projected once for all steps.

        Args:
            values: `(batch, source_length, memory_units)`.
            mask: boolean `(batch, source_length)`.

        Returns:
            `Memory`.
        """
        return Memory(values, self.attention.project(values), mask)

    def call(self, target, state, memory, training=None):
        hidden = self.embedding(target)
        for layer, layer_state in zip(self.recurrent, state):
            hidden = self.dropout(hidden, training=training)
            hidden, *_ = layer(hidden, initial_state=layer_state, training=training)
        return self._attend(hidden, memory, training)

    def step(self, tokens, state, memory):
        """One token further.

        Args:
            tokens: int `(batch,)`, the last token of each sentence (at first the start token).
            state: a list for each layer, of tensors `(batch, units)`.
            memory: `Memory`.

        Returns:
            Logits `(batch, vocabulary_size)`, the new state, and attention weights `(batch, source_length)`.
        """
        hidden = self.embedding(tokens)
        new_state = []
        for layer, layer_state in zip(self.recurrent, state):
            hidden, layer_state = layer.cell(hidden, layer_state)
            new_state.append(list(layer_state))
        logits, weights = self._attend(hidden, memory, training=False)
        return logits, new_state, weights

    def _attend(self, hidden, memory, training):
        """From hidden states (one step or all) to logits and attention weights."""
        context, weights = self.attention(hidden, memory.values, mask=memory.mask, keys=memory.keys, training=training)
        attentional = self.attentional(ops.concatenate([hidden, context], axis=-1))
        return self.logits(self.dropout(attentional, training=training)), weights

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "units": self.units,
            "embedding_units": self.embedding_units,
            "layers": len(self.recurrent),
            "cell": self.cell,
            "dropout": self.dropout.rate,
            "project_keys": self.attention.project_keys,
            "scaled": self.attention.scaled,
            "attention_dropout": self.attention.dropout.rate,
        }
