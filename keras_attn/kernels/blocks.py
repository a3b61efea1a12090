"""The vocabulary in blocks: what is best is found in one pass over the logits and a look into a few blocks."""

from typing import Any, NamedTuple

import tensorflow as tf

from keras_attn.ids import PADDING

# Tokens in a block: so many at least, and so many at most.
_SIZES = (16, 256)


class Blocks(NamedTuple):
    """Logits `(..., vocabulary_size)` of any type, of which the last block may be filled up with `-inf`.

    Fields:
        logits: `(..., blocks, size)`.
        highest: float32 `(..., blocks)`, the highest of each.
        vocabulary_size: how many tokens there are.
    """

    logits: Any
    highest: Any
    vocabulary_size: Any


def in_blocks(logits):
    """The `Blocks` of logits `(..., vocabulary_size)` of any type."""
    size = _block_size(logits.shape[-1])
    *leading, vocabulary_size = sizes(logits)
    missing = -vocabulary_size % size
    if logits.shape[-1] is None or missing:
        logits = tf.pad(logits, [*[[0, 0]] * len(leading), [0, missing]], constant_values=float("-inf"))
    blocks = tf.reshape(logits, [*leading, (vocabulary_size + missing) // size, size])
    # The highest of bfloat16 are found faster in float32. But of all logits no more than these are needed in it.
    return Blocks(blocks, tf.reduce_max(tf.cast(blocks, tf.float32), axis=-1), vocabulary_size)


def best_token(blocks):
    """The token with the highest logit, the first among equals: int32 `(...)`."""
    dimensions = blocks.highest.shape.rank - 1
    chosen = tf.argmax(blocks.highest, axis=-1, output_type=tf.int32)
    block = tf.gather(blocks.logits, chosen, batch_dims=dimensions)
    return chosen * blocks.logits.shape[-1] + tf.argmax(block, axis=-1, output_type=tf.int32)


def most_probable(logits, blocks):
    """The largest logit, and its log-probability: `(..., vocabulary_size)` of any type to two float32 `(...)`.

    With them, `(logit - largest) + log-probability` is that of any other token. TensorFlow's softmax is several times as
    fast as its log-softmax and its log-sum-exp, and the largest probability is never near zero.
    """
    best = best_token(blocks)
    probability = tf.gather(tf.nn.softmax(logits), best, batch_dims=best.shape.rank)
    return tf.reduce_max(blocks.highest, axis=-1), tf.math.log(tf.cast(probability, tf.float32))


def best_continuations(totals, blocks):
    """The `width` most probable of all continuations, the lower place and token first among equals.

    What `tf.math.top_k` would find among all sums of a total and a logit, several times faster: the best `width` tokens lie
    in those `width` blocks of the vocabulary whose best tokens are the best.

    Args:
        totals: float32 `(batch, width)`.
        blocks: `Blocks` of `(batch, width, vocabulary_size)`.

    Returns:
        Places and tokens, both int32 `(batch, width)`, the most probable first. Where there are not so many, any others
        without a probability, or padding tokens, which are never written: no continuation comes twice.
    """
    _, width, count, size = sizes(blocks.logits)
    highest = tf.reshape(totals[:, :, None] + blocks.highest, [-1, width * count])
    # In the order of the vocabulary, which decides between equals.
    chosen = tf.sort(tf.math.top_k(highest, width).indices, axis=1)
    candidates = tf.gather(tf.reshape(blocks.logits, [-1, width * count, size]), chosen, batch_dims=1)
    candidates = tf.cast(candidates, tf.float32) + tf.gather(totals, chosen // count, batch_dims=1)[:, :, None]
    _, best = tf.math.top_k(tf.reshape(candidates, [-1, width * size]), width)
    block, within = tf.gather(chosen, best // size, batch_dims=1), best % size
    tokens = block % count * size + within
    return block // count, tf.where(tokens < blocks.vocabulary_size, tokens, PADDING)


def sizes(tensor):
    """The length of each axis, a Python number where it is known beforehand: what TensorFlow need not find out at each step."""
    return [tf.shape(tensor)[axis] if size is None else size for axis, size in enumerate(tensor.shape)]


def _block_size(vocabulary_size):
    """The largest size of blocks that needs no padding, which is a copy; or half of the largest where there is none."""
    least, most = _SIZES
    without_padding = [size for size in range(least, most + 1) if vocabulary_size and vocabulary_size % size == 0]
    return max(without_padding, default=most // 2)
