"""What every search returns, and how long it may search."""

from typing import Any, NamedTuple

import tensorflow as tf

from keras_attn.ids import END, PADDING


class Hypotheses(NamedTuple):
    """The targets that a search found for each source sentence, the best first.

    Fields:
        tokens: int32 `(batch, count, target_length)`; ends with the end token unless the limit came first, then 0.
        log_probabilities: float32 `(batch, count)`, of the whole target, its end token included, in nats; the model's, but for
            a repetition penalty or a shortlist.
        attention_weights: float32 `(batch, count, target_length, source_length)`; zero where the token is padding.
        scores: float32 `(batch, count)`, what they are ranked by.
        token_log_probabilities: float32 `(batch, count, target_length)`, in nats; zero where the token is padding.
    """

    tokens: Any
    log_probabilities: Any
    attention_weights: Any
    scores: Any
    token_log_probabilities: Any


def length_limits(source, max_length):
    """How many tokens each target may have, its end token included.

    A model that has not learned to stop repeats itself for ever, so there is a limit; it depends on the sentence's
    own length alone, since what else is in the batch must change nothing. A source without any token has an empty
    target, and its limit is 0.

    Args:
        source: int `(batch, source_length)`.
        max_length: tokens at most, however long the source is.

    Returns:
        int32 `(batch,)`.
    """
    ordinary = tf.logical_and(tf.not_equal(source, PADDING), tf.not_equal(source, END))
    length = tf.reduce_sum(tf.cast(ordinary, tf.int32), axis=1)
    return tf.where(length > 0, tf.minimum(2 * length + 50, max_length), 0)
