"""Token ids to vectors, and with tied weights also from vectors to logits."""

import keras
from keras import ops

from keras_attn.products import product


@keras.saving.register_keras_serializable(package="keras_attn")
class TokenEmbedding(keras.layers.Layer):
    """A table with a vector for each id.

    Keras starts embeddings in U(-0.05, 0.05): so close to zero that the first recurrent layer sees hardly any
    difference between words, and learns several times more slowly than from vectors with a spread of one, as here.
    A tied table is also the matrix of the softmax, where a spread of one would make the first logits far too large; it
    is kept smaller by `√units`, and its vectors are multiplied by that when they are read.

    Args:
        vocabulary_size: how many ids there are.
        units: size of a vector.
        tied: whether the table is the matrix of a softmax, see `logits`.
        token_dropout: share of the tokens of a sentence whose vector training sets to zero as a whole, so that what is
            said by one token alone is learned from the others too.

    Call arguments:
        ids: int `(...)`; in training with token dropout `(batch, length)`.
        training: whether token dropout is on.

    Output:
        `(..., units)`.

    Source: Press and Wolf 2017 (arXiv 1608.05859); Vaswani et al. 2017, section 3.4 (the factor); Sennrich and Zhang
    2019 (arXiv 1905.11901), word dropout.
    """

    def __init__(self, vocabulary_size, units, tied=False, token_dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.units = units
        self.tied = tied
        self.factor = units**0.5 if tied else 1.0
        spread = keras.initializers.RandomNormal(stddev=1 / self.factor)
        self.table = keras.layers.Embedding(
            vocabulary_size, units, embeddings_initializer=spread, name="table", dtype=self.dtype_policy
        )
        self.dropout = keras.layers.Dropout(token_dropout, noise_shape=(None, None, 1), dtype=self.dtype_policy)

    def build(self, ids_shape):
        if self.built:
            return  # a shared one is built by the encoder and by the decoder
        self.table.build(ids_shape)
        if self.tied:
            self.bias = self.add_weight(shape=(self.vocabulary_size,), initializer="zeros", name="bias")

    def call(self, ids, training=None):
        vectors = self.table(ids)
        vectors = vectors * self.factor if self.tied else vectors
        return self.dropout(vectors, training=training)

    def logits(self, vectors):
        """`(..., units)` to `(..., vocabulary_size)`: the dot product with each id's vector in the table, and a bias."""
        rows = ops.reshape(vectors, (-1, self.units))
        table, bias = (ops.cast(each, ops.dtype(vectors)) for each in (self.table.embeddings, self.bias))
        logits = product(rows, table, transpose_right=True) + bias
        return ops.reshape(logits, (*ops.shape(vectors)[:-1], self.vocabulary_size))

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "units": self.units,
            "tied": self.tied,
            "token_dropout": self.dropout.rate,
        }
