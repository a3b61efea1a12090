"""Softmax matrix and cross-entropy in one: the loss of a batch without the logits of a batch.

The logits are by far the largest thing in training: a number for each target position and each token of the vocabulary,
padding included, then as many probabilities, and as many gradients. A loss needs none of them for longer than it takes to
add them up. Here a few hundred real tokens at a time go from the decoder's vectors to their losses and straight on to the
gradients, in a chunk of memory that the processor's cache can hold.

`trace_logits` notes where logits come from, and a loss or metric that finds the note need not look at them. TensorFlow
then never computes them, since a graph leaves out what nobody asks for. Whoever does ask gets them as always; only a gradient
of the loss by the logits there is none, as the loss does not come from them. Where there is no graph, logits exist already, and
there is no note.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from keras_attn.ids import PADDING
from keras_attn.products import product
from keras_attn.replicas import one_replica

# How many logits a chunk has, 8 MiB in float32, and how many chunks are in work at a time.
_LOGITS_AT_A_TIME = 2**21
_CHUNKS_AT_A_TIME = 2
# Products of fewer rows than this take longer to fetch the matrix than to multiply.
_LEAST_TOKENS = 64

_NOTE = "_keras_attn_origin"


class Origin:
    """Where logits come from: `vectors @ matrix + bias`.

    Args:
        vectors: `(batch, target_length, units)`, of the type in which the products are made.
        matrix: variable `(units, vocabulary_size)`, or `(vocabulary_size, units)` if it is an embedding's.
        bias: variable `(vocabulary_size,)`.
        is_embedding: whether it is.
        training: whether a gradient is expected, which is then found on the way; otherwise asking for it costs a second way.
    """

    def __init__(self, vectors, matrix, bias, is_embedding, training):
        self.vectors = vectors
        self.softmax = _Softmax(_snapshot(matrix), _snapshot(bias), is_embedding)
        self.training = bool(training)
        self.found = {}

    def total_cross_entropy(self, labels, weights, label_smoothing=0.0):
        """The sum over all real tokens of weight × cross-entropy, in nats: a float32 scalar, which has first derivatives
        by vectors, matrix, bias and weights.

        Args:
            labels: int `(batch, target_length)`, 0 where there is padding.
            weights: float32 `(batch, target_length)`, 0 where there is padding.
            label_smoothing: `ε`, see `MaskedCrossEntropy`.
        """
        total, losses, right = _total_cross_entropy(self, labels, weights, label_smoothing)
        self.found = {"labels": labels, "losses": losses, "right": right}
        return total


class _Softmax(NamedTuple):
    """What makes logits of vectors: a matrix, which may be an embedding's, and a bias."""

    matrix: Any
    bias: Any
    is_embedding: bool

    @property
    def vocabulary_size(self):
        return self.bias.shape[0]

    @property
    def units(self):
        return self.matrix.shape[1 if self.is_embedding else 0]

    def in_type(self, dtype):
        import tensorflow as tf

        return self._replace(matrix=tf.cast(self.matrix, dtype), bias=tf.cast(self.bias, dtype))

    def logits(self, vectors):
        import tensorflow as tf

        return tf.cast(product(vectors, self.matrix, transpose_right=self.is_embedding) + self.bias, tf.float32)

    def by_vectors(self, by_logits):
        return product(by_logits, self.matrix, transpose_right=not self.is_embedding)

    def by_rows(self, vectors, by_logits):
        """The gradient by the matrix, as rows of an embedding even where it is none: this product is the quicker one."""
        import tensorflow as tf

        return tf.cast(product(by_logits, vectors, transpose_left=True), tf.float32)

    def as_matrix(self, rows):
        """What is by rows, the way the matrix lies."""
        import tensorflow as tf

        return rows if self.is_embedding else tf.transpose(rows)


def _snapshot(weights):
    """What a variable holds at this point, after which training may change it; in its own type, where Keras would read it in
    that of the computation."""
    import tensorflow as tf

    if isinstance(weights, keras.Variable):
        # A variable that is still to be made has no value but that of its initializer.
        weights = weights.value if weights._value is None else weights._value
    return tf.convert_to_tensor(weights)


def in_graph():
    """Whether this is a graph of TensorFlow's."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.executing_eagerly()


def trace_logits(logits, origin):
    """Notes where logits come from; they themselves stay as they are."""
    # In float16, gradients that are scaled only afterwards would be lost.
    if ops.dtype(logits) in ("float32", "bfloat16") and one_replica():
        setattr(logits, _NOTE, origin)


def forget_origin(logits):
    """Takes the note away."""
    if origin_of(logits):
        delattr(logits, _NOTE)


def origin_of(logits):
    """The note, or `None`."""
    return getattr(logits, _NOTE, None)


def found_by_loss(logits, labels, what):
    """What a loss found on its way, for metrics that come after it.

    Args:
        logits: that may have a note.
        labels: the very tensor that the loss was given.
        what: `"losses"`, the cross-entropy of every token without smoothing, or `"right"`, whether its logit is the
            highest (the first of several).

    Returns:
        Float32 `(batch, target_length)`, 0 in the padding; `None` if no loss has found any of these.
    """
    found = origin_of(logits).found if origin_of(logits) else {}
    return found[what] if found and found["labels"] is labels else None


def _total_cross_entropy(origin, labels, weights, label_smoothing):
    """The sum, and for every token its loss without smoothing and whether it is right, see `Origin`."""
    import tensorflow as tf

    flat_labels = tf.reshape(tf.cast(labels, tf.int32), [-1])
    real = tf.where(flat_labels != PADDING)
    tokens = tf.gather_nd(flat_labels, real)
    token_weights = tf.gather_nd(tf.reshape(weights, [-1]), real)

    @tf.custom_gradient
    def total_of(vectors, matrix, bias, token_weights):
        softmax = _Softmax(matrix, bias, origin.softmax.is_embedding)
        units = softmax.units  # vectors from a loop may not say it
        real_vectors = tf.gather_nd(tf.reshape(vectors, [-1, units]), real)
        given = softmax, real_vectors, tokens, token_weights, label_smoothing
        total, losses, right, *by = _in_chunks(*given, with_gradients=origin.training)

        def gradients(scale, *_):
            # The loss is linear in whatever comes after it, so that its gradients need nothing but a factor.
            by_weights, by_vectors, by_rows, by_bias = by or _in_chunks(*given, with_gradients=True)[3:]
            everywhere = tf.scatter_nd(real, tf.cast(scale, by_vectors.dtype) * by_vectors, [tf.size(labels), units])
            by_matrix = softmax.as_matrix(scale * by_rows)
            return tf.reshape(everywhere, tf.shape(vectors)), by_matrix, scale * by_bias, scale * by_weights

        return (total, losses, right), gradients

    total, *of_tokens = total_of(origin.vectors, origin.softmax.matrix, origin.softmax.bias, token_weights)
    everywhere = [tf.scatter_nd(real, tf.stop_gradient(each), [tf.size(labels)]) for each in of_tokens]
    return total, *(tf.reshape(each, tf.shape(labels)) for each in everywhere)


def _in_chunks(softmax, vectors, tokens, weights, label_smoothing, with_gradients):
    """Real tokens `(tokens,)` with their vectors `(tokens, units)`, as many at a time as memory is meant for.

    Returns:
        The weighted sum; losses and right ones, float32 `(tokens,)`; and `with_gradients` those of the sum by weights,
        vectors, rows of the matrix (see `_Softmax`) and bias.
    """
    import tensorflow as tf

    most = max(_LEAST_TOKENS, _LOGITS_AT_A_TIME // softmax.vocabulary_size)
    # None is in work alone at the end. And an array of no chunks could not be put together.
    count = _CHUNKS_AT_A_TIME * tf.maximum(1, _rounded_up(tf.shape(tokens)[0], _CHUNKS_AT_A_TIME * most))
    size = _rounded_up(tf.shape(tokens)[0], count)
    kinds = [tf.float32, tf.float32, *([tf.float32, vectors.dtype] if with_gradients else [])]
    arrays = [tf.TensorArray(kind, count, infer_shape=False) for kind in kinds]
    nothing = [tf.zeros([softmax.vocabulary_size, softmax.units]), tf.zeros_like(softmax.bias)]
    sums = [tf.constant(0.0), *(nothing if with_gradients else [])]
    if label_smoothing:
        by_tokens_alike, alike = _shared_by_all_tokens(softmax, vectors, weights, label_smoothing)
        sums = [old + new for old, new in zip(sums, alike)]  # without gradients, the first alone
    softmax = softmax.in_type(vectors.dtype)

    def one_chunk(index, arrays, sums):
        part = slice(index * size, (index + 1) * size)
        of_tokens, of_all = _chunk(softmax, vectors[part], tokens[part], weights[part], label_smoothing, with_gradients)
        arrays = [array.write(index, each) for array, each in zip(arrays, of_tokens, strict=True)]
        return index + 1, arrays, [old + new for old, new in zip(sums, of_all, strict=True)]

    _, arrays, sums = tf.while_loop(
        lambda index, *_: index < count, one_chunk, (0, arrays, sums), parallel_iterations=_CHUNKS_AT_A_TIME
    )
    losses, right, *by_tokens = (array.concat() for array in arrays)
    if label_smoothing:
        by_tokens = [by + alike for by, alike in zip(by_tokens, by_tokens_alike)]
    total, *by_rows_and_bias = sums
    return total, losses, right, *by_tokens, *by_rows_and_bias


def _rounded_up(number, divisor):
    return -(-number // divisor)


def _shared_by_all_tokens(softmax, vectors, weights, label_smoothing):
    """The sum of `-weight × ε × mean of the logits`: what label smoothing gives to all tokens of the vocabulary alike.

    It takes no pass over the logits, since their mean is the product with the mean of the matrix.

    Returns:
        Its gradients by weights and vectors; and the sum itself, with what its gradients by the matrix's row and by the bias
        are for each token of the vocabulary.
    """
    import tensorflow as tf

    wide = tf.cast(vectors, tf.float32)
    shares = -label_smoothing * weights
    mean_vector = tf.reduce_mean(softmax.matrix, axis=0 if softmax.is_embedding else 1)
    mean_logits = tf.linalg.matvec(wide, mean_vector) + tf.reduce_mean(softmax.bias)
    total = tf.tensordot(shares, mean_logits, 1)
    by_vectors = tf.cast(shares[:, None] * mean_vector, vectors.dtype)
    by_row = tf.linalg.matvec(wide, shares, transpose_a=True) / softmax.vocabulary_size
    by_bias = tf.reduce_sum(shares) / softmax.vocabulary_size
    return (-label_smoothing * mean_logits, by_vectors), (total, by_row, by_bias)


def _chunk(softmax, vectors, tokens, weights, label_smoothing, with_gradients):
    """What there is of each token (loss, right, gradients by its weight and vector), and what is summed (weighted loss,
    gradients by rows of the matrix and by bias).

    Each pass over the logits takes as long as a good part of their product. So weights are multiplied with the vectors,
    which are shorter. Of label smoothing, only what it takes from the right token is in here, see
    `_shared_by_all_tokens`.
    """
    import tensorflow as tf

    from keras_attn.blocks import best_token, in_blocks

    logits = softmax.logits(vectors)
    places = tf.stack([tf.range(tf.shape(tokens)[0]), tokens], axis=1)
    of_tokens = tf.gather_nd(logits, places)
    probabilities = tf.nn.softmax(logits)
    blocks = in_blocks(logits)
    best, highest = best_token(blocks), tf.reduce_max(blocks.highest, axis=-1)
    # The probability of the best token is never too small for its logarithm to be taken, as that of the right one may be.
    losses = highest - tf.math.log(tf.gather(probabilities, best, batch_dims=1)) - of_tokens
    right = tf.cast(tf.equal(best, tokens), tf.float32)
    by_weights = losses + label_smoothing * of_tokens
    total = tf.reduce_sum(weights * by_weights)
    if not with_gradients:
        return (losses, right), (total,)
    by_logits = tf.tensor_scatter_nd_sub(probabilities, places, tf.fill(tf.shape(tokens), 1 - label_smoothing))
    by_bias = tf.linalg.matvec(by_logits, weights, transpose_a=True)
    by_logits = tf.cast(by_logits, vectors.dtype)
    weights = tf.cast(weights, vectors.dtype)[:, None]
    by_vectors = weights * softmax.by_vectors(by_logits)
    by_rows = softmax.by_rows(weights * vectors, by_logits)
    return (losses, right, by_weights, by_vectors), (total, by_rows, by_bias)
