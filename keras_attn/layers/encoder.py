"""The encoder: token ids in, one state for every source position out."""

import keras

from keras_attn.layers.parts import part


@keras.saving.register_keras_serializable(package="keras_attn")
class Encoder(keras.layers.Layer):
    """Reads the source sentence: ids to vectors, and a stack of recurrent layers over them.

    Args:
        embedding: `TokenEmbedding`.
        stack: `RecurrentStack`.

    Call arguments:
        source: int `(batch, source_length)`.
        mask: boolean `(batch, source_length)`, true where there is a token.
        training: whether dropout is on.

    Output:
        A pair. Values: `(batch, source_length, memory_units)`; what stands at a masked position means nothing. State:
        the final state of the stack, as it was after the last token (and for the way back, after the first).

    Source: Bahdanau et al. 2015, section 3.2.
    """

    def __init__(self, embedding, stack, **kwargs):
        super().__init__(**kwargs)
        self.embedding = part(embedding)
        self.stack = part(stack)

    @property
    def memory_units(self):
        """Size of the values."""
        return self.stack.output_units

    @property
    def state_shape(self):
        """Shapes of the final state, see `RecurrentStack`."""
        return self.stack.state_shape

    def build(self, source_shape):
        self.embedding.build(source_shape)
        self.stack.build((*source_shape, self.embedding.units))

    def call(self, source, mask, training=None):
        return self.stack(self.embedding(source, training=training), mask=mask, training=training)

    def get_config(self):
        own = {"embedding": keras.layers.serialize(self.embedding), "stack": keras.layers.serialize(self.stack)}
        return {**super().get_config(), **own}
