"""What all searches do with a batch of sources and with the logits of a step."""

import tensorflow as tf

from keras_attn.ids import NEVER_WRITTEN


def log_probabilities_of(logits):
    """Log-probabilities of the next token, in float32: `(..., vocabulary_size)` to the same."""
    return tf.nn.log_softmax(tf.cast(logits, tf.float32))


def without_what_is_never_written(log_probabilities):
    """`-inf` for padding and start, which no target holds."""
    ids = tf.range(tf.shape(log_probabilities)[-1])
    never = tf.reduce_any([ids == token for token in NEVER_WRITTEN], axis=0)
    return tf.where(never, float("-inf"), log_probabilities)


def at_least_one_column(source):
    """The same ids `(batch, source_length)`, with a column of padding where there is none."""
    missing = tf.cast(tf.equal(tf.shape(source)[1], 0), tf.int32)
    return tf.pad(source, [[0, 0], [0, missing]])
