"""Greedy search: at each step the most probable token, until every sentence has ended."""

import tensorflow as tf

from keras_attn.decoding.hypotheses import Hypotheses, length_limits
from keras_attn.decoding.tokens import at_least_one_column, log_probabilities_of, marked
from keras_attn.errors import InputError
from keras_attn.ids import END, NEVER_WRITTEN, PADDING, START


class GreedyDecoder:
    """Writes targets with its own predictions as input, apart from training.

    Calling it runs one `tf.function`, traced once for every batch size and length: the sources are encoded and their
    keys projected once, then `step` is repeated until all sentences have ended or reached their limit.

    Args:
        model: anything with `encode(source) -> memory, state` and
            `step(tokens, state, memory) -> logits, state, attention weights`, such as `AttentionSeq2Seq`.
        max_length: tokens of a target at most. Whatever this is, a target ends after `2 * source tokens + 50`.

    Call arguments:
        source: int `(batch, source_length)`, padded with 0 on the right.

    Output:
        `Hypotheses`, one for each sentence.

    Raises:
        InputError: `max_length` is below one.
    """

    def __init__(self, model, max_length=256):
        if max_length < 1:
            raise InputError(f"max_length is {max_length}, but it must be 1 or more.")
        if not getattr(model, "built", True):
            model.build()
        self.model = model
        self.max_length = max_length

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False)
    def __call__(self, source):
        source = at_least_one_column(source)
        memory, state = self.model.encode(source)
        limits = length_limits(source, self.max_length)
        start = (
            tf.constant(0),
            tf.fill(tf.shape(limits), START),
            state,
            limits <= 0,
            tf.TensorArray(tf.int32, 0, dynamic_size=True, element_shape=[None]),
            tf.TensorArray(tf.float32, 0, dynamic_size=True, element_shape=[None]),
            tf.TensorArray(tf.float32, 0, dynamic_size=True, element_shape=[None, None]),
        )

        def unfinished(time, _tokens, _state, finished, *_):
            # One step at least, even for an empty batch: a TensorArray without elements cannot be stacked.
            return tf.logical_or(time == 0, tf.logical_not(tf.reduce_all(finished)))

        def step(time, tokens, state, finished, all_tokens, all_gains, all_weights):
            logits, state, weights = self.model.step(tokens, state, memory)
            log_probabilities = log_probabilities_of(logits)
            never = marked(NEVER_WRITTEN, tf.shape(logits)[1])
            tokens = tf.argmax(tf.where(never, float("-inf"), log_probabilities), axis=1, output_type=tf.int32)
            gained = tf.gather(log_probabilities, tokens, batch_dims=1)
            tokens = tf.where(finished, PADDING, tokens)
            all_tokens = all_tokens.write(time, tokens)
            all_gains = all_gains.write(time, tf.where(finished, 0.0, gained))
            all_weights = all_weights.write(time, tf.where(finished[:, None], 0.0, weights))
            finished |= (tokens == END) | (time + 1 >= limits)
            return time + 1, tokens, state, finished, all_tokens, all_gains, all_weights

        *_, all_tokens, all_gains, all_weights = tf.while_loop(unfinished, step, start)
        gains = tf.transpose(all_gains.stack())[:, None]
        total = tf.reduce_sum(gains, axis=2)
        weights = tf.transpose(all_weights.stack(), [1, 0, 2])[:, None]
        return Hypotheses(tf.transpose(all_tokens.stack())[:, None], total, weights, total, gains)
