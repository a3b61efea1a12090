"""Beam search: several beginnings of a target side by side, of which the best are kept at each step."""

import tensorflow as tf

from keras_attn.decoding.search import Search

# Tokens among which only the best is looked at first: so many at least, and so many at most.
_BLOCKS = (16, 256)


class BeamSearch(Search):
    """Keeps the `width` most probable beginnings of a target, and returns the `count` best that have ended.

    At each step every beginning is continued with every token, and the `width` most probable of all these go on; those
    that end leave the beam. A sentence is done when it has `count` ended hypotheses and no beginning in its beam can
    reach a better score than the worst of them: log-probabilities only fall, so what it has now over the penalty of
    its limit is a bound.

    Args, call arguments, output and errors: those of `Search`. With a width of one, the search is greedy.

    Example:
        >>> hypotheses = BeamSearch(model, width=5, count=3, length_penalty=1.0)(source)

    Source: Sutskever et al. 2014, section 3.2.
    """

    def __init__(self, model, width=5, **options):
        super().__init__(model, width, **options)

    def beginnings(self, batch, width):
        # At first all are the same; one of them is enough.
        return tf.tile(tf.range(width)[None] == 0, [batch, 1])

    def continued(self, totals, logits, random):
        return best_continuations(totals, logits)


def best_continuations(totals, gains):
    """The `width` most probable of all continuations, the lower place and token first among equals.

    What `tf.math.top_k` would find among `totals + gains`, several times faster: the best `width` tokens lie in those
    `width` blocks of the vocabulary whose best tokens are the best.

    Args:
        totals: float32 `(batch, width)`.
        gains: float32 `(batch, width, vocabulary_size)`.

    Returns:
        Places and tokens, both int32 `(batch, width)`, the most probable first; where there are not so many with a
        probability, any others.
    """
    vocabulary_size = tf.shape(gains)[2]
    block = _block_size(gains.shape[2])
    if gains.shape[2] is None or gains.shape[2] % block:
        gains = tf.pad(gains, [[0, 0], [0, 0], [0, -vocabulary_size % block]], constant_values=float("-inf"))
    _, width, size = tf.unstack(tf.shape(gains))
    blocks = tf.reshape(gains, [-1, width, size // block, block])
    highest = tf.reshape(totals[:, :, None] + tf.reduce_max(blocks, axis=3), [-1, width * (size // block)])
    # In the order of the vocabulary, which decides between equals.
    chosen = tf.sort(tf.math.top_k(highest, width).indices, axis=1)
    candidates = tf.gather(tf.reshape(blocks, [-1, width * (size // block), block]), chosen, batch_dims=1)
    candidates += tf.gather(totals, chosen // (size // block), batch_dims=1)[:, :, None]
    _, best = tf.math.top_k(tf.reshape(candidates, [-1, width * block]), width)
    best = tf.gather(chosen, best // block, batch_dims=1) * block + best % block
    return best // size, tf.minimum(best % size, vocabulary_size - 1)


def _block_size(vocabulary_size):
    """The largest size of blocks that needs no padding, which is a copy; or half of the largest where there is none."""
    least, most = _BLOCKS
    without_padding = [size for size in range(least, most + 1) if vocabulary_size and vocabulary_size % size == 0]
    return max(without_padding, default=most // 2)
