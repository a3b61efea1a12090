"""Greedy search: at each step the most probable token, until every sentence has ended."""

from typing import Any, NamedTuple

import tensorflow as tf

from keras_attn.decoding.hypotheses import Hypotheses, length_limits
from keras_attn.decoding.loop import while_sentences_last
from keras_attn.decoding.shortlist import written_by
from keras_attn.decoding.tokens import among, at_least_one_column, marked
from keras_attn.errors import InputError, require_count
from keras_attn.ids import END, NEVER_WRITTEN, PADDING, START
from keras_attn.kernels.blocks import best_token, in_blocks, most_probable


class GreedyDecoder:
    """Writes targets with its own predictions as input, apart from training.

    Calling it runs one `tf.function`, traced once for all batch sizes and lengths: the sources are encoded and their
    keys projected once, then `step` is repeated until all sentences have ended or reached their limit. Sentences that have
    ended leave the batch, see `while_sentences_last`.

    Args:
        model: anything with `encode(source) -> memory, state` and
            `step(tokens, state, memory) -> logits, state, attention weights`, such as `AttentionSeq2Seq`.
        max_length: tokens of a target at most. Whatever this is, a target ends after `2 * source tokens + 50`.
        shortlist: optional `Shortlist`, the tokens that a target can be made of. The model then has
            `output_projection(ids)` too, and a `step` that takes what that returns and a mask, as `AttentionSeq2Seq` and
            `Ensemble` have.

    Call arguments:
        source: int `(batch, source_length)`, padded with 0 on the right.

    Output:
        `Hypotheses`, one for each sentence.

    Raises:
        InputError: `max_length` is below one, the shortlist is for another model, or an option is of another search.
    """

    def __init__(self, model, max_length=256, shortlist=None, **others):
        if others:
            raise InputError(f"Greedy search takes no {min(others)}; use BeamSearch, of width 1 to be greedy.")
        require_count(max_length=max_length)
        if not getattr(model, "built", True):
            model.build()
        self.model = model
        self.max_length = max_length
        self.shortlist = shortlist and shortlist.for_model(model)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False)
    def __call__(self, source):
        source = at_least_one_column(source)
        no_prefix = tf.zeros([tf.shape(source)[0], 0], tf.int32)
        writer = written_by(self.model, self.shortlist, source, no_prefix)
        memory, state = writer.encode(source)
        limits = length_limits(source, self.max_length)
        kept = _Kept(tf.fill(tf.shape(limits), START), limits <= 0, limits, state, memory)
        outputs = _Outputs(
            tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32), tf.TensorSpec([None, None], tf.float32)
        )

        def unfinished(_time, _rows, kept, _written):
            return tf.logical_not(kept.finished)

        def step(time, rows, kept, written):
            logits, state, weights = writer.step(kept.tokens, kept.state, kept.memory)
            blocks = in_blocks(logits)
            tokens = _best_that_may_be(best_token(blocks), logits)
            best_logit, best_log_probability = most_probable(logits, blocks)
            chosen = tf.cast(tf.gather(logits, tokens, batch_dims=1), tf.float32)
            log_probabilities = (chosen - best_logit) + best_log_probability
            given = _Outputs(
                tf.where(kept.finished, PADDING, tokens),
                tf.where(kept.finished, 0.0, log_probabilities),
                tf.where(kept.finished[:, None], 0.0, tf.cast(weights, tf.float32)),
            )
            finished = kept.finished | (tokens == END) | (time + 1 >= kept.limits)
            return kept._replace(tokens=tokens, finished=finished, state=state), written, given

        _, (tokens, log_probabilities, weights) = while_sentences_last(step, unfinished, kept, (), outputs)
        log_probabilities = tf.transpose(log_probabilities)[:, None]
        total = tf.reduce_sum(log_probabilities, axis=2)
        weights = tf.transpose(weights, [1, 0, 2])[:, None]
        tokens = writer.ids_of(tf.transpose(tokens))[:, None]
        return Hypotheses(tokens, total, weights, total, log_probabilities)


def _best_that_may_be(tokens, logits):
    """The best tokens `(rows,)`, or those that are the best after them, where one must never be written."""

    def others():
        rest = tf.where(marked(NEVER_WRITTEN, logits), float("-inf"), tf.cast(logits, tf.float32))
        return tf.argmax(rest, axis=1, output_type=tf.int32)

    # To take them away is a pass over all logits, and they are hardly ever the best.
    return tf.cond(tf.reduce_any(among(tokens, NEVER_WRITTEN)), others, lambda: tokens)


class _Kept(NamedTuple):
    """What the next step needs of each sentence that is still there, see `while_sentences_last`."""

    tokens: Any
    finished: Any
    limits: Any
    state: Any
    memory: Any


class _Outputs(NamedTuple):
    """What a step gives of each sentence that is still there."""

    tokens: Any
    log_probabilities: Any
    weights: Any
