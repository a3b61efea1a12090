"""What all searches do with a batch of sources and with the logits of a step."""

import functools
import operator

import numpy as np
import tensorflow as tf

from keras_attn.ids import PADDING


def log_probabilities_of(logits):
    """Log-probabilities of the next token, in float32: `(..., vocabulary_size)` to the same."""
    return tf.nn.log_softmax(tf.cast(logits, tf.float32))


def marked(tokens, logits):
    """Which ids are among these tokens: boolean `(vocabulary_size,)`, a constant where the size is one."""
    size = logits.shape[-1]
    ids = tf.range(tf.shape(logits)[-1]) if size is None else np.arange(size)
    return among(ids, tokens)


def among(ids, tokens):
    """Which ids are among these tokens: boolean, of their shape."""
    return functools.reduce(operator.or_, (ids == token for token in tokens))


def held(tokens, vocabulary_size):
    """Which ids but padding are among the tokens: int32 `(..., tokens)` to boolean `(..., vocabulary_size)`."""
    shape = tf.shape(tokens)
    rows = tf.reshape(tokens, [tf.reduce_prod(shape[:-1]), shape[-1]])
    counts = tf.math.bincount(rows, minlength=vocabulary_size, maxlength=vocabulary_size, axis=-1, binary_output=True)
    some = (counts > 0) & (tf.range(vocabulary_size) != PADDING)
    return tf.reshape(some, tf.concat([shape[:-1], [vocabulary_size]], axis=0))


def at_least_one_column(source):
    """Ids `(batch, source_length)`, with a column of padding where there is no column at all."""
    missing = tf.cast(tf.equal(tf.shape(source)[1], 0), tf.int32)
    return tf.pad(source, [[0, 0], [0, missing]])
